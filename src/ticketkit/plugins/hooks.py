"""The hooks of ticketkit: what a plugin can implement, and how often each is called.

A plugin implements a hook with a function of its name, marked with `hookimpl` or not. It takes any of the hook's
arguments, by name, and may leave out those that it does not need. Hooks are synchronous, and a plugin's module is light
to import: drivers are imported when a backend opens, web frameworks inside `ticketkit_routes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import click
    from starlette.routing import BaseRoute

    from ticketkit.backends.spec import Backend
    from ticketkit.domain.entities import Line, LiveEvent, Ticket
    from ticketkit.domain.policy import Policy
    from ticketkit.events.contract import Contract
    from ticketkit.events.registry import Upcaster
    from ticketkit.plugins.rules import Rule

PROJECT: Final = "ticketkit"
"""Name of the project for pluggy, and of the one entry-point group."""

BACKENDS: Final = "ticketkit_backends"
CONTRACTS: Final = "ticketkit_contracts"
POLICY: Final = "ticketkit_policy"
PRICES: Final = "ticketkit_prices"
RULES: Final = "ticketkit_rules"
ROUTES: Final = "ticketkit_routes"
COMMANDS: Final = "ticketkit_commands"

HOOKS: Final = (BACKENDS, CONTRACTS, POLICY, PRICES, RULES, ROUTES, COMMANDS)
"""Names of all hooks."""

hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a plugin's function as a hook; needed only for options such as `@hookimpl(tryfirst=True)`."""

hookspec = pluggy.HookspecMarker(PROJECT)
"""Marks the hooks below."""


@hookspec
def ticketkit_backends() -> list[Backend]:
    """What services can run on: storage, bus, timers, payment providers.

    Called once, when plugins are loaded. A backend is then selected by the scheme of its URL; each scheme of a kind
    has one backend, and a plugin that claims one that is taken is refused.

    Returns:
        A spec for each backend. Nothing is opened before it is selected.
    """
    return []


@hookspec
def ticketkit_contracts() -> list[type[Contract] | tuple[type[Contract], Upcaster]]:
    """Contracts of events that the plugin adds to the catalogue.

    Called once, when plugins are loaded.

    Returns:
        Contracts of version 1 as they are; from version 2 on a pair of the contract and its upcaster, which makes one
        of it from one of the version before.
    """
    return []


@hookspec(firstresult=True)
def ticketkit_policy(live_event: LiveEvent | None, default: Policy) -> Policy | None:
    """The policy of orders for a live event.

    Called each time an order is placed, once for every live event in it; the order carries the policy from then on. The
    first plugin that answers decides: the app's own before those that are installed. It must answer at once, for the
    buyer waits: no I/O.

    Args:
        live_event: What the tickets are for; None for tickets of no live event.
        default: The policy of the settings; `dataclasses.replace` it to change one number.

    Returns:
        The policy, or None to leave it to others.
    """
    return None


@hookspec
def ticketkit_prices(
    buyer_id: str, tickets: Sequence[Ticket], live_events: Mapping[str, LiveEvent], policy: Policy
) -> list[Line] | None:
    """Fees and taxes of an order, as lines of it: its total is the sum of all lines, and that is what is paid.

    Called inside the decision each time an order is placed, possibly several times for one order; the order carries the
    lines from then on. The lines of all plugins are added up. It is pure: no I/O, no clock, no randomness. A
    `DomainError` that it raises refuses the order.

    Args:
        buyer_id: Who orders.
        tickets: At least one, all of one currency, with their prices as they are now.
        live_events: Those that the tickets are for, by id.
        policy: Of the order.

    Returns:
        Lines of kind `fee` or `tax`, in the currency of the tickets, none negative. One with a `ticket_id` is dropped
        together with that ticket; one without is of the whole order, and stays. None for no lines.
    """
    return None


@hookspec
def ticketkit_rules() -> list[Rule]:
    """Rules that an order has to pass besides ticketkit's own: members only, one ticket a person, no resale.

    Called once, when plugins are loaded. All rules of all plugins are asked; one that raises refuses the order.

    Returns:
        Rules, each with an async `gather` and a pure synchronous `judge`.
    """
    return []


@hookspec
def ticketkit_routes() -> list[BaseRoute]:
    """HTTP routes that the marketplace serves besides its own.

    Called once, when plugins are loaded. ticketkit's own routes win where two match.

    Returns:
        Starlette routes: `Route`, `WebSocketRoute` or `Mount`. Import Starlette inside the function.
    """
    return []


@hookspec
def ticketkit_commands() -> list[click.Command]:
    """Subcommands of the program `ticketkit`.

    Called once, when plugins are loaded. ticketkit's own commands win where two have one name.

    Returns:
        Click commands or groups, each with a name.
    """
    return []
