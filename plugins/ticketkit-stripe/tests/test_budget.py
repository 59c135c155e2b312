"""The budget of calls, on the virtual clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from ticketkit.backends.errors import Unavailable
from ticketkit.memory.clock import VirtualClock
from ticketkit_stripe.budget import BURST, PATIENCE, RECOVERY, Budget

pytestmark = pytest.mark.anyio

CREATE, CAPTURE = "payment_intents.create", "payment_intents.capture"


class Callers:
    """Calls that wait for their turn; `made` has those that had it, with the second in which they had."""

    def __init__(self, clock: VirtualClock, budget: Budget, group: anyio.abc.TaskGroup) -> None:
        self._clock, self._budget, self._group = clock, budget, group
        self._start = clock.now()
        self.made: list[tuple[float, str]] = []
        self.refused: list[float] = []

    @property
    def now(self) -> float:
        return (self._clock.now() - self._start).total_seconds()

    def call(self, name: str, *, endpoint: str = CREATE, urgent: bool = False) -> anyio.CancelScope:
        scope = anyio.CancelScope()

        async def run() -> None:
            with scope:
                try:
                    await self._budget.turn(endpoint, urgent=urgent)
                except Unavailable:
                    self.refused.append(self.now)
                else:
                    self.made.append((self.now, name))

        self._group.start_soon(run)
        return scope

    @property
    def names(self) -> list[str]:
        return [name for _, name in self.made]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def on(rate: float = 10, endpoint_rate: float = 10) -> Callable[..., Callable[..., Awaitable[None]]]:
    """The test with a clock, a budget of that rate, and callers."""

    def decorate(test: Callable[[VirtualClock, Budget, Callers], Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def run(clock: VirtualClock) -> None:
            budget = Budget(clock, rate=rate, endpoint_rate=endpoint_rate)
            async with anyio.create_task_group() as group:
                await test(clock, budget, Callers(clock, budget, group))
                group.cancel_scope.cancel()

        run.__name__ = test.__name__
        return run

    return decorate


@on(rate=10)
async def test_no_second_has_more_calls_than_the_rate_and_a_burst(
    clock: VirtualClock, budget: Budget, callers: Callers
) -> None:
    for number in range(100):
        callers.call(str(number), urgent=number % 3 == 0)
    await clock.advance(seconds=PATIENCE)
    assert len(callers.made) == 100
    times = [time for time, _ in callers.made]
    for start in times:
        assert sum(start <= time < start + 1 for time in times) <= 10 * (1 + BURST) + 1
    assert times[-1] == pytest.approx(100 / 10, abs=0.5)


@on(rate=10)
async def test_who_finishes_a_payment_goes_before_who_begins_one(
    clock: VirtualClock, budget: Budget, callers: Callers
) -> None:
    for number in range(20):
        callers.call(f"begin {number}")
    await clock.advance(seconds=0.5)
    begun = len(callers.made)
    callers.call("finish", endpoint=CAPTURE, urgent=True)
    await clock.advance(seconds=0.2)
    assert callers.names[begun] == "finish"
    await clock.advance(seconds=5)
    assert [name for name in callers.names if name != "finish"] == [f"begin {number}" for number in range(20)]


@on(rate=100, endpoint_rate=10)
async def test_one_endpoint_holds_up_no_other(clock: VirtualClock, budget: Budget, callers: Callers) -> None:
    for number in range(50):
        callers.call(f"create {number}")
    for number in range(20):
        callers.call(f"capture {number}", endpoint=CAPTURE)
    await clock.advance(seconds=1)
    assert 9 <= sum(name.startswith("create") for name in callers.names) <= 13
    assert 9 <= sum(name.startswith("capture") for name in callers.names) <= 13


@on(rate=1)
async def test_a_call_that_would_wait_too_long_is_refused_at_once_with_the_time_to_wait(
    clock: VirtualClock, budget: Budget, callers: Callers
) -> None:
    for number in range(int(PATIENCE) + 1):
        callers.call(str(number))
    await clock.settle()
    with pytest.raises(Unavailable) as refused:
        await budget.turn(CREATE, urgent=False)
    assert refused.value.retry_after is not None
    assert refused.value.retry_after > PATIENCE - 1
    assert callers.now == 0


@on(rate=1)
async def test_a_call_that_others_keep_going_before_is_refused_in_the_end(
    clock: VirtualClock, budget: Budget, callers: Callers
) -> None:
    callers.call("first")
    await clock.settle()
    callers.call("starved")
    for number in range(int(PATIENCE) + 2):
        callers.call(str(number), endpoint=CAPTURE, urgent=True)
        await clock.advance(seconds=1)
    assert "starved" not in callers.names
    assert callers.refused == [pytest.approx(PATIENCE, abs=1)]


@on(rate=10)
async def test_a_cancelled_call_leaves_its_place_and_its_turn_to_others(
    clock: VirtualClock, budget: Budget, callers: Callers
) -> None:
    scopes = [callers.call(str(number)) for number in range(20)]
    await clock.advance(seconds=0.35)
    had = len(callers.made)
    for scope in scopes[: had + 5]:  # also of whoever leads
        scope.cancel()
    await clock.advance(seconds=5)
    assert callers.names == [str(number) for number in [*range(had), *range(had + 5, 20)]]
    assert callers.made[-1][0] == pytest.approx((20 - 5 - 2) / 10, abs=0.3)


@on(rate=10)
async def test_whoever_is_cancelled_when_it_gets_its_turn_gives_it_back(
    clock: VirtualClock, budget: Budget, callers: Callers
) -> None:
    await clock.advance(seconds=1)
    before = budget.wait_for(5)
    scope = callers.call("cancelled")
    scope.cancel()
    await clock.settle()
    assert callers.made == []
    assert budget.wait_for(5) == pytest.approx(before)


@on(rate=10)
async def test_wait_for_is_how_long_that_many_calls_then_take(
    clock: VirtualClock, budget: Budget, callers: Callers
) -> None:
    assert budget.wait_for(1) == 0
    for number in range(30):
        callers.call(str(number), endpoint=CAPTURE if number % 2 else CREATE)
    await clock.settle()
    told = budget.wait_for(3)
    for number in range(3):
        callers.call(f"mine {number}")
    await clock.advance(seconds=told - 0.05)
    assert "mine 2" not in callers.names
    await clock.advance(seconds=0.2)
    assert "mine 2" in callers.names


@on(rate=20, endpoint_rate=20)
async def test_a_refusal_halves_the_pace_and_it_comes_back(
    clock: VirtualClock, budget: Budget, callers: Callers
) -> None:
    async def pace() -> int:
        before = len(callers.made)
        scopes = [callers.call("paced") for _ in range(50)]
        await clock.advance(seconds=1)
        for scope in scopes:
            scope.cancel()
        await clock.settle()
        return len(callers.made) - before

    await pace()
    assert await pace() == pytest.approx(20, abs=1)
    for _ in range(8):  # calls that were under way together are refused together
        budget.lower()
    assert await pace() == pytest.approx(10, abs=2)
    await clock.advance(seconds=RECOVERY)
    await pace()
    assert await pace() == pytest.approx(20, abs=1)


@on(rate=100, endpoint_rate=10)
async def test_a_refusal_of_one_endpoint_slows_that_one_alone(
    clock: VirtualClock, budget: Budget, callers: Callers
) -> None:
    budget.lower(CREATE)
    for number in range(30):
        callers.call(f"create {number}")
        callers.call(f"capture {number}", endpoint=CAPTURE)
    await clock.advance(seconds=1)
    created = sum(name.startswith("create") for name in callers.names)
    captured = sum(name.startswith("capture") for name in callers.names)
    assert created <= 6
    assert captured >= 9
