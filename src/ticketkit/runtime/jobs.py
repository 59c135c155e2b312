"""Jobs: what a service does again and again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.runtime.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ticketkit.backends.clock import Clock

log = logging.getLogger(__name__)


async def repeat(
    name: str,
    work: Callable[[], Awaitable[int]],
    wait: Callable[[], Awaitable[None]],
    *,
    clock: Clock,
) -> None:
    """Do a job until cancelled: again at once while there was something to do, else after `wait`.

    An unavailable backend pauses it; what else goes wrong is said aloud, and does not end it.
    """
    backoff = Backoff()
    while True:
        try:
            if not await work():
                await wait()
            backoff.reset()
        except (Unavailable, OutcomeUnknown) as error:
            pause = backoff.next()
            if backoff.failures == 1:
                log.warning("%s pauses: %s", name, error)
            await clock.sleep(pause)
        except Exception:
            log.exception("%s failed", name)
            await clock.sleep(backoff.next())
