"""The account as a machine: whatever is asked of it in whatever order, its books agree."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from ticketkit_stripe.simulator.engine import Call, Engine
from ticketkit_stripe.simulator.intents import FINAL
from ticketkit_stripe.simulator.methods import Decline
from ticketkit_stripe.simulator.operations import OPERATIONS
from ticketkit_stripe.simulator.refusals import Refusal

NAMED: Final = {operation.name: operation for operation in OPERATIONS}
METHODS: Final = [
    "pm_card_visa",
    "pm_card_chargeDeclined",
    "pm_card_authenticationRequired",
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
    "pm_card_pendingRefund",
    "pm_card_refundFail",
    "pm_simulator_processing",
    "pm_simulator_captureDeclined",
    "pm_simulator_takenAtOnce",
    "pm_usBankAccount_success",
]
amounts = st.integers(50, 2000)
PARTS: Final = st.sampled_from([None, (0.3, 0), (0.7, 0), (0.7, 1), (1.0, 0), (1.0, 1), (2.0, 0)])
"""So much of an amount and so many more; None: what the call takes it for when nothing is said."""


class Account(RuleBasedStateMachine):
    """Everybody does anything: the server, the buyer, the bank."""

    intents = Bundle("intents")

    def __init__(self) -> None:
        super().__init__()
        self.clock = 1_800_000_000.0
        self.engine = Engine(now=lambda: self.clock, random=Random(0), api_version="v")
        self.ended: dict[str, str] = {}

    def _do(self, name: str, params: dict[str, Any], id: str = "", *, refuse: bool = False) -> dict[str, Any] | None:
        decline = Decline("card_declined", "generic_decline") if refuse else None
        try:
            return self.engine.run(Call(operation=NAMED[name], params=params, id=id, refuse=decline))
        except Refusal:
            return None

    @rule(
        target=intents,
        amount=amounts,
        capture=st.sampled_from(["manual", "automatic", "automatic_async"]),
        card=st.booleans(),
    )
    def create(self, amount: int, capture: str, *, card: bool) -> str:
        return self._made(amount, capture, card=card)

    @rule(
        target=intents,
        amount=amounts,
        capture=st.sampled_from(["manual", "automatic"]),
        method=st.sampled_from([*METHODS[:1], "pm_card_authenticationRequired", *METHODS[4:6]]),
    )
    def pay(self, amount: int, capture: str, method: str) -> str:
        """Much of what can go wrong begins with a payment that went well, or waits for its buyer."""
        id = self._made(amount, capture, card=False)
        self.confirm(id, method, refuse=False)
        return id

    def _made(self, amount: int, capture: str, *, card: bool) -> str:
        options = {"payment_method_options": {"card": {"capture_method": "manual"}}} if card else {}
        made = self._do(
            "payment_intents.create", {"amount": amount, "currency": "usd", "capture_method": capture, **options}
        )
        assert made is not None
        return str(made["id"])

    def _one(self, data: st.DataObject, status: str) -> str:
        """An intent in that state, if there is one: most of what is asked should be possible."""
        every = self.engine.books.intents
        return data.draw(st.sampled_from([id for id in every if every[id].status == status] or [*every, "pi_nothing"]))

    def _part(self, id: str, part: tuple[float, int]) -> int:
        intent = self.engine.books.intents.get(id)
        return 0 if intent is None else int(intent.amount * part[0]) + part[1]

    @rule(intent=intents, method=st.sampled_from(METHODS), refuse=st.booleans())
    def confirm(self, intent: str, method: str, *, refuse: bool) -> None:
        params = {"payment_method": method, "return_url": "https://shop.test"}
        self._do("payment_intents.confirm", params, intent, refuse=refuse)

    @rule(data=st.data(), part=PARTS, refuse=st.booleans())
    def capture(self, data: st.DataObject, part: tuple[float, int] | None, *, refuse: bool) -> None:
        id = self._one(data, "requires_capture")
        params = {} if part is None else {"amount_to_capture": self._part(id, part)}
        self._do("payment_intents.capture", params, id, refuse=refuse)

    @rule(intent=intents)
    def cancel(self, intent: str) -> None:
        self._do("payment_intents.cancel", {}, intent)

    @rule(intent=intents, amount=amounts)
    def update(self, intent: str, amount: int) -> None:
        self._do("payment_intents.update", {"amount": amount}, intent)

    @rule(data=st.data(), part=PARTS)
    def refund(self, data: st.DataObject, part: tuple[float, int] | None) -> None:
        id = self._one(data, "succeeded")
        amount = {} if part is None else {"amount": self._part(id, part)}
        self._do("refunds.create", {"payment_intent": id, **amount})

    @precondition(lambda self: self.engine.books.refunds)
    @rule(data=st.data(), success=st.booleans())
    def settle(self, data: st.DataObject, *, success: bool) -> None:
        refund = data.draw(st.sampled_from(sorted(self.engine.books.refunds)))
        self._tell(lambda: self.engine.bank.settle(refund, success=success))

    @rule(intent=intents, success=st.booleans(), verb=st.sampled_from(["authenticate", "decide"]))
    def answer(self, intent: str, verb: str, *, success: bool) -> None:
        self._tell(lambda: getattr(self.engine.bank, verb)(intent, success=success))

    @rule(intent=intents, method=st.sampled_from(METHODS))
    def browse(self, intent: str, method: str) -> None:
        secret = self.engine.books.intents[intent].client_secret
        self._tell(lambda: self.engine.bank.confirm(secret, method, return_url="https://shop.test"))

    @rule(days=st.integers(0, 4))
    def wait(self, days: int) -> None:
        self.clock += days * 24 * 3600
        self.engine.bank.sweep()

    def _tell(self, act: Any) -> None:
        try:
            act()
        except Refusal:
            return

    @invariant()
    def final_states_stay(self) -> None:
        for intent in self.engine.books.intents.values():
            assert self.ended.get(intent.id, intent.status) == intent.status
            if intent.status in FINAL:
                self.ended[intent.id] = intent.status

    @invariant()
    def never_more_is_taken_than_agreed_nor_given_back_than_taken(self) -> None:
        books = self.engine.books
        for intent in books.intents.values():
            sums = dict.fromkeys(("hold", "release", "capture", "refund", "return"), 0)
            captures = 0
            for movement in books.movements:
                if movement.intent == intent.id:
                    sums[movement.kind] += movement.amount
                    captures += movement.kind == "capture"
            assert captures <= 1
            assert sums["capture"] == intent.amount_received <= intent.amount
            assert 0 <= sums["refund"] - sums["return"] <= intent.amount_received
            assert intent.amount_received == 0 or intent.status == "succeeded"
            assert (intent.amount_capturable > 0) == (intent.status == "requires_capture")
            held = sums["hold"] - sums["release"]
            # What was taken had been held, or it was taken at once.
            assert held == intent.amount_capturable or (intent.status == "succeeded" and held in {0, sums["capture"]})

    @invariant()
    def refunds_fit_their_charges(self) -> None:
        for charge in self.engine.books.charges.values():
            given = [
                r.amount for r in self.engine.books.refunds.values() if r.charge == charge.id and r.status != "failed"
            ]
            assert sum(given) == charge.amount_refunded <= charge.amount_captured <= charge.amount

    @invariant()
    def each_intent_says_what_it_is_in_stripe_s_words(self) -> None:
        for intent in self.engine.books.intents.values():
            shown = intent.shown()
            assert (shown["next_action"] is not None) == (shown["status"] == "requires_action")
            assert (shown["canceled_at"] is not None) == (shown["status"] == "canceled")
            assert shown["status"] != "requires_payment_method" or shown["payment_method"] is None


TestAccount = Account.TestCase
TestAccount.settings = settings(
    max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
