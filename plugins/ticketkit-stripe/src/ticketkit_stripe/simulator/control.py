"""The client of the control API. It blocks; from a coroutine: `await asyncio.to_thread(control.books)`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Final, Self

import httpx
from pydantic import TypeAdapter

from ticketkit_stripe.simulator.chaos import Chaos
from ticketkit_stripe.simulator.faults import ANY, Fault, Kind
from ticketkit_stripe.simulator.statement import Statement

RETURN_URL: Final = "https://shop.test/return"
_STATEMENT: Final = TypeAdapter(Statement)
_TIMEOUT: Final = 60.0


class ControlRefused(Exception):
    """The simulator can't do that now.

    Attributes:
        code: Stripe's code, where the account refused it.
    """

    def __init__(self, message: str, code: str | None) -> None:
        super().__init__(message)
        self.code = code


class Control:
    """Plays the buyer, the bank and bad luck. Every method may raise `ControlRefused`; threads may share it.

    Args:
        url: Of the simulator.

    Attributes:
        url: Of the simulator: what a client of Stripe takes as the address of the API.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.Client(base_url=f"{self.url}/_simulator/", timeout=_TIMEOUT, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def books(self) -> Statement:
        """What the books say now."""
        return _STATEMENT.validate_json(self._client.get("books").raise_for_status().content)

    def confirm(self, client_secret: str, payment_method: str, *, return_url: str = RETURN_URL) -> dict[str, Any]:
        """The buyer confirms in the browser.

        Returns:
            The intent afterwards; when the bank said no, `last_payment_error` is on it.
        """
        return self._tell("confirm", client_secret=client_secret, payment_method=payment_method, return_url=return_url)

    def authenticate(self, intent: str, *, success: bool = True) -> dict[str, Any]:
        """The buyer passes or fails 3-D Secure, or what the bank's page asks."""
        return self._tell("authenticate", intent=intent, success=success)

    def decide(self, intent: str, *, success: bool = True) -> dict[str, Any]:
        """The bank decides on an intent that is `processing`."""
        return self._tell("decide", intent=intent, success=success)

    def expire(self, intent: str) -> dict[str, Any]:
        """The hold of an intent runs out."""
        return self._tell("expire", intent=intent)

    def give_up(self, intent: str) -> dict[str, Any]:
        """Stripe cancels an intent on its own."""
        return self._tell("give_up", intent=intent)

    def settle(self, refund: str, *, success: bool = True) -> dict[str, Any]:
        """The bank has done with a refund that is pending; or sends back one that had succeeded."""
        return self._tell("settle", refund=refund, success=success)

    def fault(
        self,
        kind: Kind | str,
        *,
        on: str = ANY,
        times: int | None = 1,
        seconds: float = 0.0,
        code: str | None = None,
    ) -> str:
        """Something goes wrong with the next calls; see `faults.Kind` and `faults.Fault`.

        Returns:
            Id of the fault, for `end_faults`.
        """
        fault = Fault(kind=Kind(kind), on=on, times=times, seconds=seconds, code=code)
        return str(self._tell("fault", fault=asdict(fault))["id"])

    def end_faults(self, id: str | None = None) -> None:
        """End one fault, or all."""
        self._tell("end_faults", id=id)

    def rate(self, rate: int | None) -> None:
        """So many calls a second from now on; None: any number."""
        self._tell("rate", rate=rate)

    def advance(self, seconds: float) -> list[str]:
        """Let time pass: keys are forgotten after a day, holds expire after seven.

        Returns:
            The intents whose holds expired.
        """
        return list(self._tell("advance", seconds=seconds)["expired"])

    def reset(self) -> None:
        """Begin again with empty books; endpoints are those of the start."""
        self._tell("reset")

    def add_endpoint(self, url: str, *, secrets: Sequence[str] = ()) -> str:
        """Send events there too.

        Args:
            secrets: Sign for it; those of the start when left out.

        Returns:
            Id of the endpoint.
        """
        return str(self._tell("add_endpoint", url=url, secrets=list(secrets))["id"])

    def roll_secrets(self, endpoint: str, secrets: Sequence[str]) -> None:
        """Sign with these from now on, each of them."""
        self._tell("roll_secrets", id=endpoint, secrets=list(secrets))

    def remove_endpoint(self, endpoint: str) -> None:
        """Send nothing there any more."""
        self._tell("remove_endpoint", id=endpoint)

    def chaos(self, chaos: Chaos) -> None:
        """Let deliveries go wrong like that from now on; `Chaos()` ends it."""
        self._tell("chaos", chaos=asdict(chaos))

    def retries(self, *, first: float, attempts: int) -> None:
        """Try failed deliveries again like that; see `webhooks.Retries`."""
        self._tell("retries", retries={"first": first, "attempts": attempts})

    def release(self) -> int:
        """Send the events that chaos has held.

        Returns:
            How many.
        """
        return int(self._tell("release")["released"])

    def settled(self, seconds: float = 10.0) -> bool:
        """Wait until no delivery is on its way.

        Returns:
            Whether that was so within these seconds.
        """
        return bool(self._tell("settled", seconds=seconds)["settled"])

    def resend(self, event: str) -> None:
        """Send an event once more."""
        self._tell("resend", event=event)

    def emit(self, type: str, object: dict[str, Any]) -> str:  # noqa: A002 - Stripe's names
        """Send an event of any kind, about anything.

        Returns:
            Its id.
        """
        return str(self._tell("emit", type=type, object=object)["id"])

    def sign(self, body: str, *, secrets: Sequence[str] = (), at: int | None = None) -> str:
        """The header `Stripe-Signature` of a body.

        Args:
            secrets: Those of the start when left out.
            at: Unix seconds; now when left out.
        """
        return str(self._tell("sign", body=body, secrets=list(secrets), at=at)["signature"])

    def send(self, body: str, signature: str | None, *, url: str | None = None) -> list[int]:
        """Send a body as it is, to a URL or to all endpoints.

        Returns:
            The statuses of the answers; 0 where there was none.
        """
        return list(self._tell("send", body=body, signature=signature, url=url)["statuses"])

    def _tell(self, verb: str, **body: Any) -> dict[str, Any]:
        answer = self._client.post(verb, json=body)
        found: dict[str, Any] = answer.json()
        if answer.is_error:
            raise ControlRefused(found["error"]["message"], found["error"].get("code"))
        return found
