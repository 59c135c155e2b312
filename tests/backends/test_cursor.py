from __future__ import annotations

import json
import string
from base64 import urlsafe_b64encode
from datetime import UTC, datetime

import pytest

from ticketkit.backends.cursor import decode_cursor, encode_cursor, ticket_cursor, ticket_cursor_position, words
from ticketkit.backends.storage import BadCursor, TicketSort
from ticketkit.domain.entities import Ticket
from ticketkit.domain.money import Money

URL_SAFE = set(string.ascii_letters + string.digits + "-_")


def test_a_cursor_keeps_its_position_and_is_safe_in_urls() -> None:
    cursor = encode_cursor("orders", 12, "Grüße/?&")
    assert set(cursor) <= URL_SAFE
    assert decode_cursor(cursor, "orders", int, str) == (12, "Grüße/?&")


@pytest.mark.parametrize("sort", TicketSort)
def test_a_tickets_cursor_belongs_to_one_order(sort: TicketSort) -> None:
    ticket = Ticket(id="id", title="", price=Money(5, "USD"), seller_id="", created_at=datetime(2026, 1, 1, tzinfo=UTC))
    cursor = ticket_cursor(ticket, sort)
    assert ticket_cursor_position(cursor, sort)[-1] == "id"
    for other in set(TicketSort) - {sort}:
        with pytest.raises(BadCursor):
            ticket_cursor_position(cursor, other)


def forged(*values: object) -> str:
    return urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "a",
        "!!!!",
        "é",
        "x" * 999,
        forged(),
        forged("list"),
        forged("list", 1, "id", "more"),
        forged("other", 1, "id"),
        forged("list", "1", "id"),
        forged("list", *[True], "id"),
        forged("list", 1.5, "id"),
        forged("list", 2**63, "id"),
        forged("list", 1, None),
        forged("list", 1, "nul\0"),
        forged("list", 1, "\ud800"),
        urlsafe_b64encode(b'{"list":1}').decode(),
        urlsafe_b64encode(b"[" * 50_000).decode(),
        urlsafe_b64encode(b"\xff\xff").decode(),
    ],
)
def test_what_the_list_did_not_give_out_is_refused(cursor: str) -> None:
    assert decode_cursor(forged("list", 1, "id"), "list", int, str) == (1, "id")
    with pytest.raises(BadCursor):
        decode_cursor(cursor, "list", int, str)


def test_words_are_folded_and_split_at_any_space() -> None:
    assert words("  Große \t HAMILTON\n") == ["grosse", "hamilton"]
