"""What `ticketkit doctor` asks of a server. It changes nothing there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ticketkit.backends.findings import Finding, clock_off
from ticketkit_redis.checks import check_kind, findings
from ticketkit_redis.server import connected
from ticketkit_redis.settings import Settings

if TYPE_CHECKING:
    from ticketkit.backends.spec import Context


async def look(url: str, context: Context) -> list[Finding]:
    """What is wrong with the server of a URL.

    Raises:
        Misconfigured: The URL is wrong, or the server can't do the work.
        Unavailable: It can't be reached.
    """
    async with connected(Settings.of(url)) as server:
        about = await server.about()
        name = server.settings.server
        check_kind(about, name)
        found = list(findings(about, name, appendfsync=await server.configured("appendfsync")))
        off = clock_off("The Redis server's", await server.now(), context.clock.now())
        return [*found, *([off] if off is not None else [])]
