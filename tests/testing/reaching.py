"""A payment provider that reaches a checkpoint at each capture, to be killed there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace

from ticketkit.backends.spec import Backend, BackendKind, Context


@asynccontextmanager
async def _open(url: str, context: Context) -> AsyncIterator[SimpleNamespace]:
    yield SimpleNamespace(reach=context.checkpoint)


def ticketkit_backends() -> list[Backend]:
    return [Backend(kind=BackendKind.PAYMENTS, name="reaching", schemes=("reaching",), open=_open)]


async def reach(backend: SimpleNamespace, say: Callable[[object], None]) -> None:
    """Reach checkpoints, and say which comes."""
    for name in ("decided", "committed", "decided", "committed"):
        say(name)
        backend.reach(name)
    say("alive")
