"""Calls of Stripe's API: paced, bounded in time and number, and repeated with the same idempotency key.

What an answer means is decided here, once:

| what came | nothing happened | it may have happened | it will not |
|---|---|---|---|
| no connection, 429, 401, 403 | `Unavailable` | | |
| no answer, 409, 5xx | | `OutcomeUnknown` | |
| 400, 402, 404 | | | `Rejected` |
| another request had this key | | | `Refused` |

The first two are repeated before they are told. Sources: docs.stripe.com/error-low-level and
docs.stripe.com/api/idempotent_requests.
"""

from __future__ import annotations

import logging
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import anyio
import httpx
import stripe

from ticketkit.backends.errors import OutcomeUnknown, Refused, Unavailable
from ticketkit_stripe.budget import Budget
from ticketkit_stripe.settings import API_VERSION
from ticketkit_stripe.transport import Transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from stripe import StripeClient, StripeObject

    from ticketkit.backends.clock import Clock
    from ticketkit_stripe.settings import Settings

TIMES: Final = 4
"""Most tries of one call."""
LONGEST: Final = 20.0
"""Seconds after which no further try is begun."""
PAUSE: Final = 0.2
"""Seconds before the second try, on the average; twice as long before each further one."""
REPLAYED: Final = "idempotent-replayed"
"""Header of an answer that Stripe kept for its key."""

_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)

log = logging.getLogger(__name__)


class Rejected(Exception):
    """Stripe refuses a call, with a reason.

    Attributes:
        code: Stripe's `code`, or its `type` where it gives none.
        decline_code: The bank's reason, where it declined.
        message: For people.
        param: The parameter that it is about.
        status: Of HTTP: 400, 402 or 404.
        final: Whether it is sure that nothing happened: a bank declined, or there is no such object.
    """

    def __init__(self, error: Mapping[str, Any], *, status: int) -> None:
        self.code = str(error.get("code") or error.get("type") or "invalid_request_error")
        self.decline_code: str | None = error.get("decline_code")
        self.message = str(error.get("message") or "")
        self.param: str | None = error.get("param")
        self.status, self.final = status, status != 400  # noqa: PLR2004
        super().__init__(f"{self.code}: {self.message}")


class KeptFailure(Exception):
    """Stripe failed (5xx), keeps that answer for the key, and will never give another: its books have to tell."""


class _Fate(Enum):
    """What became of one try."""

    NOTHING = "nothing"
    """It did not begin."""
    UNKNOWN = "unknown"
    """It may have happened."""


@dataclass(frozen=True, slots=True)
class _Failure:
    fate: _Fate
    why: str
    again: bool = True


class Calls:
    """Makes calls. Opened by `calling`.

    Args:
        settings: Time-outs.
        clock: For pauses.
        budget: For turns.
        chance: A number from 0 to 1, for pauses that do not coincide.

    Attributes:
        budget: As given.
    """

    def __init__(
        self, settings: Settings, clock: Clock, budget: Budget, *, chance: Callable[[], float] = random.random
    ) -> None:
        self._settings, self._clock, self.budget, self._chance = settings, clock, budget, chance

    async def read(self, endpoint: str, call: Callable[[], Awaitable[StripeObject]]) -> dict[str, Any]:
        """Make a call that changes nothing.

        Raises:
            Unavailable: There was no answer.
            Refused: The request is not one that Stripe takes.
            Rejected: There is no such object.
        """
        try:
            return await self._call(endpoint, call, urgent=True)
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error
        except KeptFailure as error:
            raise Unavailable("Stripe failed.") from error
        except Rejected as error:
            if error.status == 404:  # noqa: PLR2004
                raise
            raise Refused(f"Stripe does not take {endpoint}: {error}") from error

    async def write(
        self, endpoint: str, call: Callable[[], Awaitable[StripeObject]], *, urgent: bool = True
    ) -> dict[str, Any]:
        """Make a call with an idempotency key.

        Args:
            endpoint: Its name in the budget.
            call: Makes one try; always the same request with the same key.
            urgent: It finishes a payment.

        Raises:
            Unavailable: It did not begin.
            OutcomeUnknown: It may have happened.
            Rejected: Stripe refuses it.
            Refused: The key was used for another request.
            KeptFailure: Stripe failed, and will always answer so to this key.
        """
        return await self._call(endpoint, call, urgent=urgent)

    async def _call(
        self, endpoint: str, call: Callable[[], Awaitable[StripeObject]], *, urgent: bool
    ) -> dict[str, Any]:
        begun, doubtful, turn = self._clock.now(), False, 0
        while True:
            turn += 1
            await self._turn(endpoint, urgent=urgent, doubtful=doubtful)
            try:
                with anyio.fail_after(self._settings.connect_timeout + self._settings.timeout):
                    return (await call()).to_dict()
            except (stripe.StripeError, TimeoutError) as error:
                failure = self._judge(error, endpoint)
            doubtful = doubtful or failure.fate is _Fate.UNKNOWN
            pause = PAUSE * 2 ** (turn - 1) * (0.5 + self._chance())
            passed = (self._clock.now() - begun).total_seconds()
            if not failure.again or turn == TIMES or passed + pause > LONGEST:
                break
            log.info("%s: %s; tried again in %.1f s", endpoint, failure.why, pause)
            await self._clock.sleep(pause)
        if doubtful:
            raise OutcomeUnknown(f"The answer to {endpoint} was lost: {failure.why}.")
        raise Unavailable(f"Stripe did not take {endpoint}: {failure.why}.")

    async def _turn(self, endpoint: str, *, urgent: bool, doubtful: bool) -> None:
        try:
            await self.budget.turn(endpoint, urgent=urgent)
        except Unavailable as error:
            if doubtful:
                raise OutcomeUnknown(
                    f"The answer to {endpoint} was lost, and there is no turn to ask again."
                ) from error
            raise

    def _judge(self, error: stripe.StripeError | TimeoutError, endpoint: str) -> _Failure:
        """What became of the try.

        Raises:
            Rejected, Refused, KeptFailure: That is the answer.
        """
        if isinstance(error, TimeoutError):
            return _Failure(_Fate.UNKNOWN, "no answer in time")
        if isinstance(error, stripe.APIConnectionError):
            cause = error.__cause__
            return _Failure(_Fate.NOTHING if isinstance(cause, _NOT_SENT) else _Fate.UNKNOWN, type(cause).__name__)
        status = error.http_status or 0
        replayed = dict(error.headers or {}).get(REPLAYED) == "true"
        said = _said(error)
        if isinstance(error, stripe.IdempotencyError):
            raise Refused("This idempotency key was used with other parameters.") from error
        if isinstance(error, stripe.RateLimitError):
            self._slower(error, said, endpoint)
            return _Failure(_Fate.NOTHING, f"it is busy ({said.get('code') or 'rate_limit'})")
        if status in (401, 403):
            log.critical("Stripe refuses the key (%d): nothing can be paid. See: ticketkit doctor", status)
            return _Failure(_Fate.NOTHING, "it refuses the key: see `ticketkit doctor`", again=False)
        if status == 409:  # noqa: PLR2004 - another call with this key is under way
            return _Failure(_Fate.UNKNOWN, "the same call is under way")
        if status in (400, 402, 404):
            raise Rejected(said, status=status) from error
        if replayed:
            raise KeptFailure(f"{endpoint}: {status}") from error
        return _Failure(_Fate.UNKNOWN, f"it failed with {status}" if status else "its answer could not be read")

    def _slower(self, error: stripe.StripeError, said: Mapping[str, Any], endpoint: str) -> None:
        if said.get("code") == "lock_timeout":  # two calls about one object, and not too many
            return
        reason = dict(error.headers or {}).get("stripe-rate-limited-reason", "")
        self.budget.lower(endpoint if reason.startswith(("endpoint-", "resource-")) else None)


def _said(error: stripe.StripeError) -> Mapping[str, Any]:
    body = error.json_body
    said = body.get("error") if isinstance(body, dict) else None
    return said if isinstance(said, dict) else {}


@asynccontextmanager
async def calling(settings: Settings, clock: Clock) -> AsyncIterator[tuple[StripeClient, Calls]]:
    """Stripe's client, and what makes calls with it; nothing is sent yet."""
    transport = Transport(settings)
    client = stripe.StripeClient(
        settings.key,
        stripe_account=settings.account,
        stripe_version=API_VERSION,
        base_addresses={"api": settings.base},
        max_network_retries=0,
        http_client=transport,
    )
    try:
        yield client, Calls(settings, clock, Budget(clock, rate=settings.rate, endpoint_rate=settings.endpoint_rate))
    finally:
        with anyio.CancelScope(shield=True):
            await transport.close_async()
