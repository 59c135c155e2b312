"""Combinations of backends: what is named is used, and only the rest is started."""

from pathlib import Path

import pytest

from ticketkit.backends.errors import Misconfigured
from ticketkit_marketplace.cli import BACKENDS, PROCESSES
from ticketkit_marketplace.combinations import BUS, COMBINATIONS, STORAGE, TIMERS, given, provided
from ticketkit_marketplace.demo.process import Process
from ticketkit_marketplace.demo.system import Shape


def test_the_program_offers_all_of_them() -> None:
    assert tuple(COMBINATIONS) == BACKENDS
    assert tuple(shape.value for shape in Shape) == PROCESSES


def test_servers_that_are_there_are_used_and_none_is_started(tmp_path: Path) -> None:
    named = {STORAGE: "postgres://db.example/shop", BUS: "tls://bus.example"}
    with provided("nats", tmp_path, named=named) as ground:
        assert (ground.urls, ground.servers) == (named, {})


def test_a_server_of_another_kind_is_refused_by_its_setting(tmp_path: Path) -> None:
    with (
        pytest.raises(Misconfigured, match=f"{BUS} is redis:, and the combination nats wants nats:"),
        provided("nats", tmp_path, named={BUS: "redis://bus.example"}),
    ):
        pass


def test_the_environment_names_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STORAGE, "postgresql://db.example/shop")
    monkeypatch.setenv(TIMERS, "redis://timers.example")
    assert given() == {STORAGE: "postgresql://db.example/shop", TIMERS: "redis://timers.example"}


@pytest.mark.parametrize(("apart", "number"), [(False, 0), (True, 4)])
def test_sqlite_needs_no_server_and_a_file_for_each_boundary_and_the_bus_when_apart(
    tmp_path: Path, number: int, *, apart: bool
) -> None:
    with provided("sqlite", tmp_path, apart=apart) as ground:
        assert ground.servers == {}
        assert len(set(ground.urls.values())) == number


@pytest.mark.proof
@pytest.mark.parametrize("backends", ["nats", "redis"])
def test_run_starts_the_servers_and_finds_its_data_again(open_folder: Path, backends: str) -> None:
    process = Process(open_folder, environment={}, arguments=["--show", "Grand Horizons", "--backends", backends])
    try:
        process.start()
        assert any("Listed 585 tickets" in line for line in process.said)
        assert process.stop() == 0
        process.said.clear()
        process.start()
        assert process.said == [f"The marketplace is on http://127.0.0.1:{process.port}"]
        assert process.stop() == 0
    finally:
        process.kill()
    for server in ("postgresql", backends):
        assert (open_folder / server / "server.log").exists()
