"""The API over HTTP: who may call, how often, with which key, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ticketkit_stripe.simulator import faults
from ticketkit_stripe.simulator.books import Asked
from ticketkit_stripe.simulator.connections import Connections
from ticketkit_stripe.simulator.engine import Call
from ticketkit_stripe.simulator.faults import Dropped, Kind
from ticketkit_stripe.simulator.forms import decode
from ticketkit_stripe.simulator.journal import Entry
from ticketkit_stripe.simulator.keys import Answer
from ticketkit_stripe.simulator.operations import OPERATIONS, Operation
from ticketkit_stripe.simulator.refusals import Refusal, broken
from ticketkit_stripe.simulator.simulation import Simulation

_METHODS: Final = ["GET", "POST", "DELETE", "PUT", "PATCH"]


class Api:
    """Answers the calls of one account."""

    def __init__(self, simulation: Simulation, connections: Connections) -> None:
        self._on, self._connections = simulation, connections

    def routes(self) -> list[Route]:
        """One for each operation, and one that refuses the rest."""
        known = [
            Route(operation.path, self._endpoint(operation), methods=[operation.method]) for operation in OPERATIONS
        ]
        return [*known, Route("/{path:path}", self._endpoint(None), methods=_METHODS)]

    def _endpoint(self, operation: Operation | None) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            entry = self._on.journal.arrive(
                self._on.engine.books.new_id("req", 14),
                request.method,
                request.url.path,
                key=request.headers.get("idempotency-key"),
                version=request.headers.get("stripe-version"),
            )
            try:
                answer = await self._served(operation, request, entry)
            except Dropped:
                await self._connections.drop(request)
                return Response()
            entry.status, entry.replayed = answer.status, answer.replayed
            return self._response(answer, entry)

        return endpoint

    async def _served(self, operation: Operation | None, request: Request, entry: Entry) -> Answer:
        try:
            self._admit(request)
            known = self._known(operation, request, entry)
            self._strike_arrival(known, entry)
            self._check_version(entry.version)
            return await self._answered(known, await self._params(known, request), entry)
        except Refusal as refusal:
            return self._refused(refusal, entry)

    def _known(self, operation: Operation | None, request: Request, entry: Entry) -> Operation:
        if operation is None:
            raise Refusal(f"The simulator has no {request.method} {request.url.path}.", status=404, violation=True)
        entry.operation, entry.port = operation.name, operation.port
        entry.object = request.path_params.get("id", "")
        self._on.journal.counts[operation.name] += 1
        return operation

    def _admit(self, request: Request) -> None:
        if _secret_key(request.headers.get("authorization", "")) != self._on.settings.key:
            raise Refusal("No such key.", status=401, unstarted=True, violation=True)
        self._on.pace.admit()

    def _check_version(self, version: str | None) -> None:
        if version != self._on.settings.version:
            raise Refusal(
                f"Stripe-Version is to be {self._on.settings.version}, and not {version}.",
                unstarted=True,
                violation=True,
            )

    async def _params(self, operation: Operation, request: Request) -> dict[str, Any]:
        text = request.url.query
        if operation.method == "POST":
            kind = request.headers.get("content-type", "application/x-www-form-urlencoded")
            if not kind.startswith("application/x-www-form-urlencoded"):
                raise Refusal("Parameters are sent as a form.", unstarted=True, violation=True)
            text = (await request.body()).decode()
        return self._on.parameters.check(operation, decode(text))

    async def _answered(self, operation: Operation, params: dict[str, Any], entry: Entry) -> Answer:
        keyed = entry.key is not None and operation.method == "POST"
        answer = await (self._once(operation, params, entry) if keyed else self._tried(operation, params, entry))
        for fault in self._struck(operation, params, faults.ANSWER, entry):
            if fault.kind is Kind.LOST_ANSWER:
                raise Dropped
            await asyncio.sleep(fault.seconds)
        return answer

    async def _once(self, operation: Operation, params: dict[str, Any], entry: Entry) -> Answer:
        key = str(entry.key)
        fingerprint = json.dumps([operation.name, entry.object, params], sort_keys=True)
        saved = self._on.keys.begin(key, fingerprint)
        if saved is not None:
            return saved
        try:
            answer = await self._tried(operation, params, entry)
        except BaseException:
            self._on.keys.forget(key)
            raise
        self._on.keys.finish(key, answer)
        return answer

    async def _tried(self, operation: Operation, params: dict[str, Any], entry: Entry) -> Answer:
        try:
            return Answer(200, await self._execute(operation, params, entry), {}, entry.request)
        except Refusal as refusal:
            if refusal.unstarted:
                raise
            return self._refused(refusal, entry)

    async def _execute(self, operation: Operation, params: dict[str, Any], entry: Entry) -> dict[str, Any]:
        call = Call(operation=operation, params=params, id=entry.object, asked=Asked(entry.request, entry.key))
        fails_after = False
        for fault in self._struck(operation, params, faults.EXECUTION, entry):
            if fault.kind is Kind.SLOW_CALL:
                await asyncio.sleep(fault.seconds)
            elif fault.kind is Kind.ERROR:
                raise broken("Something went wrong on Stripe's side.")
            elif fault.kind is Kind.REFUSE:
                call = replace(call, refuse=fault.decline)
            else:
                fails_after = True
        try:
            found = self._on.engine.run(call)
        except Refusal:
            if not fails_after:
                raise
            found = {}
        finally:
            self._on.deliver()
        if fails_after:
            raise broken("Something went wrong on Stripe's side.")
        entry.object = entry.object or str(found.get("id", ""))
        return found

    def _strike_arrival(self, operation: Operation, entry: Entry) -> None:
        for fault in self._struck(operation, {}, faults.ARRIVAL, entry):
            raise faults.refuse_arrival(fault)

    def _struck(
        self, operation: Operation, params: dict[str, Any], kinds: frozenset[Kind], entry: Entry
    ) -> list[faults.Fault]:
        ports = {operation.port, *(["authorize"] if params.get("confirm") else [])}
        struck = self._on.faults.strike(ports, kinds)
        entry.faults += [fault.kind for fault in struck]
        return struck

    def _refused(self, refusal: Refusal, entry: Entry) -> Answer:
        if refusal.violation:
            self._on.journal.violate(entry, str(refusal), code=refusal.code, param=refusal.param)
        body = refusal.body()
        body["error"]["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{entry.request}"
        return Answer(refusal.status, body, refusal.headers, entry.request)

    def _response(self, answer: Answer, entry: Entry) -> Response:
        headers = {"Request-Id": entry.request, "Stripe-Version": self._on.settings.version, **answer.headers}
        if entry.key is not None:
            headers["Idempotency-Key"] = entry.key
        if answer.replayed:
            headers |= {"Idempotent-Replayed": "true", "Original-Request": answer.request}
        return Response(json.dumps(answer.body), answer.status, headers, "application/json")


def _secret_key(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[0]
        except ValueError:
            return ""
    return value if scheme.lower() == "bearer" else ""
