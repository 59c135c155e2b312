"""Who runs is written down, and what is left of a start that was killed is found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ticketkit.backends.errors import Misconfigured
from ticketkit_marketplace.demo.process import Process
from ticketkit_marketplace.deployment import state


def test_what_is_left_of_a_killed_start_is_named_with_the_line_that_ends_it(tmp_path: Path) -> None:
    settings = {"PYTHONPATH": str(Path(__file__).parents[1]), "TICKETKIT_SMALL_NAME": "orders"}
    process = Process(tmp_path, environment=settings, program=("services.small",), name="orders")
    state.check_nobody_left(tmp_path)
    try:
        process.start()
        pid = process.pid
        state.write(
            tmp_path, {"orders": (pid, process.port), "web": (os.getpid(), 64_999)}, {"Redis": (2**22 + 1, 6379)}
        )
        with pytest.raises(Misconfigured, match=f"still run: orders\\. End them with `kill {pid}`"):
            state.check_nobody_left(tmp_path)
    finally:
        process.kill()
    state.check_nobody_left(tmp_path)
    state.remove(tmp_path)
    state.remove(tmp_path)


def test_a_file_that_can_not_be_read_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / state.FILE).write_text("{")
    state.check_nobody_left(tmp_path)
