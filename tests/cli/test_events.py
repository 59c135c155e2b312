"""`ticketkit events`: what people and CI see."""

import json
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest
from click.testing import CliRunner, Result

from ticketkit.cli import main
from ticketkit.events.contract import Contract
from ticketkit.plugins import Plugins


class ShipSighted(Contract):
    """A ship was seen."""

    NAME: ClassVar = "ship.sighted"

    flag: str


def run(*args: str, contracts: "tuple[type[Contract], ...]" = ()) -> Result:
    plugin = ModuleType("ships")
    plugin.ticketkit_contracts = lambda: list(contracts)  # type: ignore[attr-defined]
    return CliRunner().invoke(main, ["events", *args], obj=Plugins.load([plugin], entry_points=()))


def test_what_was_exported_agrees(tmp_path: Path) -> None:
    assert run("check", str(tmp_path)).exit_code == 1
    assert run("export", str(tmp_path)).exit_code == 0
    assert run("check", str(tmp_path)).exit_code == 0


def test_contracts_of_plugins_are_exported_too(tmp_path: Path) -> None:
    assert run("export", str(tmp_path), contracts=(ShipSighted,)).exit_code == 0
    assert (tmp_path / "ticketkit.ship.sighted.v1.json").is_file()


def test_a_check_names_the_type_and_the_reason_and_exits_with_1(tmp_path: Path) -> None:
    run("export", str(tmp_path), contracts=(ShipSighted,))
    done = run("check", str(tmp_path))
    assert done.exit_code == 1
    assert "ticketkit.ship.sighted.v1: there is no such contract any more" in done.stderr
    assert done.stdout == ""


def test_a_check_says_how_to_write_what_is_out_of_date(tmp_path: Path) -> None:
    run("export", str(tmp_path))
    done = run("check", str(tmp_path), contracts=(ShipSighted,))
    assert done.exit_code == 1
    assert f"ticketkit events export {tmp_path}" in done.stderr


def test_an_export_does_not_paper_over_an_incompatible_change(tmp_path: Path) -> None:
    run("export", str(tmp_path), contracts=(ShipSighted,))
    file = tmp_path / "ticketkit.ship.sighted.v1.json"
    schema = json.loads(file.read_text(encoding="utf-8"))
    schema["properties"]["crew"] = {"type": "integer"}
    file.write_text(json.dumps(schema), encoding="utf-8")
    refused = run("export", str(tmp_path), contracts=(ShipSighted,))
    assert refused.exit_code == 1
    assert "crew was removed" in refused.stderr
    assert "crew" in file.read_text(encoding="utf-8")
    assert run("export", "--force", str(tmp_path), contracts=(ShipSighted,)).exit_code == 0
    assert "crew" not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["asyncapi", "catalogue"])
def test_documents_go_to_standard_output_or_to_a_file(command: str, tmp_path: Path) -> None:
    file = tmp_path / "document"
    assert run(command, "--output", str(file)).exit_code == 0
    assert file.read_text(encoding="utf-8") == run(command).stdout


def test_the_asyncapi_document_has_what_services_and_plugins_say() -> None:
    document = json.loads(run("asyncapi", contracts=(ShipSighted,)).stdout)
    assert document["asyncapi"] == "3.0.0"
    assert {"order.created", "ship.sighted"} <= document["channels"].keys()
    assert document["operations"]["payments.receive.order.created"]["action"] == "receive"


def test_the_catalogue_has_a_diagram_and_every_event() -> None:
    text = run("catalogue", contracts=(ShipSighted,)).stdout
    assert text.startswith("```mermaid\nflowchart LR\n")
    assert "| `order.created` | Tickets are locked for a buyer. | orders | expiration, payments |" in text
    assert "`ship.sighted`" in text


def test_republishing_needs_a_bus_that_processes_share(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TICKETKIT_DATA_DIR", str(tmp_path))
    refused = CliRunner().invoke(main, ["events", "republish"])
    assert refused.exit_code == 2
    assert "TICKETKIT_BUS_URL" in refused.output


def test_republishing_publishes_the_present_state_of_everything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TICKETKIT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TICKETKIT_BUS_URL", f"sqlite:///{tmp_path / 'ticketkit.db'}")
    file = tmp_path / "seats.csv"
    file.write_text("event,venue,starts_at,price,quantity\nShow,Hall,2099-01-01T20:00:00Z,10,3\n")
    listed = CliRunner().invoke(main, ["import", str(file), "--seller", "s@example.org", "--create-seller"])
    assert listed.exit_code == 0, listed.output
    # A user, a live event and three tickets.
    assert CliRunner().invoke(main, ["events", "republish"]).output == "5 events published.\n"
