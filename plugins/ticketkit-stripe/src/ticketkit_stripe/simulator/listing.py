"""Lists: newest first, by pages (docs.stripe.com/api/pagination)."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol

from ticketkit_stripe.simulator.objects import Event
from ticketkit_stripe.simulator.refusals import Refusal, missing

if TYPE_CHECKING:
    from ticketkit_stripe.simulator.engine import Call

_USUAL: Final = 10
_MOST: Final = 100
_COMPARE: Final = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}


class _Shown(Protocol):
    id: str
    created: int

    def shown(self) -> dict[str, Any]: ...


def page(call: Call, things: Iterable[_Shown]) -> dict[str, Any]:
    """One page of these, which are in the order they were made in.

    Raises:
        Refusal: The page does not begin at one of them, or its size is out of bounds.
    """
    params = call.params
    limit = params.get("limit", _USUAL)
    if not 1 <= limit <= _MOST:
        raise Refusal(f"From 1 to {_MOST}.", param="limit")
    rows = [thing for thing in reversed(list(things)) if _in_time(thing.created, params.get("created"))]
    ids = [thing.id for thing in rows]
    if (after := params.get("starting_after")) is not None:
        rows = rows[_place(ids, after, "starting_after") + 1 :]
    elif (before := params.get("ending_before")) is not None:
        end = _place(ids, before, "ending_before")
        rows = rows[max(0, end - limit) : end]
    return {
        "object": "list",
        "data": [thing.shown() for thing in rows[:limit]],
        "has_more": len(rows) > limit,
        "url": call.operation.path,
    }


def events_wanted(events: Iterable[Event], params: dict[str, Any]) -> list[Event]:
    """The events that a list asks for.

    Raises:
        Refusal: It asks for a type and for types.
    """
    if "type" in params and "types" in params:
        raise Refusal("Give type or types.", code="parameters_exclusive", param="types")
    types = params.get("types") or ([params["type"]] if "type" in params else None)
    wanted = [event for event in events if types is None or any(_is(event.type, type) for type in types)]
    if "delivery_success" in params:
        wanted = [event for event in wanted if (event.pending == 0) == params["delivery_success"]]
    return wanted


def _is(type: str, wanted: str) -> bool:
    return type.startswith(wanted[:-1]) if wanted.endswith("*") else type == wanted


def _place(ids: list[str], id: str, param: str) -> int:
    if id not in ids:
        raise missing("object", id, param=param)
    return ids.index(id)


def _in_time(created: int, asked: Any) -> bool:
    if asked is None:
        return True
    if isinstance(asked, dict):
        return all(_COMPARE[name](created, bound) for name, bound in asked.items())
    return created == int(asked)
