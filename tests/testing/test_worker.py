"""A child process on the backend under test."""

from __future__ import annotations

import signal

import anyio
import pytest

from ticketkit.backends.spec import BackendKind
from ticketkit.testing.conformance import Target
from ticketkit.testing.conformance.worker import Worker

pytestmark = pytest.mark.anyio
FAKE = Target(url="fake:")
CHILDREN = "tests.testing.children"
REACHING = "tests.testing.reaching"


async def test_it_opens_the_backend_and_what_it_says_is_heard() -> None:
    async with Worker(BackendKind.PAYMENTS, FAKE, f"{CHILDREN}:count", 3) as worker:
        assert await worker.hear() == "fake"
        assert await worker.hear() == 1
        assert await worker.ended() == 0
        assert worker.told == ["fake", 1, 2, 3]


async def test_it_dies_at_the_checkpoint_that_it_is_told() -> None:
    target = Target(url="reaching:", plugins=(REACHING,))
    async with Worker(BackendKind.PAYMENTS, target, f"{REACHING}:reach", die_at="committed", times=2) as worker:
        assert await worker.ended() == -signal.SIGKILL
        assert worker.told == ["decided", "committed", "decided", "committed"]


async def test_a_checkpoint_that_nobody_dies_at_does_nothing() -> None:
    target = Target(url="reaching:", plugins=(REACHING,))
    async with Worker(BackendKind.PAYMENTS, target, f"{REACHING}:reach") as worker:
        assert await worker.ended() == 0
        assert worker.told[-1] == "alive"


async def test_its_error_is_shown_to_who_waits_for_a_word() -> None:
    async with Worker(BackendKind.PAYMENTS, FAKE, f"{CHILDREN}:fail") as worker:
        assert await worker.hear() == "before"
        with pytest.raises(AssertionError, match=r"status 1(?s:.)*the child is unhappy"):
            await worker.hear()
        assert "ValueError" in worker.errors()


async def test_a_child_that_prints_much_is_not_stopped_by_it() -> None:
    async with Worker(BackendKind.PAYMENTS, FAKE, f"{CHILDREN}:print_much") as worker:
        with anyio.fail_after(20):
            assert await worker.hear() == "printed"
            assert await worker.ended() == 0
        assert len(worker.errors()) == 1_000_000


async def test_a_frozen_child_says_nothing_until_it_is_thawed() -> None:
    async with Worker(BackendKind.PAYMENTS, FAKE, f"{CHILDREN}:count_for_ever") as worker:
        await worker.hear()
        worker.freeze()
        await drained(worker)
        worker.thaw()
        with anyio.fail_after(10):
            await worker.hear()
        assert worker.told == list(range(1, len(worker.told) + 1))


async def test_its_end_is_the_end_of_the_child() -> None:
    async with Worker(BackendKind.PAYMENTS, FAKE, f"{CHILDREN}:count_for_ever") as worker:
        await worker.hear()
        worker.freeze()
    assert worker.child.returncode == -signal.SIGKILL


async def drained(worker: Worker) -> None:
    """Hear what was said before it froze, until a third of a second is silent: it said a word each hundredth."""
    heard = -1
    while heard < len(worker.told):
        heard = len(worker.told)
        with anyio.move_on_after(1 / 3):
            await worker.hear()
