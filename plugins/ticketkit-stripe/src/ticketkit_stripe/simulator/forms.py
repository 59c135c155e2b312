"""Stripe's form notation: `payment_method_options[card][capture_method]=manual`, `expand[]=latest_charge`."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl

from ticketkit_stripe.simulator.refusals import Refusal

_NAME: Final = re.compile(r"(?P<first>[^\[\]]+)(?P<rest>(?:\[[^\[\]]*\])*)")
_FREE: Final = "metadata"
"""Here names are the caller's own: `metadata[0]` is a name, not a place in a list."""


def decode(text: str) -> dict[str, Any]:
    """A form or query string as nested dicts and lists of strings.

    Raises:
        Refusal: A name that is no such notation.
    """
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        _put(found, _path(name), value, name)
    return {name: value if name == _FREE else _lists(value) for name, value in found.items()}


def bracketed(path: tuple[str | int, ...]) -> str:
    """A path as a name of the form: `("expand", 0)` is `expand[0]`."""
    first, *rest = path
    return str(first) + "".join(f"[{part}]" for part in rest)


def _path(name: str) -> list[str]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise Refusal(f"{name!r} is no name of a parameter.", param=name, unstarted=True, violation=True)
    return [match["first"], *re.findall(r"\[([^\[\]]*)\]", match["rest"])]


def _put(found: dict[str, Any], path: list[str], value: str, name: str) -> None:
    here = found
    for part in path[:-1]:
        here = here.setdefault(part or str(len(here)), {})
        if not isinstance(here, dict):
            raise Refusal(f"{name!r} is given twice, in two forms.", param=name, unstarted=True, violation=True)
    here[path[-1] or str(len(here))] = value


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(name.isdecimal() for name in value):
        return [_lists(value[name]) for name in sorted(value, key=int)]
    return {name: inner if name == _FREE else _lists(inner) for name, inner in value.items()}
