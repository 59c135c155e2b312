"""Parameters are checked against stripe-python's own types, with nothing beside them allowed."""

from __future__ import annotations

import importlib
import typing
from typing import Any, Final

import typing_extensions
from pydantic import ConfigDict, TypeAdapter, ValidationError
from stripe._request_options import RequestOptions
from stripe._stripe_context import StripeContext

from ticketkit_stripe.simulator.forms import bracketed
from ticketkit_stripe.simulator.operations import Operation
from ticketkit_stripe.simulator.refusals import Refusal

_CLOSED: Final = {
    "cancellation_reason": {"abandoned", "duplicate", "fraudulent", "requested_by_customer"},
    "capture_method": {"automatic", "automatic_async", "manual"},
    "confirmation_method": {"automatic", "manual"},
    "reason": {"duplicate", "fraudulent", "requested_by_customer"},
}
"""stripe-python lets any string pass here, Stripe does not."""

_CODES: Final = {
    "extra_forbidden": "parameter_unknown",
    "missing": "parameter_missing",
    "int_parsing": "parameter_invalid_integer",
}


_RANK: Final = ("int_parsing", "missing", "extra_forbidden")
"""What says most of what the caller did wrong comes last."""


class Parameters:
    """The checks of each operation, built when it is first called: all of them would hold up the start."""

    def __init__(self) -> None:
        self._adapters: dict[str, TypeAdapter[dict[str, Any]]] = {}

    def check(self, operation: Operation, given: dict[str, Any]) -> dict[str, Any]:
        """The parameters with numbers and booleans instead of their strings.

        Raises:
            Refusal: One is unknown, missing, of another type or not modelled here. A violation.
        """
        for name in given.keys() & RequestOptions.__annotations__.keys():
            raise _refusal("extra_forbidden", (name,), "an option of the client, not a parameter")
        if "payment_method_types" in given and operation.name.startswith("payment_intents."):
            raise _types_are_gone()
        card_token = _take_card_token(given)
        try:
            checked = self._adapter(operation).validate_python(given)
        except ValidationError as error:
            raise _translated(error, given) from None
        for name in checked.keys() - operation.models:
            raise Refusal(
                f"The simulator does not model {name!r} of {operation.name}.",
                param=name,
                unstarted=True,
                violation=True,
            )
        _check_closed(checked)
        if card_token is not None:
            checked["payment_method_data"]["card"] = {"token": card_token}
        return checked

    def _adapter(self, operation: Operation) -> TypeAdapter[dict[str, Any]]:
        if operation.params not in self._adapters:
            self._adapters[operation.params] = _build(operation)
        return self._adapters[operation.params]


def _build(operation: Operation) -> TypeAdapter[dict[str, Any]]:
    module = importlib.import_module(operation.module)
    for value in vars(module).values():
        if typing_extensions.is_typeddict(value):
            # A TypedDict takes no configuration from outside; this attribute is read by pydantic alone.
            value.__pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True, defer_build=True)
    adapter: TypeAdapter[dict[str, Any]] = TypeAdapter(getattr(module, operation.params))
    names = {**vars(typing), **vars(typing_extensions), **vars(module), "StripeContext": StripeContext}
    adapter.rebuild(force=True, _types_namespace=names)
    return adapter


def _take_card_token(given: dict[str, Any]) -> str | None:
    """`payment_method_data[card][token]`: Stripe takes it, and its documentation uses it; the types leave it out."""
    data = given.get("payment_method_data")
    card = data.get("card") if isinstance(data, dict) else None
    if (
        isinstance(data, dict)
        and isinstance(card, dict)
        and card.keys() == {"token"}
        and isinstance(card["token"], str)
    ):
        given["payment_method_data"] = {name: value for name, value in data.items() if name != "card"}
        return str(card["token"])
    return None


def _translated(error: ValidationError, given: dict[str, Any]) -> Refusal:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    # Of a union every member complains; what the caller did wrong is what goes deepest.
    found = [(problem, _real(problem["loc"], given, problem["type"])) for problem in problems]
    worst, path = max(found, key=lambda pair: (_rank(pair[0]["type"]), len(pair[1])))
    return _refusal(worst["type"], path, worst["msg"])


def _rank(kind: str) -> int:
    return _RANK.index(kind) if kind in _RANK else -1


def _real(location: tuple[str | int, ...], given: Any, kind: str) -> tuple[str | int, ...]:
    """The location without the names of a union's members, which no form has."""
    path: list[str | int] = []
    here = given
    for place, part in enumerate(location):
        if _has(here, part):
            here = here[part]
        elif kind != "missing" or place < len(location) - 1:
            continue
        path.append(part)
    return tuple(path) or location[:1]


def _types_are_gone() -> Refusal:
    """Since endive (docs.stripe.com/changelog/endive/2026-09-30)."""
    return Refusal(
        "Payment method types are allowed, with allowed_payment_method_types, or excluded.",
        code="payment_method_types_no_longer_supported",
        param="payment_method_types",
        unstarted=True,
        violation=True,
    )


def _has(here: Any, part: str | int) -> bool:
    return (
        part < len(here)
        if isinstance(here, list) and isinstance(part, int)
        else isinstance(here, dict) and part in here
    )


def _refusal(kind: str, path: tuple[str | int, ...], message: str) -> Refusal:
    name = bracketed(path)
    said = {"extra_forbidden": "unknown", "missing": "missing"}.get(kind, message)
    return Refusal(f"Parameter {name}: {said}.", code=_CODES.get(kind), param=name, unstarted=True, violation=True)


def _check_closed(checked: dict[str, Any]) -> None:
    for name, allowed in _CLOSED.items():
        if checked.get(name) is not None and checked[name] not in allowed:
            raise Refusal(
                f"{name} has to be one of {', '.join(sorted(allowed))}.", param=name, unstarted=True, violation=True
            )
