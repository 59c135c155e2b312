"""Lines of all processes, each with the name of who said it."""

import json
from io import StringIO

from rich.console import Console

from ticketkit_marketplace.deployment.board import Board
from ticketkit_marketplace.deployment.journal import LAST, Journal


def written(*, as_json: bool, terminal: bool = False) -> "tuple[Journal, StringIO]":
    out = StringIO()
    console = Console(file=out, force_terminal=terminal, color_system="standard" if terminal else None, width=40)
    return Journal(console, as_json=as_json), out


def test_each_line_has_its_name_and_no_colour_where_nobody_looks() -> None:
    journal, out = written(as_json=False)
    journal.hear("orders-1", "12:00:00 info     POST /api/orders 201  a=[bold]b[/bold] " + "long " * 20)
    journal.hear("payments", "12:00:01 warning  slow")
    first, second = out.getvalue().splitlines()
    assert first == "orders-1     12:00:00 info     POST /api/orders 201  a=[bold]b[/bold] " + "long " * 20
    assert second == "payments     12:00:01 warning  slow"


def test_on_a_terminal_every_name_has_its_colour() -> None:
    journal, out = written(as_json=False, terminal=True)
    for name in ("auth", "web", "auth"):
        journal.hear(name, "a line")
    first, second, third = out.getvalue().splitlines()
    assert "\x1b[36mauth" in first
    assert "\x1b[32mweb" in second
    assert first == third


def test_json_lines_stay_json_and_say_whose_they_are() -> None:
    journal, out = written(as_json=True)
    journal.hear("orders", '{"time": "now", "level": "warning", "message": "später"}')
    journal.hear("orders", "Traceback (most recent call last):")
    journal.hear("orders", "17")
    journal.say("orders ended", level="error")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert lines[0] == {"time": "now", "level": "warning", "message": "später", "process": "orders"}
    assert (lines[1]["message"], lines[2]["message"]) == ("Traceback (most recent call last):", "17")
    assert (lines[3]["process"], lines[3]["level"]) == ("services", "error")


def test_the_last_lines_of_each_are_kept() -> None:
    journal, _ = written(as_json=True)
    for number in range(LAST + 5):
        journal.hear("web", str(number))
        journal.hear("auth", "other")
    assert journal.last("web") == [str(number) for number in range(5, LAST + 5)]
    journal.forget("web")
    assert journal.last("web") == []


def test_what_is_awaited_is_told_when_it_is_ready() -> None:
    journal, out = written(as_json=False)
    board = Board(journal)
    board.begin("orders")
    board.begin("web")
    board.ready("orders")
    board.close()
    (line,) = out.getvalue().splitlines()
    assert line.startswith("services     orders: ready after 0.")
