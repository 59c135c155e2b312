from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ticketkit.cli import main


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'shop.db'}"
        return
    with request.getfixturevalue("created_database")(migrated=False, clock=False) as (url, _):
        yield url


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["db", *arguments])


def test_upgrade_makes_the_schema_and_says_what_was_there(url: str) -> None:
    assert "it was not there" in run("upgrade", "--url", url).output
    assert "it was 0005" in run("upgrade", "--url", url).output


def test_check_says_whether_the_schema_is_there_by_its_exit_status(url: str) -> None:
    before = run("check", "--url", url)
    assert before.exit_code == 1
    assert "ticketkit db upgrade" in before.output
    run("upgrade", "--url", url)
    assert run("check", "--url", url).exit_code == 0


def test_history_marks_where_the_database_is(url: str) -> None:
    assert "* 0005" not in run("history", "--url", url).output
    run("upgrade", "--url", url)
    assert "* 0005" in run("history", "--url", url).output


def test_another_databases_url_is_refused_in_one_line() -> None:
    result = run("check", "--url", "postgresql://localhost/shop")
    assert result.exit_code == 2
    assert result.output.startswith("ticketkit: ")
    assert len(result.output.splitlines()) == 1
