"""The demonstration, small enough for every day, and in full as a proof."""

from pathlib import Path

import pytest

from ticketkit_marketplace.demo import report
from ticketkit_marketplace.demo.conductor import Outcome, Plan, perform


def broken(outcome: Outcome) -> "list[str]":
    return [f"{finding.name}: {finding.detail}" for finding in outcome.findings if not finding.holds]


def small(data: Path, *, kill: bool) -> Plan:
    return Plan(
        data=data,
        buyers=40,
        tickets=12,
        listed=0,
        show="Grand Horizons",
        shows=("Grand Horizons",),
        hold=1.5,
        grace=1.5,
        kill=kill,
        seconds=45,
    )


@pytest.mark.parametrize("kill", [False, True], ids=["undisturbed", "killed"])
async def test_all_seats_are_sold_once_and_the_books_agree(tmp_path: Path, *, kill: bool) -> None:
    outcome = await perform(small(tmp_path / "data", kill=kill))
    assert broken(outcome) == []
    assert (outcome.sold, outcome.completed) == (12, 12)
    assert (outcome.restart_seconds is not None) == kill
    shown = report.as_json(outcome)
    assert shown["sold"] == 12
    assert all(invariant["holds"] for invariant in shown["invariants"])


@pytest.mark.proof
@pytest.mark.parametrize("kill", [False, True], ids=["undisturbed", "killed"])
async def test_a_thousand_buyers(tmp_path: Path, *, kill: bool) -> None:
    outcome = await perform(Plan(data=tmp_path / "data", kill=kill))
    assert broken(outcome) == []
    assert outcome.sold == 200
    assert report.passed(outcome), report.limits(outcome)
