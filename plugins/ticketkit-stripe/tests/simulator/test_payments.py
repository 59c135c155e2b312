"""PaymentIntents, driven with stripe-python's own client."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from ticketkit_stripe.simulator import Control, ControlRefused

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:Use .content:DeprecationWarning"),  # stripe-python's call of httpx
]
ALL = {"enabled": True}


def error_of(raised: pytest.ExceptionInfo[Any]) -> dict[str, Any]:
    """The error object that was answered."""
    error: dict[str, Any] = raised.value.json_body["error"]
    return error


BACK = "https://shop.test/return"


async def test_held_money_is_captured_and_the_books_say_so(client: Any, control: Control, held: Any) -> None:
    made = await client.v1.payment_intents.create_async({**held, "metadata": {"charge": "c1"}})
    assert (made.status, made.amount_capturable, made.amount_received) == ("requires_capture", 4500, 0)
    assert made.client_secret.startswith(f"{made.id}_secret_")
    taken = await client.v1.payment_intents.capture_async(made.id)
    assert (taken.status, taken.amount_capturable, taken.amount_received) == ("succeeded", 0, 4500)
    (line,) = control.books().of(charge="c1")
    assert (line.status, line.captured, line.captures, line.refunded) == ("succeeded", 4500, 1, 0)
    assert control.books().violations == []


async def test_prepared_then_confirmed_on_the_server(client: Any, asked: Any) -> None:
    made = await client.v1.payment_intents.create_async(asked)
    assert (made.status, made.latest_charge) == ("requires_payment_method", None)
    held = await client.v1.payment_intents.confirm_async(made.id, {"payment_method": "pm_card_visa"})
    assert held.status == "requires_capture"
    assert (await client.v1.payment_intents.retrieve_async(made.id)).status == "requires_capture"


@pytest.mark.parametrize("token", ["tok_visa", "tok_chargeDeclined"])
async def test_a_card_by_its_token_does_what_its_payment_method_does(client: Any, asked: Any, token: str) -> None:
    data = {"type": "card", "card": {"token": token}}
    made = await client.v1.payment_intents.create_async(asked)
    confirming = client.v1.payment_intents.confirm_async(made.id, {"payment_method_data": data})
    if token == "tok_visa":
        assert (await confirming).status == "requires_capture"
    else:
        with pytest.raises(stripe.CardError, match="generic_decline"):
            await confirming


async def test_a_payment_method_made_of_a_token_is_used_by_its_id(client: Any, asked: Any) -> None:
    method = await client.v1.payment_methods.create_async({"type": "card", "card": {"token": "tok_visa"}})
    assert (method.id[:3], method.card.last4) == ("pm_", "4242")
    made = await client.v1.payment_intents.create_async({**asked, "payment_method": method.id})
    assert (made.status, made.payment_method) == ("requires_confirmation", method.id)
    assert (await client.v1.payment_intents.confirm_async(made.id)).status == "requires_capture"


@pytest.mark.parametrize(
    ("method", "code", "reason"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
    ],
)
async def test_a_declined_intent_waits_for_another_card(
    client: Any, control: Control, asked: Any, *, method: str, code: str, reason: str | None
) -> None:
    made = await client.v1.payment_intents.create_async(asked)
    with pytest.raises(stripe.CardError) as declined:
        await client.v1.payment_intents.confirm_async(made.id, {"payment_method": method})
    error = error_of(declined)
    assert (declined.value.http_status, error["code"], error.get("decline_code")) == (402, code, reason)
    assert error["payment_intent"]["id"] == made.id
    found = await client.v1.payment_intents.retrieve_async(made.id)
    assert (found.status, found.payment_method) == ("requires_payment_method", None)
    assert found.last_payment_error.code == code
    again = await client.v1.payment_intents.confirm_async(made.id, {"payment_method": "pm_card_visa"})
    assert (again.status, again.last_payment_error) == ("requires_capture", None)
    assert control.books().intent(made.id).attempts == 2


async def test_a_part_is_captured_and_the_rest_released(client: Any, control: Control, held: Any) -> None:
    made = await client.v1.payment_intents.create_async(held)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payment_intents.capture_async(made.id, {"amount_to_capture": 4501})
    assert (refused.value.code, refused.value.param) == ("amount_too_large", "amount_to_capture")
    taken = await client.v1.payment_intents.capture_async(made.id, {"amount_to_capture": 1000})
    assert (taken.status, taken.amount_received, taken.amount_capturable) == ("succeeded", 1000, 0)
    books = control.books()
    assert (books.moved("capture"), books.moved("release"), books.moved("hold")) == (1000, 3500, 4500)


async def test_money_is_taken_at_once_unless_it_is_to_be_held(client: Any, taken: Any) -> None:
    made = await client.v1.payment_intents.create_async(taken)
    assert (made.status, made.amount_received) == ("succeeded", 4500)
    del taken["capture_method"]
    usual = await client.v1.payment_intents.create_async(taken)
    assert (usual.status, usual.capture_method) == ("succeeded", "automatic_async")


async def test_with_the_card_option_cards_are_held_and_a_bank_takes_at_once(client: Any) -> None:
    mixed = {
        "amount": 700,
        "currency": "eur",
        "capture_method": "automatic",
        "payment_method_options": {"card": {"capture_method": "manual"}},
        "confirm": True,
        "return_url": BACK,
    }
    card = await client.v1.payment_intents.create_async({**mixed, "payment_method": "pm_card_visa"})
    bank = await client.v1.payment_intents.create_async({**mixed, "payment_method": "pm_simulator_takenAtOnce"})
    assert (card.status, card.capture_method) == ("requires_capture", "automatic")
    assert (bank.status, bank.amount_received) == ("succeeded", 700)


async def test_an_intent_for_holds_refuses_a_bank(client: Any, asked: Any) -> None:
    made = await client.v1.payment_intents.create_async(asked)
    assert made.payment_method_types == ["card"]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payment_intents.confirm_async(made.id, {"payment_method": "pm_usBankAccount_success"})
    assert refused.value.code == "payment_intent_incompatible_payment_method"
    assert (await client.v1.payment_intents.retrieve_async(made.id)).status == "requires_payment_method"


async def test_of_the_allowed_types_those_that_fit_are_offered(client: Any, asked: Any) -> None:
    del asked["automatic_payment_methods"]
    asked["allowed_payment_method_types"] = ["ideal", "card"]
    held = await client.v1.payment_intents.create_async(asked)
    both = await client.v1.payment_intents.create_async({**asked, "capture_method": "automatic"})
    assert (held.payment_method_types, sorted(both.payment_method_types)) == (["card"], ["card", "ideal"])
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.payment_intents.create_async({**asked, "allowed_payment_method_types": ["ideal"]})


async def test_a_bank_s_page_takes_the_money_when_the_buyer_comes_back(client: Any, control: Control) -> None:
    ideal = {"amount": 900, "currency": "eur", "confirm": True, "payment_method_data": {"type": "ideal"}}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payment_intents.create_async({**ideal, "allowed_payment_method_types": ["ideal"]})
    assert refused.value.param == "return_url"
    made = await client.v1.payment_intents.create_async({**ideal, "return_url": BACK})
    assert made.next_action.type == "redirect_to_url"
    assert control.authenticate(made.id)["status"] == "succeeded"


async def test_where_a_redirect_is_possible_the_way_back_is_asked_for(client: Any) -> None:
    open_to_all = {"amount": 500, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa"}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payment_intents.create_async(open_to_all)
    assert refused.value.param == "return_url"
    made = await client.v1.payment_intents.create_async({**open_to_all, "return_url": BACK})
    assert made.status == "succeeded"


async def test_3d_secure_passed_holds_the_money(client: Any, control: Control, asked: Any) -> None:
    made = await client.v1.payment_intents.create_async(asked)
    confirm = {"payment_method": "pm_card_authenticationRequired", "return_url": BACK}
    acting = await client.v1.payment_intents.confirm_async(made.id, confirm)
    assert (acting.status, acting.next_action.type) == ("requires_action", "redirect_to_url")
    assert acting.next_action.redirect_to_url.return_url == BACK
    assert control.authenticate(made.id)["status"] == "requires_capture"
    found = await client.v1.payment_intents.retrieve_async(made.id)
    assert (found.next_action, found.amount_capturable) == (None, 4500)


async def test_without_a_way_back_3d_secure_is_for_the_browser_s_library(client: Any, asked: Any) -> None:
    made = await client.v1.payment_intents.create_async(asked)
    acting = await client.v1.payment_intents.confirm_async(made.id, {"payment_method": "pm_card_threeDSecure2Required"})
    assert acting.next_action.type == "use_stripe_sdk"


@pytest.mark.parametrize(
    ("method", "success", "code"),
    [
        ("pm_card_authenticationRequired", False, "payment_intent_authentication_failure"),
        ("pm_card_authenticationRequiredChargeDeclinedInsufficientFunds", True, "card_declined"),
    ],
)
async def test_3d_secure_failed_or_declined_after_it_asks_for_another_card(
    client: Any, control: Control, asked: Any, method: str, *, success: bool, code: str
) -> None:
    made = await client.v1.payment_intents.create_async({**asked, "confirm": True, "payment_method": method})
    after = control.authenticate(made.id, success=success)
    assert (after["status"], after["last_payment_error"]["code"]) == ("requires_payment_method", code)


async def test_3d_secure_after_a_cancellation_comes_too_late(client: Any, control: Control, asked: Any) -> None:
    acting = {**asked, "confirm": True, "payment_method": "pm_card_authenticationRequired"}
    made = await client.v1.payment_intents.create_async(acting)
    await client.v1.payment_intents.cancel_async(made.id)
    with pytest.raises(ControlRefused) as refused:
        control.authenticate(made.id)
    assert refused.value.code == "payment_intent_unexpected_state"
    assert control.books().moved("hold") == 0


@pytest.mark.parametrize("how", ["off_session", "error_on_requires_action"])
async def test_where_nobody_can_act_authentication_is_a_decline(client: Any, asked: Any, how: str) -> None:
    acting = {**asked, "confirm": True, "payment_method": "pm_card_authenticationRequired", how: True}
    with pytest.raises(stripe.CardError) as declined:
        await client.v1.payment_intents.create_async(acting)
    assert declined.value.code == "authentication_required"


@pytest.mark.parametrize("success", [True, False])
async def test_a_processing_card_waits_for_the_bank(
    client: Any, control: Control, asked: Any, *, success: bool
) -> None:
    waiting = {**asked, "confirm": True, "payment_method": "pm_simulator_processing"}
    made = await client.v1.payment_intents.create_async(waiting)
    assert made.status == "processing"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payment_intents.cancel_async(made.id)
    assert refused.value.code == "payment_intent_unexpected_state"
    control.decide(made.id, success=success)
    found = await client.v1.payment_intents.retrieve_async(made.id)
    assert found.status == ("requires_capture" if success else "requires_payment_method")


async def test_a_bank_debit_has_one_charge_from_pending_to_its_end(client: Any, control: Control) -> None:
    debit = {"amount": 900, "currency": "usd", "confirm": True, "return_url": BACK, "expand": ["latest_charge"]}
    made = await client.v1.payment_intents.create_async({**debit, "payment_method": "pm_usBankAccount_success"})
    assert (made.status, made.latest_charge.status) == ("processing", "pending")
    assert control.decide(made.id)["latest_charge"] == made.latest_charge.id
    assert (await client.v1.charges.retrieve_async(made.latest_charge.id)).status == "succeeded"


async def test_canceling_releases_the_hold_and_is_final(client: Any, control: Control, held: Any) -> None:
    made = await client.v1.payment_intents.create_async(held)
    gone = await client.v1.payment_intents.cancel_async(made.id, {"cancellation_reason": "abandoned"})
    assert (gone.status, gone.cancellation_reason, gone.amount_capturable) == ("canceled", "abandoned", 0)
    assert gone.canceled_at is not None
    for act in (client.v1.payment_intents.capture_async, client.v1.payment_intents.cancel_async):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await act(made.id)
        assert refused.value.code == "payment_intent_unexpected_state"
    with pytest.raises(stripe.InvalidRequestError, match="canceled"):
        await client.v1.payment_intents.confirm_async(made.id, {"payment_method": "pm_card_visa"})
    assert control.books().moved("release") == 4500


async def test_what_has_succeeded_can_t_be_canceled(client: Any, taken: Any) -> None:
    made = await client.v1.payment_intents.create_async(taken)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payment_intents.cancel_async(made.id)
    assert refused.value.code == "payment_intent_unexpected_state"
    assert error_of(refused)["payment_intent"]["status"] == "succeeded"


async def test_a_hold_expires_when_told_and_after_seven_days(client: Any, control: Control, held: Any) -> None:
    told = await client.v1.payment_intents.create_async(held)
    left = await client.v1.payment_intents.create_async(held)
    assert control.expire(told.id)["status"] == "canceled"
    assert control.advance(6 * 24 * 3600) == []
    assert control.advance(24 * 3600) == [left.id]
    found = await client.v1.payment_intents.retrieve_async(left.id)
    assert (found.status, found.cancellation_reason, found.amount_capturable) == ("canceled", "automatic", 0)


async def test_a_capture_that_the_bank_refuses_ends_the_hold(client: Any, control: Control, held: Any) -> None:
    made = await client.v1.payment_intents.create_async({**held, "payment_method": "pm_simulator_captureDeclined"})
    assert made.status == "requires_capture"
    with pytest.raises(stripe.CardError):
        await client.v1.payment_intents.capture_async(made.id)
    line = control.books().intent(made.id)
    assert (line.status, line.held, line.captured) == ("requires_payment_method", 0, 0)


async def test_the_browser_confirms_with_the_secret_alone(client: Any, control: Control, asked: Any) -> None:
    made = await client.v1.payment_intents.create_async(asked)
    with pytest.raises(ControlRefused):
        control.confirm(f"{made.id}_secret_guessed", "pm_card_visa")
    declined = control.confirm(made.client_secret, "pm_card_chargeDeclined")
    assert declined["last_payment_error"]["decline_code"] == "generic_decline"
    assert control.confirm(made.client_secret, "tok_visa")["status"] == "requires_capture"
    with pytest.raises(ControlRefused):
        control.confirm(made.client_secret, "pm_card_visa")


async def test_the_browser_comes_too_late_for_a_canceled_intent(client: Any, control: Control, asked: Any) -> None:
    made = await client.v1.payment_intents.create_async(asked)
    control.give_up(made.id)
    with pytest.raises(ControlRefused) as refused:
        control.confirm(made.client_secret, "pm_card_visa")
    assert refused.value.code == "payment_intent_unexpected_state"


async def test_an_update_before_the_confirmation_changes_the_amount(client: Any, asked: Any) -> None:
    made = await client.v1.payment_intents.create_async({**asked, "metadata": {"a": "1", "b": "2"}})
    changes = {"amount": 5000, "metadata": {"b": "", "c": "3"}, "description": "two seats"}
    changed = await client.v1.payment_intents.update_async(made.id, changes)
    assert (changed.amount, changed.description) == (5000, "two seats")
    assert changed.metadata.to_dict() == {"a": "1", "c": "3"}
    await client.v1.payment_intents.confirm_async(made.id, {"payment_method": "pm_card_visa"})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payment_intents.update_async(made.id, {"amount": 1})
    assert refused.value.code == "payment_intent_unexpected_state"


@pytest.mark.parametrize(
    ("wrong", "code", "param"),
    [
        ({"amount": 49}, "amount_too_small", "amount"),
        ({"amount": 100_000_000}, "amount_too_large", "amount"),
        ({"currency": "dollars"}, None, "currency"),
        ({"payment_method": "pm_card_nobody"}, "resource_missing", "payment_method"),
        ({"return_url": BACK}, "parameter_missing", "return_url"),
        ({"statement_descriptor": "TICKETS"}, None, "statement_descriptor"),
        ({"metadata": {"k" * 41: "v"}}, None, f"metadata[{'k' * 40}]"),
        ({"allowed_payment_method_types": ["card"]}, "parameters_exclusive", "allowed_payment_method_types"),
        ({"payment_method_types": ["card"]}, "payment_method_types_no_longer_supported", "payment_method_types"),
    ],
)
async def test_what_stripe_refuses_is_refused_and_makes_nothing(
    client: Any, control: Control, asked: Any, *, wrong: dict[str, Any], code: str | None, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payment_intents.create_async({**asked, **wrong})
    assert (refused.value.http_status, refused.value.code, refused.value.param) == (400, code, param)
    assert control.books().intents == []


async def test_what_does_not_exist_is_404_and_another_secret_shows_nothing(client: Any, asked: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await client.v1.payment_intents.retrieve_async("pi_nothing")
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
    made = await client.v1.payment_intents.create_async(asked)
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.payment_intents.retrieve_async(made.id, {"client_secret": "pi_x_secret_y"})


async def test_lists_come_by_pages_newest_first(client: Any, asked: Any) -> None:
    ids = [(await client.v1.payment_intents.create_async(asked)).id for _ in range(5)]
    first = await client.v1.payment_intents.list_async({"limit": 2})
    assert ([intent.id for intent in first.data], first.has_more) == (ids[:2:-1], True)
    second = await client.v1.payment_intents.list_async({"limit": 2, "starting_after": ids[3]})
    assert [intent.id for intent in second.data] == [ids[2], ids[1]]
    before = await client.v1.payment_intents.list_async({"limit": 2, "ending_before": ids[0]})
    assert [intent.id for intent in before.data] == [ids[2], ids[1]]
    found = [intent.id async for intent in first.auto_paging_iter()]
    assert found == ids[::-1]
    assert (await client.v1.payment_intents.list_async({"created": {"gt": 4_000_000_000}})).data == []


async def test_expanded_fields_are_objects(client: Any, held: Any) -> None:
    made = await client.v1.payment_intents.create_async({**held, "expand": ["latest_charge.payment_method"]})
    assert (made.latest_charge.object, made.latest_charge.payment_method.card.last4) == ("charge", "4242")
    assert made.latest_charge.payment_method_details.card.capture_before > made.created
    listed = await client.v1.payment_intents.list_async({"expand": ["data.latest_charge"]})
    assert listed.data[0].latest_charge.amount == 4500
    with pytest.raises(stripe.InvalidRequestError, match="amount"):
        await client.v1.payment_intents.retrieve_async(made.id, {"expand": ["amount"]})


async def test_the_balance_is_what_was_taken(client: Any, taken: Any) -> None:
    made = await client.v1.payment_intents.create_async(taken)
    await client.v1.refunds.create_async({"payment_intent": made.id, "amount": 500})
    (balance,) = (await client.v1.balance.retrieve_async()).available
    assert (balance.amount, balance.currency) == (4000, "usd")
    assert (await client.v1.accounts.retrieve_current_async()).charges_enabled


async def test_a_disputed_charge_says_so(client: Any, taken: Any) -> None:
    disputed = {**taken, "payment_method": "pm_card_createDispute", "expand": ["latest_charge"]}
    made = await client.v1.payment_intents.create_async(disputed)
    assert (made.status, made.latest_charge.disputed) == ("succeeded", True)
