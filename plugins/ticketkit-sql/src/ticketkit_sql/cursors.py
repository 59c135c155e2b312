"""Cursors: where a page ended, opaque to everybody else."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from ticketkit.backends.storage import BadCursor


def encode(name: str, *values: Any) -> str:
    """The cursor of a list after an item.

    Args:
        name: Of the list: a cursor of another list is refused.
        values: What the list is sorted by, of the last item.
    """
    text = json.dumps([name, *values], ensure_ascii=False, separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str, name: str, *types: type) -> tuple[Any, ...]:
    """The inverse of `encode`.

    Raises:
        BadCursor: This list did not give it out.
    """
    try:
        found = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        given, *values = found
    except (ValueError, TypeError):
        raise BadCursor("This cursor was not given out by this list.") from None
    if given != name or [type(value) for value in values] != list(types):
        raise BadCursor("This cursor was not given out by this list.")
    return tuple(values)
