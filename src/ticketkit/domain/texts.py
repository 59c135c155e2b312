"""Bounds of texts and of what an app adds."""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ticketkit.domain.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

TITLE: Final = 200
SEAT: Final = 60
EMAIL: Final = 254
EXTRA_BYTES: Final = 4096


def bounded(text: str, field: str, *, most: int = TITLE) -> str:
    """A text, trimmed: 1 to `most` characters, none of them a control character or half a surrogate pair.

    Raises:
        InvalidInput: It is empty, too long, or can't be shown.
    """
    text = text.strip()
    if not text:
        msg = f"{field.capitalize()} must not be empty."
        raise InvalidInput(msg, code="text_empty", field=field)
    if len(text) > most:
        msg = f"{field.capitalize()} has {len(text)} characters; at most {most} are allowed."
        raise InvalidInput(msg, code="text_too_long", field=field, most=most)
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in text):
        msg = f"{field.capitalize()} has control characters."
        raise InvalidInput(msg, code="text_not_printable", field=field)
    return text


def checked_zone(zone: str) -> str:
    """An IANA time zone's name.

    Raises:
        InvalidInput: There is no such zone.
    """
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        msg = f"{zone[:60]!r} is not an IANA time zone, such as 'Europe/Berlin'."
        raise InvalidInput(msg, code="unknown_zone", field="zone") from None
    return zone


def checked_extra(extra: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """What an app adds: JSON, each key with a namespace (`acme:row`), 4 KB at most.

    Raises:
        InvalidInput: A key has no namespace, a value is no JSON, or it is too long.
    """
    if not extra:
        return {}
    if bad := next((key for key in extra if ":" not in key), None):
        msg = f"The key {bad!r} of extra needs a namespace: 'yourapp:{bad}'."
        raise InvalidInput(msg, code="extra_namespace", field="extra")
    try:
        size = len(json.dumps(extra, allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError):
        msg = "Extra must be JSON."
        raise InvalidInput(msg, code="extra_not_json", field="extra") from None
    if size > EXTRA_BYTES:
        msg = f"Extra has {size} bytes; at most {EXTRA_BYTES} are allowed."
        raise InvalidInput(msg, code="extra_too_long", field="extra")
    return extra
