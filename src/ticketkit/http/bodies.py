"""JSON in and out: amounts are exact in both directions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ticketkit.http.problems import Refusal


class Json(Response):
    """A JSON response; it may be about somebody, so no cache keeps it."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode."""
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Add to the usual headers."""
        super().init_headers(headers)
        self.raw_headers.append((b"cache-control", b"no-store"))


async def read(request: Request, *, limit: int) -> bytes:
    """The body.

    Raises:
        Refusal: It has more bytes than the limit (413); the rest is not read.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
    except ClientDisconnect:
        raise Refusal(400, "bad_request", "The request ended before its body.") from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def read_json(request: Request, model: type[BaseModel], *, limit: int, optional: bool = False) -> BaseModel:
    """The body as a model. Numbers with a decimal point are `Decimal`, never a float.

    Raises:
        Refusal: Wrong type of content, too large, or no JSON.
        ValidationError: The JSON is not the model's.
    """
    if optional and "content-type" not in request.headers and not await read(request, limit=0):
        return model.model_validate({})
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise Refusal(415, "unsupported_media_type", "The body must be JSON: Content-Type: application/json.")
    return model.model_validate(parse(await read(request, limit=limit)))


def parse(body: bytes) -> Any:
    """Read JSON.

    Raises:
        Refusal: It is none (400).
    """
    try:
        return json.loads(body.decode(), parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise Refusal(400, "malformed_json", f"The body is no JSON{where}.") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _too_large(limit: int) -> Refusal:
    return Refusal(413, "body_too_large", f"The body has more than {limit} bytes.", most=limit)
