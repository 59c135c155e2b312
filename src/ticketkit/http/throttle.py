"""How often somebody may try: moving windows of a minute, in this process."""

from __future__ import annotations

import ipaddress
import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.requests import HTTPConnection

from ticketkit.http.problems import Refusal


class Throttle:
    """Counts tries.

    The windows are kept in the memory of this process, so reading them takes no waiting. (The asynchronous memory
    storage of `limits` hops to a thread for each key that it looks over, on every try.)
    """

    def __init__(self) -> None:
        self._limiter: MovingWindowRateLimiter | None = None

    def count(self, what: str, who: str, *, most: int) -> None:
        """Count a try.

        Args:
            what: Is tried.
            who: An account, or an address.
            most: Tries in any minute.

        Raises:
            Refusal: It is one too many (429).
        """
        limiter = self._windows()
        item = RateLimitItemPerMinute(most)
        if limiter.hit(item, what, who):
            return
        reset, _ = limiter.get_window_stats(item, what, who)
        seconds = max(1, math.ceil(reset - time.time()))
        raise Refusal(
            429,
            "too_many_requests",
            f"Too many tries. Try again in {seconds} s.",
            headers={"retry-after": str(seconds)},
        )

    def _windows(self) -> MovingWindowRateLimiter:
        if self._limiter is None:  # it begins a thread, so not before it is needed
            self._limiter = MovingWindowRateLimiter(MemoryStorage())
        return self._limiter


def address_of(request: HTTPConnection) -> str:
    """The client's address, as the server says; of IPv6 the network of 64 bits, which one client has to itself."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host
