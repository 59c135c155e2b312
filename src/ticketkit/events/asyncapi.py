"""The AsyncAPI 3.0.0 document of a marketplace: channels by event name, messages by version, operations by service.

Source: https://www.asyncapi.com/docs/reference/specification/v3.0.0. Events are CloudEvents in binary mode: attributes
as headers, the bare body as payload.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import models_json_schema

from ticketkit.events.envelope import PREFIX
from ticketkit.events.registry import UnknownContract

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ticketkit.events.contract import Contract
    from ticketkit.events.flow import Flow

VERSION: Final = "3.0.0"
"""Of AsyncAPI."""

_SCHEMAS: Final = "#/components/schemas/"
_ATTRIBUTES: Final[dict[str, dict[str, Any]]] = {
    "specversion": {"const": "1.0", "description": "Version of CloudEvents."},
    "id": {"format": "uuid", "description": "UUIDv7; the same in every delivery of the event."},
    "type": {"description": "Name and version of the contract."},
    "source": {"format": "uri-reference", "description": "The service that said it."},
    "subject": {"description": "Id of the aggregate."},
    "time": {"format": "date-time", "description": "When it was committed, UTC."},
    "aggregateversion": {
        "pattern": "^[0-9]+$",
        "description": "Version of the aggregate that the body shows; a copy keeps the newest.",
    },
    "correlationid": {"description": "Ties together all that one request caused."},
    "causationid": {"description": "The event or command that caused it."},
    "actor": {"description": "Id of the user who asked for it; none for what the system did."},
    "traceparent": {"description": "W3C trace context."},
}
_REQUIRED: Final = ("specversion", "id", "type", "source", "subject", "time", "aggregateversion")


def document(
    contracts: Iterable[type[Contract]], flow: Flow, *, title: str = "ticketkit", version: str = "0"
) -> dict[str, Any]:
    """The AsyncAPI document.

    Args:
        contracts: A registry, for one.
        flow: Who says and hears what.
        title: Of the marketplace.
        version: Of the release, not of AsyncAPI.

    Raises:
        UnknownContract: The flow names an event that has no contract.
    """
    contracts = list(contracts)
    if unknown := flow.events() - {contract.NAME for contract in contracts}:
        raise UnknownContract(f"No contract is registered for {', '.join(sorted(unknown))}.")
    keys, schemas = models_json_schema(
        [(contract, "validation") for contract in contracts], by_alias=True, ref_template=f"{_SCHEMAS}{{model}}"
    )
    payloads: dict[Any, Any] = {contract: schema for (contract, _), schema in keys.items()}
    return {
        "asyncapi": VERSION,
        "info": {"title": title, "version": version, "description": "Events between the services of a marketplace."},
        "defaultContentType": "application/json",
        "channels": _channels(contracts),
        "operations": _operations(contracts, flow),
        "components": {
            "messages": {_key(contract): _message(contract, payloads[contract]) for contract in contracts},
            "schemas": schemas["$defs"] | {"CloudEvent": _headers()},
        },
    }


def _channels(contracts: list[type[Contract]]) -> dict[str, Any]:
    """One for each event name, with a message for each version: subscriptions name the event without its version."""
    channels: dict[str, Any] = {}
    for contract in contracts:
        channel = channels.setdefault(contract.NAME, {"address": f"{PREFIX}{contract.NAME}", "messages": {}})
        channel["description"] = _summary(contract)
        channel["messages"][_key(contract)] = {"$ref": f"#/components/messages/{_key(contract)}"}
    return channels


def _operations(contracts: list[type[Contract]], flow: Flow) -> dict[str, Any]:
    operations: dict[str, Any] = {}
    for who in flow.participants():
        for name in flow.says.get(who, ()):
            operations[f"{who}.send.{name}"] = _operation("send", name, f"{who} publishes it.", contracts)
        for name in flow.hears.get(who, ()):
            summary = f"One member of the group {who} handles it."
            operations[f"{who}.receive.{name}"] = _operation("receive", name, summary, contracts)
        for name in flow.broadcast.get(who, ()):
            summary = f"Every process of {who} hears it."
            operations[f"{who}.receive.{name}"] = _operation("receive", name, summary, contracts)
    return operations


def _operation(action: str, name: str, summary: str, contracts: list[type[Contract]]) -> dict[str, Any]:
    channel = f"#/channels/{name}"
    keys = [_key(contract) for contract in contracts if name == contract.NAME]
    return {
        "action": action,
        "channel": {"$ref": channel},
        "summary": summary,
        "messages": [{"$ref": f"{channel}/messages/{key}"} for key in keys],
    }


def _message(contract: type[Contract], payload: dict[str, Any]) -> dict[str, Any]:
    fixed = {"properties": {"type": {"const": contract.type()}}}
    return {
        "name": contract.type(),
        "title": contract.__name__,
        "summary": _summary(contract),
        "contentType": "application/json",
        "headers": {"type": "object", "allOf": [{"$ref": f"{_SCHEMAS}CloudEvent"}, fixed]},
        "payload": payload,
    }


def _headers() -> dict[str, Any]:
    return {
        "title": "CloudEvent",
        "description": "Attributes of CloudEvents 1.0, as text.",
        "type": "object",
        "properties": {name: {"type": "string"} | about for name, about in _ATTRIBUTES.items()},
        "required": list(_REQUIRED),
    }


def _key(contract: type[Contract]) -> str:
    return f"{contract.NAME}.v{contract.VERSION}"


def _summary(contract: type[Contract]) -> str:
    return (inspect.getdoc(contract) or contract.NAME).split("\n", 1)[0]
