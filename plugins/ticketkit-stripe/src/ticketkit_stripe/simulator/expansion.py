"""`expand`: ids replaced by their objects (docs.stripe.com/api/expanding_objects)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from ticketkit_stripe.simulator.refusals import Refusal

_DEEPEST: Final = 4


def expand(
    shown: dict[str, Any], paths: Sequence[str], look_up: Callable[[str], dict[str, Any] | None]
) -> dict[str, Any]:
    """The object with the fields of these paths expanded, in place.

    Raises:
        Refusal: A path leads to nothing that could be expanded.
    """
    for path in paths:
        names = path.split(".")
        if len(names) > _DEEPEST or not _expand(shown, names, look_up):
            raise Refusal(f"{path!r} can't be expanded.", param="expand")
    return shown


def _expand(here: Any, names: Sequence[str], look_up: Callable[[str], dict[str, Any] | None]) -> bool:
    if isinstance(here, list):
        return all(_expand(item, names, look_up) for item in here)
    if here is None:
        return True
    name, *rest = names
    if not isinstance(here, dict) or name not in here:
        return False
    if isinstance(here[name], str):
        found = look_up(here[name])
        if found is None:
            return False
        here[name] = found
    return _expand(here[name], rest, look_up) if rest else isinstance(here[name], dict | list | None)
