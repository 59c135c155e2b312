"""Refusals as problem details (RFC 9457), and the one table that says which error is which status."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ticketkit.backends.errors import BadWebhook, CommandReused, OutcomeUnknown, Refused, Unavailable
from ticketkit.backends.storage import BadCursor
from ticketkit.domain.errors import (
    Conflict,
    DomainError,
    Forbidden,
    InvalidInput,
    NotFound,
    PaymentDeclined,
    TicketkitError,
)
from ticketkit.runtime.runtime import NotRunning
from ticketkit.services.payments import PaymentsBusy
from ticketkit.services.progress import TooManyWaiting

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
MOST_ERRORS: Final = 100
"""Most errors listed in one problem."""

STATUS: Final[dict[type[TicketkitError], int]] = {
    InvalidInput: 400,
    PaymentDeclined: 402,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    DomainError: 409,
    BadWebhook: 400,
    BadCursor: 400,
    CommandReused: 422,
    Refused: 400,
    TooManyWaiting: 503,
    NotRunning: 503,
    OutcomeUnknown: 503,
    Unavailable: 503,
}
"""Status by class of error; the nearest base class counts."""

# Errors of backends have messages for operators; these are the codes and sentences for clients.
_OUTSIDE: Final[dict[type[TicketkitError], tuple[str, str]]] = {
    BadWebhook: ("bad_webhook", "The webhook is not from the provider, or too old."),
    BadCursor: ("bad_cursor", "This cursor was not given out by this list."),
    CommandReused: ("idempotency_key_reused", "This Idempotency-Key was used for another request."),
    Refused: ("refused", "This can't be stored."),
    TooManyWaiting: ("too_many_waiting", "Too many requests wait already. Try again in a moment."),
    NotRunning: ("unavailable", "This is not running now. Try again in a moment."),
    OutcomeUnknown: ("outcome_unknown", "It may have happened, or not: look before you try again."),
    PaymentsBusy: (
        "payments_busy",
        "So many are paying that your order would expire before its turn comes. You were not charged.",
    ),
    Unavailable: ("unavailable", "This can't be done now. Nothing has happened; try again in a moment."),
}

_HTTP_CODES: Final = {
    400: "bad_request",
    401: "not_signed_in",
    403: "forbidden",
    404: "route_not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
    500: "internal_error",
}
_RESERVED: Final = frozenset({"type", "title", "status", "detail", "instance", "code", "errors"})


class Refusal(Exception):
    """A request that HTTP itself refuses.

    Args:
        status: Of the response.
        code: Stable, `snake_case`.
        message: One sentence for people.
        field: The input that it is about, as the client spells it.
        headers: Of the response.
        values: What it is about.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.field = status, code, message, field
        self.headers, self.values = headers, values


class Problem(Response):
    """A problem details response.

    Args:
        status: Of the response, and in it.
        code: Stable, `snake_case`.
        detail: One sentence for people.
        errors: What is wrong with which field; the detail alone when left out.
        values: Further members; a name that RFC 9457 uses gets `State` in the end of a word of its own.
        headers: Of the response.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] | None = None,
        values: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.code = code
        content: dict[str, Any] = {
            "type": f"urn:ticketkit:problem:{code}",
            "title": code.replace("_", " ").capitalize(),
            "status": status,
            "detail": detail,
            "code": code,
            "errors": list(errors or [{"message": detail}]),
        }
        for name, value in (values or {}).items():
            content[_member(name)] = value
        super().__init__(
            json.dumps(content, default=str, ensure_ascii=False).encode("utf-8", "backslashreplace"),
            status_code=status,
            headers={"cache-control": "no-store", **(headers or {})},
        )


def problem_of(error: Exception) -> Problem | None:
    """The problem that tells a client of an error; None for one that is nobody's refusal."""
    match error:
        case Refusal():
            return _of_refusal(error)
        case DomainError():
            return _of_domain(error)
        case TicketkitError():
            return _of_outside(error)
        case ValidationError():
            return _of_validation(error)
        case HTTPException():
            code = _HTTP_CODES.get(error.status_code, "refused")
            return Problem(error.status_code, code, error.detail, headers=error.headers)
    return None


def internal_error(request_id: str) -> Problem:
    """The problem for an unexpected error: nothing but where to look."""
    return Problem(500, "internal_error", "Something went wrong here. It was noted.", values={"request_id": request_id})


def status_of(error: TicketkitError) -> int | None:
    """The status of an error, by its nearest class in the table."""
    return next((STATUS[cls] for cls in type(error).__mro__ if cls in STATUS), None)


def spelled(field: str) -> str:
    """A field of a domain error as clients spell it: `tickets[3].event_id` is `tickets[3].eventId`."""
    return ".".join(to_camel(part) for part in field.split("."))


def _of_refusal(error: Refusal) -> Problem:
    errors = [_entry(error.message, error.field)]
    return Problem(error.status, error.code, error.message, errors=errors, values=error.values, headers=error.headers)


def _of_domain(error: DomainError) -> Problem:
    field = spelled(error.field) if error.field else None
    errors = [_entry(error.message, field)]
    return Problem(status_of(error) or 409, error.code, error.message, errors=errors, values=error.values)


def _of_outside(error: TicketkitError) -> Problem | None:
    status = status_of(error)
    if status is None:
        return None
    code, sentence = next(_OUTSIDE[cls] for cls in type(error).__mro__ if cls in _OUTSIDE)
    headers = None
    if isinstance(error, Unavailable | TooManyWaiting | NotRunning):
        headers = {"retry-after": str(max(1, math.ceil(getattr(error, "retry_after", None) or 1)))}
    if status >= 500:  # noqa: PLR2004
        log.warning("%s: %s", code, error)
    field = "cursor" if isinstance(error, BadCursor) else None
    return Problem(status, code, sentence, errors=[_entry(sentence, field)], headers=headers)


def _of_validation(error: ValidationError) -> Problem:
    errors = list(_entries(error))
    first = errors[0]
    detail = first["message"] if "field" not in first else f"{first['field']}: {first['message']}"
    if len(errors) > 1:
        detail = f"{detail} ({len(errors)} errors)"
    return Problem(400, "invalid_input", detail, errors=errors[:MOST_ERRORS])


def _entries(error: ValidationError) -> Iterator[Mapping[str, str]]:
    for found in error.errors(include_url=False, include_context=True, include_input=False):
        kind = found["type"]
        message = _SENTENCES.get(kind) or found["msg"].removeprefix("Value error, ")
        yield _entry(message, path_of(found["loc"]), _CODES.get(kind, kind))


_SENTENCES: Final = {
    "extra_forbidden": "There is no such field.",
    "missing": "This is required.",
    "model_type": "A JSON object is expected.",
    "model_attributes_type": "A JSON object is expected.",
    "string_unicode": "This is not valid Unicode.",
}
_CODES: Final = {"extra_forbidden": "unknown_field", "model_type": "not_an_object", "value_error": "invalid"}


def _entry(message: str, field: str | None = None, code: str | None = None) -> dict[str, str]:
    entry = {"message": message}
    if field:
        entry["field"] = field
    if code:
        entry["code"] = code
    return entry


def path_of(loc: Sequence[str | int]) -> str:
    """A location in the input: `tickets[17].price`."""
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part[:100]}"
    return path.removeprefix(".")


def _member(name: str) -> str:
    # `status` of a problem is the response's; an order's is its state.
    return "state" if name == "status" else f"{to_camel(name)}Value" if name in _RESERVED else to_camel(name)
