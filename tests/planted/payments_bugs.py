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
        "payments_taken",
        (
            ("held money told as taken", "held-is-taken", "test_money_that_is_held_is_not_told_as_taken"),
            ("taken money told as held", "taken-is-held", "test_money_that_is_taken_at_once_is_told_as_taken"),
            (
                "money taken at once for each call of one key",
                "taken-for-each-call",
                "test_money_that_is_taken_at_once_is_taken_once",
            ),
            (
                "money taken at once again after a lost answer",
                "taken-again-for-a-lost-answer",
                "test_a_lost_answer_to_what_was_taken_at_once_is_found_with_the_same_key",
            ),
            (
                "void of money that is taken at once told as done",
                "void-of-taken-gives-back",
                "test_a_void_of_what_was_taken_at_once_is_declined",
            ),
            (
                "capture of money that is taken at once takes it again",
                "capture-of-taken-takes-more",
                "test_a_capture_of_what_was_taken_at_once_takes_no_more",
            ),
            (
                "capture of money that is taken at once declined",
                "capture-of-taken-is-declined",
                "test_a_capture_of_what_was_taken_at_once_takes_no_more",
            ),
            (
                "part of money that is taken at once given back as the whole",
                "taken-is-given-back-whole",
                "test_what_was_taken_at_once_is_given_back_in_parts_or_whole",
            ),
            (
                "void that races what takes money at once is undone (check, then act)",
                "taking-races-void",
                "test_of_void_and_taking_at_once_one_happens",
            ),
            (
                "buyer's late approval takes the money of a voided payment",
                "taken-though-void",
                "test_a_void_before_all_agreed_is_kept",
            ),
        ),
    ),
    (
        "payments_ending",
        (
            (
                "void of a declined payment declined",
                "void-of-declined-is-declined",
                "test_a_void_of_a_declined_payment_is_done",
            ),
            (
                "void of a declined payment does nothing, and the buyer can try again",
                "void-of-declined-does-nothing",
                "test_a_void_ends_a_declined_payment_that_could_be_tried_again",
            ),
            (
                "declined payment that was tried again still declined in the books",
                "declined-for-ever",
                "test_a_declined_payment_that_is_tried_again_is_in_the_books",
            ),
            (
                "void that races another try does nothing (check, then act)",
                "void-races-another-try",
                "test_a_void_that_races_another_try_ends_it",
            ),
            (
                "pending refund never ends: the first answer to a key is kept",
                "pending-refund-stays",
                "test_a_pending_refund_is_ended_by_asking_again_with_the_same_key",
            ),
            (
                "pending refund not counted, and more given back than was captured",
                "pending-refund-does-not-count",
                "test_a_pending_refund_is_ended_by_asking_again_with_the_same_key",
            ),
            (
                "failed refund told as done",
                "failed-refund-is-done",
                "test_a_pending_refund_that_fails_gives_nothing_back",
            ),
            (
                "failed refund counted as given back",
                "failed-refund-stays-counted",
                "test_a_pending_refund_that_fails_gives_nothing_back",
            ),
        ),
    ),
    (
        "payments_pace",
        (
            (
                "wait that is less than nothing",
                "pace-below-zero",
                "test_the_pace_is_a_time_that_is_longer_for_more_calls",
            ),
            (
                "wait that is the same for any number of calls",
                "pace-of-one-call",
                "test_the_pace_is_a_time_that_is_longer_for_more_calls",
            ),
            (
                "wait that does not know of calls under way",
                "pace-blind",
                "test_calls_under_way_make_the_wait_longer",
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
                "charge that a webhook names not read",
                "charge-of-notice-dropped",
                "test_a_webhook_that_names_its_charge_is_read_with_it",
            ),
            (
                "webhook told to be of another charge",
                "charge-of-notice-is-payment",
                "test_a_webhook_in_this_process_names_no_other_charge",
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
