"""Shows what came of the demonstration: tables for people, JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from ticketkit.services.catalogue import SERVICES
from ticketkit_marketplace.combinations import COMBINATIONS
from ticketkit_marketplace.demo.conductor import LISTING_LIMIT, ORDER_LIMIT, percentile
from ticketkit_marketplace.demo.system import Shape
from ticketkit_marketplace.machine import machine

if TYPE_CHECKING:
    from rich.console import Console

    from ticketkit_marketplace.demo.conductor import Outcome

MILLISECONDS = 1_000
MEBIBYTE = 2**20


def passed(outcome: Outcome) -> bool:
    """Whether every invariant holds, and every limit that applies is kept."""
    return all(finding.holds for finding in outcome.findings) and all(good for *_, good in limits(outcome))


def limits(outcome: Outcome) -> list[tuple[str, float, float, bool]]:
    """What has a limit: name, figure, limit (both seconds), whether it is kept.

    A run with a kill in its middle has no limit for orders: nobody answers while the server is down. Only SQLite in one
    process has limits.
    """
    found: list[tuple[str, float, float]] = []
    if outcome.plan.limited and outcome.plan.listed:
        share = outcome.plan.listed / 34_662
        found.append(
            (f"listing {outcome.plan.listed:,} tickets by API", outcome.listing_seconds, LISTING_LIMIT * share)
        )
    if outcome.plan.limited and not outcome.plan.disturbed:
        found.append(("order, p99", percentile(outcome.tally.orders, 0.99), ORDER_LIMIT))
    return [(name, figure, limit, figure <= limit) for name, figure, limit in found]


def as_json(outcome: Outcome) -> dict[str, Any]:
    """For programs."""
    tally, counts = outcome.tally, outcome.tally.counts
    return {
        "passed": passed(outcome),
        "backends": outcome.plan.backends,
        "processes": len(SERVICES) if outcome.plan.processes is Shape.FIVE else 1,
        "buyers": outcome.plan.buyers,
        "tickets": outcome.plan.tickets,
        "sold": outcome.sold,
        "declined": counts["declined"],
        "expired": outcome.expired,
        "conflicts": counts["conflicts"],
        "orders": len(outcome.found.orders),
        "cameAgain": counts["came again"],
        "tooLate": counts["too late"],
        "connectionsLost": counts["connections lost"],
        "unavailable": counts["unavailable"],
        "endsOfOrders": dict(outcome.ends),
        "milliseconds": {
            f"{name}P{share}": round(percentile(values, share / 100) * MILLISECONDS, 1)
            for name, values in (("order", tally.orders), ("pay", tally.payments))
            for share in (50, 99)
        },
        "requests": {"orders": len(tally.orders), "payments": len(tally.payments)},
        "seconds": {
            "start": round(outcome.start_seconds, 2),
            "listing": round(outcome.listing_seconds, 2),
            "rush": round(outcome.rush_seconds, 2),
            "restart": None if outcome.restart_seconds is None else round(outcome.restart_seconds, 2),
            "serversRestart": None if outcome.servers_seconds is None else round(outcome.servers_seconds, 2),
        },
        "listed": outcome.plan.listed,
        "memoryMiB": round(outcome.rss / MEBIBYTE),
        "connections": outcome.plan.connections,
        "limits": [
            {"name": name, "seconds": round(figure, 4), "limit": limit, "kept": good}
            for name, figure, limit, good in limits(outcome)
        ],
        "invariants": [
            {"name": finding.name, "holds": finding.holds, "detail": finding.detail} for finding in outcome.findings
        ],
        "machine": machine(),
    }


def show(outcome: Outcome, console: Console) -> None:
    """For people."""
    console.print(_figures(outcome))
    console.print(_invariants(outcome))
    console.print(f"{machine()}; buyers and marketplace share it. {outcome.plan.connections} connections.")
    console.print("[bold green]Passed.[/]" if passed(outcome) else "[bold red]Failed.[/]")


def _figures(outcome: Outcome) -> Table:
    tally, counts = outcome.tally, outcome.tally.counts
    plan = outcome.plan
    what = f"{COMBINATIONS[plan.backends].what}, {'five processes' if plan.processes is Shape.FIVE else 'one process'}"
    table = Table(title=f"{plan.buyers:,} buyers, the {plan.tickets} cheapest of {plan.show}\n{what}")
    table.add_column("")
    table.add_column("", justify="right")
    table.add_column("limit", justify="right")
    for name, number in (
        ("tickets sold", outcome.sold),
        ("payments declined", counts["declined"]),
        ("orders expired", outcome.expired),
        ("payments too late, nothing taken", counts["too late"]),
        ("conflicts (409: somebody was faster)", counts["conflicts"]),
        ("buyers who came again", counts["came again"]),
    ):
        table.add_row(name, f"{number:,}")
    if outcome.restart_seconds is not None:
        table.add_row("requests cut off by SIGKILL and repeated", f"{counts['connections lost']:,}")
        table.add_row("restart after SIGKILL", f"{outcome.restart_seconds:.1f} s")
    if outcome.servers_seconds is not None:
        table.add_row("requests answered 503 and repeated", f"{counts['unavailable']:,}")
        table.add_row("restart of databases and buses after SIGKILL", f"{outcome.servers_seconds:.1f} s")
    table.add_section()
    kept = {name: (limit, good) for name, _, limit, good in limits(outcome)}
    for name, values in (("order", tally.orders), ("payment", tally.payments)):
        table.add_row(f"{name}, p50 of {len(values):,}", _ms(percentile(values, 0.5)))
        limit = kept.get(f"{name}, p99")
        table.add_row(
            f"{name}, p99", _ms(percentile(values, 0.99)), "" if limit is None else _limit(_ms(limit[0]), limit[1])
        )
    table.add_row("the rush", f"{outcome.rush_seconds:.1f} s")
    table.add_section()
    if outcome.plan.listed:
        name = f"listing {outcome.plan.listed:,} tickets by API"
        most = kept.get(name)
        shown = "" if most is None else _limit(f"{most[0]:.1f} s", most[1])
        table.add_row(name, f"{outcome.listing_seconds:.1f} s", shown)
    table.add_row("first start with import", f"{outcome.start_seconds:.1f} s")
    table.add_row("memory of all processes", f"{outcome.rss / MEBIBYTE:.0f} MiB")
    return table


def _limit(text: str, good: bool) -> str:  # noqa: FBT001
    return text if good else f"[bold red]{text}: missed[/]"


def _ms(seconds: float) -> str:
    return f"{seconds * MILLISECONDS:.1f} ms"


def _invariants(outcome: Outcome) -> Table:
    table = Table(title="Checked against the database and the payment provider's books")
    table.add_column("")
    table.add_column("invariant")
    table.add_column("")
    for finding in outcome.findings:
        mark = "[green]holds[/]" if finding.holds else "[bold red]BROKEN[/]"
        table.add_row(mark, finding.name, finding.detail)
    return table
