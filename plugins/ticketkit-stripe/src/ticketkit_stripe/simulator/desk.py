"""The control API, `/_simulator/…`: what a test or a demonstration tells the simulator, and asks of it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any, Final

from pydantic import ConfigDict, TypeAdapter, ValidationError, validate_call
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from ticketkit_stripe.simulator.chaos import Chaos
from ticketkit_stripe.simulator.endpoints import sign
from ticketkit_stripe.simulator.faults import Fault
from ticketkit_stripe.simulator.refusals import Refusal
from ticketkit_stripe.simulator.simulation import Simulation
from ticketkit_stripe.simulator.statement import Statement, statement_of
from ticketkit_stripe.simulator.webhooks import Retries

PREFIX: Final = "/_simulator"
_STATEMENT: Final = TypeAdapter(Statement)
_STRICT: Final = ConfigDict(extra="forbid")
_PAGE: Final = """<!doctype html><title>A simulated bank</title>
<h1>A simulated bank</h1>
<p>Pay {amount} {currency}?</p>
<form method="post"><button name="success" value="true">Yes</button> <button name="success" value="false">No</button>
</form>
"""


class Desk:
    """Takes what the control API is told. Verbs are its methods; each takes the JSON of a body as keywords."""

    def __init__(self, simulation: Simulation) -> None:
        self._on = simulation
        verbs: tuple[Callable[..., Any], ...] = (
            *(self.confirm, self.authenticate, self.decide, self.expire, self.give_up, self.settle),
            *(self.fault, self.end_faults, self.rate, self.advance, self.reset),
            *(self.add_endpoint, self.roll_secrets, self.remove_endpoint),
            *(self.chaos, self.retries, self.release, self.settled, self.resend, self.emit, self.sign, self.send),
        )
        self._verbs = {verb.__name__: validate_call(config=_STRICT)(verb) for verb in verbs}

    def routes(self) -> list[Route]:
        """Books, verbs, and the page of the bank."""
        return [
            Route(f"{PREFIX}/books", self._books),
            Route(f"{PREFIX}/bank/{{id}}", self._page),
            Route(f"{PREFIX}/bank/{{id}}", self._pressed, methods=["POST"]),
            Route(f"{PREFIX}/{{verb}}", self._told, methods=["POST"]),
        ]

    def confirm(self, client_secret: str, payment_method: str, return_url: str) -> dict[str, Any]:
        """The buyer confirms in the browser."""
        return self._on.engine.bank.confirm(client_secret, payment_method, return_url=return_url).shown()

    def authenticate(self, intent: str, success: bool) -> dict[str, Any]:  # noqa: FBT001 - called by name
        """The buyer ends 3-D Secure, or what the bank's page asks."""
        return self._on.engine.bank.authenticate(intent, success=success).shown()

    def decide(self, intent: str, success: bool) -> dict[str, Any]:  # noqa: FBT001 - called by name
        """The bank ends what is processing."""
        return self._on.engine.bank.decide(intent, success=success).shown()

    def expire(self, intent: str) -> dict[str, Any]:
        """The hold runs out."""
        return self._on.engine.bank.expire(intent).shown()

    def give_up(self, intent: str) -> dict[str, Any]:
        """Stripe cancels an intent on its own."""
        return self._on.engine.bank.give_up(intent).shown()

    def settle(self, refund: str, success: bool) -> dict[str, Any]:  # noqa: FBT001 - called by name
        """The bank has done with a refund."""
        return self._on.engine.bank.settle(refund, success=success).shown()

    def fault(self, fault: Fault) -> dict[str, str]:
        """Something goes wrong from now on."""
        return {"id": self._on.faults.set(fault)}

    def end_faults(self, id: str | None = None) -> dict[str, Any]:
        """One fault ends, or all do."""
        self._on.faults.end(id)
        return {}

    def rate(self, rate: int | None) -> dict[str, Any]:
        """So many calls a second from now on."""
        self._on.pace.rate = rate
        return {}

    def advance(self, seconds: float) -> dict[str, Any]:
        """Time passes: holds expire, keys are forgotten."""
        self._on.clock.offset += seconds
        return {"expired": self._on.engine.bank.sweep()}

    async def reset(self) -> dict[str, Any]:
        """Everything begins again."""
        await self._on.reset()
        return {}

    def add_endpoint(self, url: str, secrets: list[str] | None = None) -> dict[str, Any]:
        """Events are sent there too."""
        return self._on.add_endpoint(url, secrets or [self._on.settings.secret]).shown()

    def roll_secrets(self, id: str, secrets: list[str]) -> dict[str, Any]:
        """Other secrets sign from now on."""
        endpoint = self._on.sender.endpoints[id]
        endpoint.secrets = secrets
        return endpoint.shown()

    def remove_endpoint(self, id: str) -> dict[str, Any]:
        """Nothing is sent there any more."""
        del self._on.sender.endpoints[id]
        return {}

    def chaos(self, chaos: Chaos) -> dict[str, Any]:
        """Deliveries go wrong like that from now on."""
        self._on.sender.chaos = chaos
        return {}

    def retries(self, retries: Retries) -> dict[str, Any]:
        """Failed deliveries are tried again like that."""
        self._on.sender.retries = retries
        return {}

    def release(self) -> dict[str, Any]:
        """What was held is sent."""
        return {"released": self._on.sender.release()}

    async def settled(self, seconds: float) -> dict[str, Any]:
        """Wait until no delivery is on its way."""
        return {"settled": await self._on.sender.settle(seconds)}

    def resend(self, event: str) -> dict[str, Any]:
        """One event is sent once more."""
        found = self._on.engine.books.event(event)
        self._on.sender.resend(found)
        return found.shown()

    def emit(self, type: str, object: dict[str, Any]) -> dict[str, Any]:  # noqa: A002 - Stripe's name
        """An event of any kind about anything."""
        return self._on.engine.books.record(type, object).shown()

    def sign(self, body: str, secrets: list[str] | None = None, at: int | None = None) -> dict[str, str]:
        """The signature of a body."""
        now = int(self._on.clock.now()) if at is None else at
        return {"signature": sign(body.encode(), secrets or [self._on.settings.secret], now)}

    async def send(self, body: str, signature: str | None, url: str | None = None) -> dict[str, Any]:
        """A body is sent as it is, to one URL or to all endpoints."""
        urls = [url] if url else [endpoint.url for endpoint in self._on.sender.endpoints.values()]
        return {"statuses": [await self._on.sender.post(url, body.encode(), signature) for url in urls]}

    async def _told(self, request: Request) -> Response:
        verb = self._verbs.get(request.path_params["verb"])
        if verb is None:
            return _refused(404, "There is no such verb.")
        try:
            answer = verb(**json.loads(await request.body() or b"{}"))
            answer = await answer if inspect.isawaitable(answer) else answer
        except Refusal as refusal:
            return JSONResponse(refusal.body(), refusal.status)
        except (ValidationError, KeyError, TypeError) as error:
            return _refused(400, str(error))
        self._on.deliver()
        return JSONResponse(answer)

    async def _books(self, request: Request) -> Response:
        return Response(_STATEMENT.dump_json(statement_of(self._on)), media_type="application/json")

    async def _page(self, request: Request) -> Response:
        try:
            intent = self._on.engine.books.intent(request.path_params["id"])
        except Refusal as refusal:
            return JSONResponse(refusal.body(), refusal.status)
        return HTMLResponse(_PAGE.format(amount=intent.amount, currency=intent.currency.upper()))

    async def _pressed(self, request: Request) -> Response:
        books, id = self._on.engine.books, request.path_params["id"]
        success = (await request.body()) == b"success=true"
        try:
            action = books.intent(id).next_action or {}
            self._on.engine.bank.authenticate(id, success=success)
        except Refusal as refusal:
            return JSONResponse(refusal.body(), refusal.status)
        self._on.deliver()
        back = action.get("redirect_to_url", {}).get("return_url")
        if back is None:
            return HTMLResponse("<!doctype html><title>Done</title><p>You may close this window.</p>")
        joint = "&" if "?" in back else "?"
        return RedirectResponse(f"{back}{joint}payment_intent={id}&redirect_status={_said(success)}", 303)


def _said(success: bool) -> str:  # noqa: FBT001 - a word for it
    return "succeeded" if success else "failed"


def _refused(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message, "type": "simulator_error"}}, status)
