"""Ids: UUIDv7, sortable by the time they were made (RFC 9562)."""

from __future__ import annotations

import re
import sys
from typing import Final

if sys.version_info >= (3, 14):
    from uuid import uuid7
else:
    from uuid_utils import uuid7

_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def new_id() -> str:
    """A fresh id: UUIDv7, lower case."""
    return str(uuid7())


def is_id(text: str) -> bool:
    """Whether a text has the form of an id (any UUID, lower case)."""
    return _ID.fullmatch(text) is not None
