"""Cursors of lists, and what else of a query every storage has to understand in the same way.

A cursor is the position of the last item of a page, as a JSON array in URL-safe base64: `[list, *position]`. It names
its list, so that one of another list, or of another order of the same list, is refused.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ticketkit.backends.storage import BadCursor, TicketSort

if TYPE_CHECKING:
    from ticketkit.domain.entities import Ticket

Position: TypeAlias = tuple[Any, ...]

DESCENDING: Final = frozenset({TicketSort.NEWEST, TicketSort.PRICE_DESC})
"""Orders of tickets in which positions go down, the id as well."""
_MAX_INT: Final = 2**63 - 1


def encode_cursor(of: str, *position: str | int) -> str:
    """The cursor after an item.

    Args:
        of: Name of the list and its order.
        position: What the list is ordered by, the id last.
    """
    text = json.dumps([of, *position], separators=(",", ":"), ensure_ascii=False)
    return urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def decode_cursor(cursor: str, of: str, *types: type[str | int]) -> Position:
    """The position that a cursor stands for: as many values as types.

    Raises:
        BadCursor: It was not given out by this list.
    """
    try:
        found = json.loads(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError):
        raise _bad() from None
    if not isinstance(found, list) or len(found) != len(types) + 1 or found[0] != of:
        raise _bad()
    return tuple(_checked(value, cls) for value, cls in zip(found[1:], types, strict=True))


def ticket_position(ticket: Ticket, sort: TicketSort) -> Position:
    """What tickets are ordered by: (price in minor units, id), or the id alone, which begins with its time (UUIDv7)."""
    if sort in (TicketSort.PRICE, TicketSort.PRICE_DESC):
        return (ticket.price.minor, ticket.id)
    return (ticket.id,)


def ticket_cursor(ticket: Ticket, sort: TicketSort) -> str:
    """The cursor after a ticket."""
    return encode_cursor(f"tickets {sort.value}", *ticket_position(ticket, sort))


def ticket_cursor_position(cursor: str, sort: TicketSort) -> Position:
    """The inverse of `ticket_cursor`: the position after which the page begins.

    Raises:
        BadCursor: It was not given out by this list in this order.
    """
    types = (int, str) if sort in (TicketSort.PRICE, TicketSort.PRICE_DESC) else (str,)
    return decode_cursor(cursor, f"tickets {sort.value}", *types)


def words(text: str) -> list[str]:
    """The words of a search, case-folded: each of them has to occur."""
    return text.casefold().split()


def _checked(value: object, cls: type[str | int]) -> object:
    # A cursor comes from outside: no value may be one that a database can't compare with.
    if type(value) is not cls:
        raise _bad()
    if isinstance(value, int) and not -_MAX_INT <= value <= _MAX_INT:
        raise _bad()
    if isinstance(value, str) and not value.isprintable():
        raise _bad()
    return value


def _bad() -> BadCursor:
    msg = "This cursor was not given out by this list."
    return BadCursor(msg)
