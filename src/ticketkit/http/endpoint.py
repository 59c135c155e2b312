"""Runs operations: finds who asks, checks the input, calls the handler, tells refusals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ticketkit.domain.errors import TicketkitError
from ticketkit.http.bodies import read_json
from ticketkit.http.operation import Call, Operation, not_signed_in
from ticketkit.http.problems import Problem, Refusal, problem_of
from ticketkit.http.shop import Shop
from ticketkit.http.throttle import Throttle
from ticketkit.ids import is_id
from ticketkit.services.commands import KEY_LENGTH

TRAIL: Final = "ticketkit.trail"
"""Where a request's `Trail` is in its scope."""


@dataclass(slots=True)
class Trail:
    """What is noted of a request while it is answered.

    Attributes:
        route: Template of the path.
        actor: Who asked.
        code: Of a refusal.
    """

    route: str = ""
    actor: str | None = None
    code: str | None = None


class Endpoint:
    """All operations of one path, as an ASGI app.

    Args:
        shop: The marketplace.
        throttle: Counts tries.
        operations: One for each method.
    """

    def __init__(self, shop: Shop, throttle: Throttle, operations: Sequence[Operation]) -> None:
        self._shop, self._throttle = shop, throttle
        self._operations = {operation.method: operation for operation in operations}
        methods = [*self._operations, *(["HEAD"] if "GET" in self._operations else [])]
        self._allow = ", ".join(sorted(methods))
        self._path = operations[0].path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        trail = scope.get(TRAIL) or Trail()
        trail.route = self._path
        method = scope["method"]
        operation = self._operations.get("GET" if method == "HEAD" else method)
        if operation is None:
            response: Response = Problem(
                405, "method_not_allowed", f"Here is no {method[:20]}.", headers={"allow": self._allow}
            )
        else:
            response = await self._answer(operation, Request(scope, receive), trail)
        if isinstance(response, Problem):
            trail.code = response.code
        await response(scope, receive, send)

    async def _answer(self, operation: Operation, request: Request, trail: Trail) -> Response:
        try:
            call = await self._call(operation, request)
            if call.caller is not None:
                trail.actor = call.caller.id
            return await operation.handler(call)
        except (TicketkitError, Refusal, ValidationError, HTTPException) as error:
            problem = problem_of(error)
            if problem is None:
                raise
            return problem

    async def _call(self, operation: Operation, request: Request) -> Call[object, object]:
        caller = await self._shop.identify(request) if operation.signed_in or operation.asks else None
        if operation.signed_in and caller is None:
            raise not_signed_in()
        if operation.has_id and not is_id(request.path_params["id"]):
            raise Refusal(400, "malformed_id", "This is no id: ids are UUIDs in lower case.", field="id")
        query = None if operation.query is None else _query(request, operation.query)
        body = None
        if operation.body is not None:
            body = await read_json(request, operation.body, limit=operation.limit, optional=operation.body_optional)
        key = _key(request) if operation.keyed else None
        return Call(self._shop, request, self._throttle, body, query, caller, key)


def _query(request: Request, model: type[BaseModel]) -> BaseModel:
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise Refusal(400, "given_twice", f"{name[:100]} is given twice.", field=name[:100])
        given[name] = value
    return model.model_validate(given)


def _key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= KEY_LENGTH and key.isprintable()):
        raise Refusal(
            400,
            "bad_idempotency_key",
            f"An Idempotency-Key has 1 to {KEY_LENGTH} printable characters.",
            field="Idempotency-Key",
        )
    return key
