"""What a conformance test class is told: where the backend is, and how it is emptied."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Final
from urllib.parse import parse_qsl, urlsplit

DEFAULT_LEASE: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A backend to be tested. What the one fixture `target` of a conformance class returns.

    Attributes:
        url: Opens it; the scheme selects the backend, as in an app.
        reset: Empties it before a test, sync or async; None when the URL is fresh for each test.
        plugins: Modules with hooks (`acme_bus.plugin`), or objects in them (`acme_bus.plugin:Planted`), for backends
            that are not installed under the entry-point group. By name, for child processes open the backend too.
        lease: Seconds after which a bus gives what a dead consumer held to another, at this URL; default: the URL's
            parameter `lease`, or 30. Tests of that wait for it, so make it short (1).
    """

    url: str
    reset: Callable[[], Awaitable[None] | None] | None = None
    plugins: tuple[str, ...] = ()
    lease: float | None = None

    async def empty(self) -> None:
        """Empty it."""
        if self.reset is not None:
            done = self.reset()
            if isawaitable(done):
                await done

    @property
    def seconds_held(self) -> float:
        """The lease, wherever it is said."""
        if self.lease is not None:
            return self.lease
        given = dict(parse_qsl(urlsplit(self.url).query)).get("lease", "")
        return float(given) if given.replace(".", "", 1).isdecimal() else DEFAULT_LEASE

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port of its server; None when the URL does not name both, or several servers."""
        parts = urlsplit(self.url)
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            return None
        return (host, port) if host and port is not None else None

    def through(self, port: int) -> str:
        """The URL by way of a proxy on this port of the loopback."""
        parts = urlsplit(self.url)
        before, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{before}{at}127.0.0.1:{port}").geturl()
