"""The marketplace for synchronous code: the same calls, without `await`.

    from ticketkit import blocking

    with blocking.Marketplace("sqlite:///shop.db") as market:
        placed = market.orders.place("ada", [ticket_id])

`Marketplace` runs one in an event loop of its own, on a thread of its own. `Bridge` makes the same calls on one that
runs in an event loop already, such as that of an ASGI server, from its threads. Any number of threads may call.

A thread does not survive `os.fork`: start after it, in each worker (Gunicorn's `post_fork`, Celery's
`worker_process_init`). A process that was forked off a running marketplace is told so at its first call.
"""

from ticketkit.blocking._wire import InEventLoop
from ticketkit.blocking.marketplace import Bridge, Marketplace, Options
from ticketkit.blocking.services import Auth, Operations, Orders, Payments, Tickets

__all__ = ["Auth", "Bridge", "InEventLoop", "Marketplace", "Operations", "Options", "Orders", "Payments", "Tickets"]
