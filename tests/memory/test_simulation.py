"""Hours in which buyers rush, cards are declined and everything breaks now and then; afterwards all agree.

A failure says its seed: `pytest tests/memory/test_simulation.py -k 'seed7'` makes the same hours again.
"""

from __future__ import annotations

import pytest
from tests.memory.simulation import Town

pytestmark = pytest.mark.usefixtures("untraced")

FEW, MANY = range(4), range(4, 104)


@pytest.fixture
def anyio_backend() -> str:
    """The order in which trio runs tasks is chance."""
    return "asyncio"


@pytest.mark.parametrize("seed", FEW, ids="seed{}".format)
async def test_after_hours_of_trouble_no_ticket_was_sold_twice_and_the_books_agree(seed: int) -> None:
    told = await Town(seed).run()
    assert told.paid, "somebody has bought something"


async def test_a_seed_makes_the_same_hours_again() -> None:
    first, second = [await Town(4, hours=0.5).run() for _ in range(2)]
    assert first.trace.hexdigest() == second.trace.hexdigest()
    assert first.refusals == second.refusals


@pytest.mark.proof
@pytest.mark.parametrize("seed", MANY, ids="seed{}".format)
async def test_after_more_hours_of_trouble_the_books_agree(seed: int) -> None:
    assert (await Town(seed, hours=4, buyers=12).run()).paid
