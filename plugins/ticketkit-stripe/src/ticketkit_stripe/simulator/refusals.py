"""Why a call is refused, in the form of Stripe's errors (docs.stripe.com/api/errors)."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """A call that is answered with an error object.

    Args:
        message: For people.
        status: Of HTTP.
        kind: Stripe's `type` of the error.
        code: Stripe's `code`.
        param: Name of the parameter that is wrong, with brackets.
        unstarted: It was refused before the endpoint began, so no idempotency key remembers it.
        violation: The caller broke the protocol, which the books keep.
        more: Further fields of the error object.

    Attributes:
        headers: Of the answer.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        unstarted: bool = False,
        violation: bool = False,
        more: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param
        self.unstarted, self.violation = unstarted, violation
        self.headers: dict[str, str] = {}
        self._kind, self._more = kind, more or {}

    def body(self) -> dict[str, Any]:
        """The JSON that is answered."""
        error = {"code": self.code, "message": str(self), "param": self.param, "type": self._kind, **self._more}
        return {"error": {name: value for name, value in error.items() if value is not None}}


def missing(kind: str, id: str, *, param: str | None = None) -> Refusal:
    """Nothing has that id: 404 when the path names it, 400 when a parameter does."""
    status = 404 if param is None else 400
    return Refusal(f"No such {kind}: {id!r}", status=status, code="resource_missing", param=param or "id")


def unexpected_state(intent: dict[str, Any], verb: str, allowed: tuple[str, ...]) -> Refusal:
    """The intent is in a state in which that can't be done."""
    return Refusal(
        f"{intent['id']} is {intent['status']}; to {verb} it, it has to be one of: {', '.join(allowed)}.",
        code="payment_intent_unexpected_state",
        more={"payment_intent": intent},
    )


def too_many(reason: str, *, code: str = "rate_limit") -> Refusal:
    """429: the call has not begun, and another try may be let through."""
    refusal = Refusal(reason, status=429, code=code, unstarted=True)
    if code == "lock_timeout":
        refusal.headers["Stripe-Should-Retry"] = "true"
    return refusal


def broken(message: str, *, status: int = 500, unstarted: bool = False) -> Refusal:
    """5xx. A 500 is remembered by its idempotency key, so repeating the call with it would not help."""
    refusal = Refusal(message, status=status, kind="api_error", unstarted=unstarted)
    refusal.headers["Stripe-Should-Retry"] = "true" if unstarted else "false"
    return refusal
