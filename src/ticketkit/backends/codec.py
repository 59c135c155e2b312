"""Entities as JSON: for the record of a command's answer, and for backends that keep documents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter

from ticketkit.domain.entities import ENTITIES, Entity, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

_ADAPTERS: Final[dict[Kind, TypeAdapter[Any]]] = {kind: TypeAdapter(cls) for kind, cls in ENTITIES.items()}


def encode(entity: Entity) -> bytes:
    """One entity as JSON, without its kind."""
    return _ADAPTERS[entity.KIND].dump_json(entity)


def decode(kind: Kind, text: bytes | str) -> Entity:
    """The inverse of `encode`."""
    entity: Entity = _ADAPTERS[kind].validate_json(text)
    return entity


def encode_answer(entities: Iterable[Entity]) -> str:
    """An answer as a JSON array of `[kind, entity]` pairs."""
    return "[" + ",".join(f'["{entity.KIND}",{encode(entity).decode()}]' for entity in entities) + "]"


def decode_answer(text: bytes | str) -> tuple[Entity, ...]:
    """The inverse of `encode_answer`."""
    pairs: list[tuple[Kind, Any]] = json.loads(text)
    return tuple(_ADAPTERS[kind].validate_json(json.dumps(value)) for kind, value in pairs)
