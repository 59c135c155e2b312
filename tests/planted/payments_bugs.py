"""Payment providers with one planted bug each, and the test of the kit that catches it."""

from __future__ import annotations

from typing import Final

from tests.planted.catching import Planted

_CAUGHT_BY: Final = (
    (
        "payments_keys",
        (
            ("idempotency key ignored", "key-ignored", "test_the_same_key_has_one_effect_and_one_answer"),
            (
                "key remembered only after the answer",
                "key-late",
                "test_the_same_key_at_once_has_one_effect_and_one_answer",
            ),
            (
                "key of a cancelled call forgotten",
                "key-lost-by-cancellation",
                "test_a_cancelled_call_is_ended_by_repeating_with_the_same_key",
            ),
            (
                "keys are not kept over the end of the process",
                "key-not-written",
                "test_the_same_key_is_known_after_the_provider_was_opened_again",
            ),
            (
                "books are written when the provider is closed",
                "books-written-late",
                "test_what_a_killed_process_was_told_is_still_in_the_books",
            ),
            (
                "other parameters for a key accepted",
                "parameters-ignored",
                "test_a_key_with_other_parameters_is_refused",
            ),
            (
                "lost answer of a decline told as done",
                "lost-answer-is-done",
                "test_a_decline_whose_answer_was_lost_is_not_taken_for_success",
            ),
            (
                "error swallowed: a call that never arrived told as done",
                "lost-call-is-done",
                "test_a_call_that_never_arrived_is_not_taken_for_success",
            ),
        ),
    ),
    (
        "payments_money",
        (
            ("refund above capture", "refund-above-capture", "test_no_more_is_refunded_than_was_captured"),
            (
                "refunds that race exceed the capture (check, then act)",
                "refunds-race",
                "test_refunds_at_once_never_exceed_the_capture",
            ),
            ("refund of what was not captured", "refund-of-authorized", "test_what_was_not_captured_is_not_refunded"),
            (
                "capture beyond the authorization",
                "capture-above-authorization",
                "test_no_more_is_captured_than_was_authorized",
            ),
            ("currency of a capture ignored", "currency-ignored", "test_a_capture_in_another_currency_is_refused"),
            ("second capture takes money again", "capture-twice", "test_a_second_capture_takes_no_more"),
            (
                "authorization after a void",
                "authorized-after-void",
                "test_after_a_void_an_authorization_is_declined",
            ),
            (
                "void of a captured payment told as done",
                "void-of-captured-is-done",
                "test_after_a_capture_a_void_is_declined",
            ),
            (
                "void that races a capture undoes it (check, then act)",
                "void-races-capture",
                "test_of_void_and_capture_at_once_one_happens",
            ),
            ("stale books", "stale-books", "test_the_books_show_each_step_at_once"),
            (
                "pending told as done",
                "pending-is-done",
                "test_a_payment_that_is_not_decided_is_told_as_pending",
            ),
            (
                "buyer's late approval revives a voided payment",
                "approved-after-void",
                "test_a_void_ends_what_waits_for_the_buyer",
            ),
            (
                "unknown payment raises an undeclared error",
                "undeclared-error",
                "test_nothing_is_done_to_an_unknown_payment",
            ),
        ),
    ),
    (
        "payments_webhooks",
        (
            (
                "webhook's signature not checked",
                "signature-ignored",
                "test_a_webhook_that_somebody_else_signed_is_refused",
            ),
            (
                "webhook without a signature accepted",
                "signature-optional",
                "test_a_webhook_without_a_signature_is_refused",
            ),
            ("old webhook accepted", "old-webhook", "test_an_old_webhook_is_refused"),
            ("webhook of the future accepted", "future-webhook", "test_a_webhook_of_the_future_is_refused"),
            (
                "notice has a new id for each delivery",
                "id-of-delivery",
                "test_a_webhook_that_comes_twice_has_the_same_id",
            ),
            (
                "unreadable webhook told as empty",
                "garbage-ignored",
                "test_a_webhook_that_can_not_be_read_is_refused",
            ),
        ),
    ),
)

BUGS: Final = tuple(
    Planted(
        name=name,
        kind="payments",
        plugin=f"tests.planted.{module}:{bug.replace('-', '_').upper()}",
        url=f"planted-{bug}://TMP/books.jsonl",
        caught_by=caught_by,
    )
    for module, bugs in _CAUGHT_BY
    for name, bug, caught_by in bugs
)
