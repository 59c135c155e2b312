from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from ticketkit.backends.spec import API_VERSION, Backend
from ticketkit.domain.entities import Line, LineKind
from ticketkit.domain.errors import InvalidInput
from ticketkit.domain.money import MAX_MINOR
from ticketkit.domain.texts import bounded
from ticketkit.events.contract import is_contract
from ticketkit.plugins import hooks
from ticketkit.plugins.rules import Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_PAIR: Final = ("contract", "upcaster")
ACCEPTED: Final = (API_VERSION - 1, API_VERSION)


class Wrong(Exception):
    """Something about a plugin that makes it unusable, as a sentence for people."""


def checked(hook: str, answer: Any) -> tuple[Any, ...]:
    """What a plugin answered to a hook, item by item as it has to be; raise `Wrong` when it isn't."""
    return tuple(_ITEMS[hook](item) for item in listed(hook, answer))


def listed(hook: str, answer: Any) -> list[Any] | tuple[Any, ...]:
    """What a plugin answered to a hook; raise `Wrong` when it is no list."""
    if not isinstance(answer, list | tuple):
        raise Wrong(f"{hook} answered with {_a(answer)}, not a list.")
    return answer


def checked_line(item: Any, *, ticket_ids: Collection[str], currency: str) -> Line:
    """A line that a plugin adds to an order of these tickets; raise `Wrong` when it can't be one."""
    if not isinstance(item, Line):
        raise Wrong(f"{hooks.PRICES} answered with {_a(item)} among its lines.")
    if item.kind is LineKind.TICKET or item.seller_id is not None:
        raise Wrong(f"{hooks.PRICES} answered with the line {item.title!r}, which is neither a fee nor a tax.")
    if item.ticket_id is not None and item.ticket_id not in ticket_ids:
        raise Wrong(f"{hooks.PRICES} answered with {item.title!r} for the ticket {item.ticket_id}, not of this order.")
    if item.amount.currency != currency or not 0 <= item.amount.minor <= MAX_MINOR:
        amount = f"{item.amount.minor} minor units of {item.amount.currency}"
        raise Wrong(f"{hooks.PRICES} answered with {item.title!r} of {amount}; it is 0 {currency} or more.")
    try:
        bounded(item.title, "title")
    except InvalidInput as error:
        raise Wrong(f"{hooks.PRICES} answered with a line that can't be shown: {error}") from error
    return item


def check_version(backend: Backend) -> None:
    """Raise `Wrong` for a backend that was written for ports which this release does not take."""
    if backend.api_version not in ACCEPTED:
        accepted = " and ".join(str(version) for version in ACCEPTED if version > 0)
        age = "newer" if backend.api_version > API_VERSION else "older"
        raise Wrong(
            f"{backend.kind} backend {backend.name!r} has api_version {backend.api_version}, which is {age} than "
            f"what this release of ticketkit accepts: {accepted}."
        )


def _backend(item: Any) -> Backend:
    if not isinstance(item, Backend):
        raise Wrong(f"{hooks.BACKENDS} answered with {_a(item)} among its backends.")
    schemes: Any = item.schemes
    if not isinstance(schemes, tuple) or not schemes:  # a text would be as many schemes as it has letters
        raise Wrong(f"{item.kind} backend {item.name!r} needs a tuple of URL schemes.")
    return item


def _contract(item: Any) -> Any:
    contract, upcast = item if isinstance(item, tuple) and len(item) == len(_PAIR) else (item, None)
    if not is_contract(contract) or not (upcast is None or callable(upcast)):
        raise Wrong(f"{hooks.CONTRACTS} answered with {_a(item)} among its contracts.")
    return contract, upcast


def _rule(item: Any) -> Rule:
    if isinstance(item, type) or not isinstance(item, Rule):
        raise Wrong(f"{hooks.RULES} answered with {_a(item)}, which is no rule with gather and judge.")
    if not inspect.iscoroutinefunction(item.gather):
        raise Wrong(f"gather of rule {type(item).__qualname__} has to be async.")
    if inspect.iscoroutinefunction(item.judge):
        raise Wrong(f"judge of rule {type(item).__qualname__} has to be synchronous: it runs inside the decision.")
    return item


def _route(item: Any) -> Any:
    from starlette.routing import BaseRoute

    if not isinstance(item, BaseRoute):
        raise Wrong(f"{hooks.ROUTES} answered with {_a(item)} among its routes.")
    return item


def _command(item: Any) -> Any:
    import click

    if not isinstance(item, click.Command) or not item.name:
        raise Wrong(f"{hooks.COMMANDS} answered with {_a(item)} among its commands, or with one without a name.")
    return item


def _a(value: Any) -> str:
    return f"the class {value.__qualname__}" if isinstance(value, type) else f"a {type(value).__name__}"


_ITEMS: Final[dict[str, Callable[[Any], Any]]] = {
    hooks.BACKENDS: _backend,
    hooks.CONTRACTS: _contract,
    hooks.RULES: _rule,
    hooks.ROUTES: _route,
    hooks.COMMANDS: _command,
}
FIELDS: Final = {hook: hook.removeprefix(f"{hooks.PROJECT}_") for hook in _ITEMS}
"""The field of `Plugin` for the answer to a hook."""
