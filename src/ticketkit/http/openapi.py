"""The OpenAPI 3.1 document, from the same table as the routes."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from ticketkit.http import shapes
from ticketkit.http.operation import Operation
from ticketkit.http.problems import MEDIA_TYPE

VERSION: Final = "3.1.0"
_REF: Final = "#/components/schemas/{model}"
_SESSION: Final[list[dict[str, list[str]]]] = [{"session": []}, {"bearer": []}]

_Types = dict[Any, dict[str, Any]]


def document(operations: Sequence[Operation], *, root: str = "") -> dict[str, Any]:
    """The document.

    Args:
        operations: All that are served.
        root: Path below which they are.
    """
    inputs, outputs, schemas = _schemas(operations)
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, inputs, outputs)
    return {
        "openapi": VERSION,
        "info": {
            "title": "ticketkit",
            "version": importlib.metadata.version("ticketkit"),
            "summary": "A marketplace of tickets: list, lock, pay.",
            "description": (
                "Times are UTC, amounts are exact decimal numbers of the major unit. A refusal is a problem "
                "(RFC 9457) with a stable `code`."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": root or "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(str(operation.tag) for operation in operations)],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "session"},
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            },
        },
    }


def _schemas(operations: Sequence[Operation]) -> tuple[_Types, _Types, dict[str, Any]]:
    bodies: list[Any] = [operation.body for operation in operations if operation.body is not None]
    queries: list[Any] = [operation.query for operation in operations if operation.query is not None]
    answers = [answer.shape for operation in operations for answer in operation.answers.values() if answer.shape]
    wanted: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = [
        *((cls, "validation", TypeAdapter(cls)) for cls in dict.fromkeys([*bodies, *queries])),
        *((shape, "serialization", TypeAdapter(shape)) for shape in _distinct([*answers, shapes.Problem])),
    ]
    keyed: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [
        (str(number), mode, adapter) for number, (_, mode, adapter) in enumerate(wanted)
    ]
    found, rest = TypeAdapter.json_schemas(keyed, ref_template=_REF)
    schemas: dict[str, Any] = rest.get("$defs", {})
    inputs: list[tuple[Any, dict[str, Any]]] = []
    outputs: list[tuple[Any, dict[str, Any]]] = []
    for number, (source, mode, _) in enumerate(wanted):
        schema = found[str(number), mode]
        (inputs if mode == "validation" else outputs).append((source, schema))
    parameters = {cls: _resolved(schema, schemas) for cls, schema in inputs if cls in queries}
    for cls in {cls.__name__ for cls in queries} - {cls.__name__ for cls in bodies}:
        schemas.pop(cls, None)
    return {**dict(inputs), **parameters}, dict(outputs), dict(sorted(schemas.items()))


def _distinct(types: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for one in types:
        if one not in found:
            found.append(one)
    return found


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    ref: str = schema.get("$ref", "")
    return dict(schemas[ref.rsplit("/", 1)[-1]]) if ref else schema


def _operation(operation: Operation, inputs: _Types, outputs: _Types) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [str(operation.tag)],
        "summary": operation.summary,
        "parameters": _parameters(operation, inputs),
        "responses": _responses(operation, outputs),
        "security": _SESSION if operation.signed_in else [{}, *_SESSION] if operation.asks else [],
    }
    if operation.description:
        told["description"] = operation.description
    if operation.body is not None:
        content = {"application/json": {"schema": inputs[operation.body]}}
        told["requestBody"] = {"required": not operation.body_optional, "content": content}
    if operation.raw:
        told["requestBody"] = {"required": True, "content": {"*/*": {"schema": {}}}}
    return told


def _parameters(operation: Operation, inputs: _Types) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [_path_parameter(name) for name in _names(operation.path)]
    if operation.query is not None:
        found += _query_parameters(inputs[operation.query])
    if operation.keyed:
        what = "The same key has one effect and one answer, for 24 h; a refusal is decided anew."
        schema = {"type": "string", "minLength": 1, "maxLength": 255}
        found.append({"name": "Idempotency-Key", "in": "header", "description": what, "schema": schema})
    return found


def _names(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def _path_parameter(name: str) -> dict[str, Any]:
    schema = {"type": "string", "format": "uuid"} if name == "id" else {"type": "string"}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(schema: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    required = schema.get("required", ())
    for name, about in schema["properties"].items():
        one = {key: value for key, value in about.items() if key not in ("title", "description")}
        parameter = {"name": name, "in": "query", "required": name in required, "schema": one}
        if "description" in about:
            parameter["description"] = about["description"]
        found.append(parameter)
    return found


def _responses(operation: Operation, outputs: _Types) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, answer in operation.answers.items():
        told: dict[str, Any] = {"description": answer.what}
        if answer.shape is not None:
            told["content"] = {"application/json": {"schema": outputs[answer.shape]}}
        elif answer.media_type is not None:
            told["content"] = {answer.media_type: {"schema": {"type": "string"}}}
        if answer.headers:
            told["headers"] = {
                name: {"description": what, "schema": {"type": "string"}} for name, what in answer.headers.items()
            }
        found[str(status)] = told
    for status, codes in operation.refusals().items():
        found[str(status)] = _problem(status, codes, outputs)
    return found


def _problem(status: int, codes: Sequence[str], outputs: _Types) -> dict[str, Any]:
    told: dict[str, Any] = {
        "description": ", ".join(f"`{code}`" for code in codes),
        "content": {MEDIA_TYPE: {"schema": outputs[shapes.Problem]}},
        "x-codes": list(codes),
    }
    if status in (429, 503):
        what = "Seconds after which to try again; not with every one."
        told["headers"] = {"Retry-After": {"description": what, "schema": {"type": "string"}}}
    return told
