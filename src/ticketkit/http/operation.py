"""Operations: each route of the API told once, as data. Routes, checks and the OpenAPI document all come from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeAlias, TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from ticketkit.http.problems import Refusal
from ticketkit.http.shop import Shop
from ticketkit.http.throttle import Throttle
from ticketkit.services.catalogue import ServiceName
from ticketkit.services.principal import OPERATOR, Principal

B = TypeVar("B")
Q = TypeVar("Q")

SMALL: Final = 64 * 1024
"""Most bytes of a body, where an operation says nothing else."""
MEBIBYTE: Final = 1024 * 1024


@dataclass(slots=True)
class Call(Generic[B, Q]):
    """One request, checked as its operation says.

    Attributes:
        body: The body's model.
        query: The query's model.
        caller: Who is asking; None where nobody has to be.
        key: The Idempotency-Key.
    """

    shop: Shop
    request: Request
    throttle: Throttle
    body: B
    query: Q
    caller: Principal | None
    key: str | None

    @property
    def id(self) -> str:
        """The id in the path."""
        return str(self.request.path_params["id"])

    @property
    def user_id(self) -> str:
        """Who is asking."""
        return self.principal.id

    @property
    def owner_id(self) -> str | None:
        """Who is asking, for what its owner or an operator may do; None for an operator."""
        return None if OPERATOR in self.principal.roles else self.user_id

    @property
    def principal(self) -> Principal:
        """Who is asking, where somebody has to be."""
        if self.caller is None:
            raise not_signed_in()
        return self.caller


Handler: TypeAlias = Callable[[Any], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A success.

    Attributes:
        what: In words.
        shape: Type of the JSON, for the document; None for no body.
        media_type: Of the body, where it is no JSON.
        headers: Names with a sentence each.
    """

    what: str
    shape: Any = None
    media_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path.

    Attributes:
        tag: The service, or what else it belongs to.
        body: Model of the JSON body.
        body_optional: Whether the body may be left out.
        raw: The handler reads the body itself, whatever it is.
        query: Model of the query.
        answers: Successes by status.
        errors: Codes of the refusals by status, besides those that follow from the rest.
        signed_in: Somebody must be signed in.
        asks: Whether to find out who is asking, though nobody has to be.
        keyed: Takes an Idempotency-Key.
        limit: Most bytes of the body.
        cross_site: Other sites may post to it.
    """

    method: str
    path: str
    summary: str
    handler: Handler
    answers: Mapping[int, Answer]
    tag: ServiceName | str
    description: str = ""
    body: type[BaseModel] | None = None
    body_optional: bool = False
    raw: bool = False
    query: type[BaseModel] | None = None
    errors: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    signed_in: bool = False
    asks: bool = False
    keyed: bool = False
    limit: int = SMALL
    cross_site: bool = False

    @property
    def unsafe(self) -> bool:
        """Whether it changes anything (RFC 9110, section 9.2.1)."""
        return self.method != "GET"

    @property
    def has_id(self) -> bool:
        """Whether there is an id in the path."""
        return "{id}" in self.path

    @property
    def id(self) -> str:
        """Its name in the document."""
        return getattr(self.handler, "__name__", self.path)

    def refusals(self) -> dict[int, tuple[str, ...]]:
        """All codes by status: its own, and those that follow from what it takes."""
        follows: tuple[tuple[bool, int, tuple[str, ...]], ...] = (
            (self.has_id, 400, ("malformed_id",)),
            (self.query is not None, 400, ("invalid_input", "given_twice")),
            (self.query is not None and "cursor" in self.query.model_fields, 400, ("bad_cursor",)),
            (self.body is not None, 400, ("invalid_input", "malformed_json")),
            (self.keyed, 400, ("bad_idempotency_key",)),
            (self.signed_in, 401, ("not_signed_in",)),
            (self.unsafe and not self.cross_site, 403, ("cross_site",)),
            (self.body is not None or self.raw, 413, ("body_too_large",)),
            (self.body is not None, 415, ("unsupported_media_type",)),
            (self.keyed, 422, ("idempotency_key_reused",)),
            (True, 500, ("internal_error",)),
            (self.tag in set(ServiceName), 503, ("unavailable",)),
            (self.tag in set(ServiceName) and self.unsafe, 503, ("outcome_unknown",)),
        )
        found = {status: list(codes) for status, codes in self.errors.items()}
        for holds, status, codes in follows:
            if holds:
                found.setdefault(status, []).extend(codes)
        return {status: tuple(dict.fromkeys(codes)) for status, codes in sorted(found.items())}


def not_signed_in() -> Refusal:
    """The refusal for who has to sign in first."""
    return Refusal(401, "not_signed_in", "Sign in first.", headers={"www-authenticate": "Bearer"})
