"""The payment provider of the check: what it makes of a call, and what happens in its books by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.domain.interleaving.point import Booked
from tests.domain.interleaving.rules import Scenario

SAID: Final = {"authorized": "authorized", "taken": "taken", "declined": "declined", "acting": "action"}
BOOKS: Final = {**SAID, "captured": "taken", "refused": "authorized", "void": "declined"}
"""What the driver makes of the books: money that is there was taken, whichever way."""


def answers(call: str, was: Booked, scenario: Scenario, *, prepares: bool) -> Iterator[tuple[Booked, str]]:
    """The provider's books after a call, and its answer: all that may be."""
    operation, _, number = call.partition(" ")
    match operation:
        case "prepare":
            yield (was._replace(status="prepared") if was.status == "none" else was), "prepared"
        case "authorize" if was.said:
            yield was, was.said
        case "authorize":
            yield from _authorized(was, scenario, prepares=prepares)
        case "retrieve" if was.status in BOOKS:
            yield was, BOOKS[was.status]
        case "look" if was.status in ("authorized", "captured", "taken"):
            yield was, BOOKS[was.status]
        case "capture":
            yield from _captured(was, scenario)
        case "void" if was.status != "none":
            yield (was, "kept") if was.paid else (was._replace(status="void"), "void")
        case "refund":
            yield from _refunded(was, int(number), scenario)


def by_itself(was: Booked, scenario: Scenario) -> Iterator[tuple[str, Booked]]:
    """What may happen without a call: the buyer acts in the browser, or held money is let go."""
    if was.status == "acting":
        for status in (*_good(scenario), "declined"):
            yield f"A acts: {status}", was._replace(status=status)
    if was.status == "declined" and scenario.revives:
        for status in (*_good(scenario), *(["acting"] if scenario.action else [])):
            yield f"A goes on with another card in the browser: {status}", was._replace(status=status)
    if was.status == "authorized" and scenario.moody:
        yield "the provider lets the money go", was._replace(status="void")


def _good(scenario: Scenario) -> list[str]:
    return [*(["authorized"] if scenario.holds else []), *(["taken"] if scenario.takes else [])]


def _authorized(was: Booked, scenario: Scenario, *, prepares: bool) -> Iterator[tuple[Booked, str]]:
    if was.status == "void":
        yield was._replace(said="declined"), "declined"
    elif was.status == "prepared" or not prepares:
        for status in (*_good(scenario), "declined", *(["acting"] if scenario.action and prepares else [])):
            yield was._replace(status=status, said=SAID[status]), SAID[status]


def _captured(was: Booked, scenario: Scenario) -> Iterator[tuple[Booked, str]]:
    if was.status == "authorized":
        yield was._replace(status="captured"), "captured"
        if scenario.moody:
            yield was._replace(status="refused"), "capture refused"  # for good; the money is still held
    else:
        yield was, "captured" if was.paid else "capture refused"


def _refunded(was: Booked, number: int, scenario: Scenario) -> Iterator[tuple[Booked, str]]:
    """It gives whatever it is asked for, once for each refund: only our own books keep it from giving too much."""
    if number not in was.refused:
        yield was._replace(given=was.given | {number}), f"given {number}"
    if number in was.refused or (scenario.refuses and number == 0 and not was.given):
        yield was._replace(refused=was.refused | {number}), f"not given {number}"
