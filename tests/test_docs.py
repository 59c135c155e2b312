"""The documentation names what there is: all of it, and nothing else."""

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import SecretStr

from ticketkit.backends.bus import Bus
from ticketkit.backends.payments import PaymentProvider
from ticketkit.backends.storage import Storage
from ticketkit.backends.timers import Timers
from ticketkit.cli import COMMANDS
from ticketkit.cli import main as ticketkit
from ticketkit.http.metrics import Metrics
from ticketkit.plugins import HOOKS
from ticketkit.runtime.settings import Settings
from ticketkit_marketplace.cli import main as marketplace

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(page.relative_to(DOCS).as_posix() for page in DOCS.glob("**/*.md"))
MOST_METHODS = 29
"""A storage backend is a few reads and one write: if this grows, the protocol is wrong."""


def _text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def _first_cells(page: str, heading: str = "") -> list[str]:
    """The names in the first column of the tables below a heading, in backticks."""
    text = _text(page)
    if heading:
        text = text[text.index(f"\n{heading}\n") + len(heading) :]
        text = re.split(r"\n#+ ", text, maxsplit=1)[0]
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def _methods(protocol: type) -> list[str]:
    return [name for name, value in vars(protocol).items() if callable(value) and not name.startswith("_")]


def test_the_page_of_the_storage_names_every_method_of_the_protocol_in_its_order() -> None:
    assert _first_cells("backends/storage.md", "## The methods") == _methods(Storage)


def test_the_storage_protocol_stays_small() -> None:
    assert len(_methods(Storage)) <= MOST_METHODS


@pytest.mark.parametrize(
    ("page", "protocol"),
    [("backends/bus.md", Bus), ("backends/timers.md", Timers), ("backends/payments.md", PaymentProvider)],
)
def test_the_pages_of_other_backends_name_every_method(page: str, protocol: type) -> None:
    missing = set(_methods(protocol)) - set(_first_cells(page))
    assert not missing


def _shown(value: Any) -> str:
    """A default of the settings as the table shows it."""
    match value:
        case None:
            return "none"
        case timedelta():
            return f"{value.total_seconds():.0f}"
        case SecretStr():
            return value.get_secret_value()
        case Enum():
            return str(value.value)
    return str(value)


def test_every_setting_is_in_the_table_with_its_default() -> None:
    defaults = {
        f"TICKETKIT_{name.upper()}": _shown(field.get_default(call_default_factory=True))
        for name, field in Settings.model_fields.items()
    }
    rows = re.findall(r"^\| `(TICKETKIT_\w+)` \| `?([^|`]+)`? \|", _text("operating.md"), re.MULTILINE)
    assert dict(rows) == defaults
    assert len(rows) == len(defaults)


def test_every_hook_has_a_heading() -> None:
    headings = re.findall(r"^### (ticketkit_\w+)$", _text("plugins.md"), re.MULTILINE)
    assert headings == list(HOOKS)


def _commands(command: click.Command, name: str) -> Iterator[str]:
    if not isinstance(command, click.Group):
        yield name
        return
    context = click.Context(command, info_name=name)
    names = COMMANDS if command is ticketkit else command.list_commands(context)
    for sub in names:
        found = command.get_command(context, sub)
        assert found is not None
        yield from _commands(found, f"{name} {sub}")


def test_every_command_is_in_the_table() -> None:
    assert sorted(_first_cells("operating.md", "## The program")) == sorted(_commands(ticketkit, "ticketkit"))


def test_every_command_of_the_example_has_a_make_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in _commands(marketplace, "ticketkit-marketplace"):
        assert f"$(BIN)/{name} " in makefile, name


def test_every_metric_is_in_the_table() -> None:
    metrics = Metrics().registry.collect()
    names = {metric.name + ("_total" if metric.type == "counter" else "") for metric in metrics}
    assert set(_first_cells("operating.md", "## Metrics")) == names


def test_every_page_of_an_invariant_is_linked_from_the_list_of_concepts() -> None:
    linked = re.findall(r"^\| \[[^\]]+\]\(([\w-]+\.md)\) \|", _text("concepts/index.md"), re.MULTILINE)
    assert sorted(["index.md", *linked]) == sorted(page.name for page in DOCS.glob("concepts/*.md"))


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    assert sorted(re.findall(r"[\w/-]+\.md", navigation)) == PAGES


def test_what_is_made_from_the_code_is_fresh() -> None:
    script = ROOT / "scripts" / "generate_docs.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"])
def test_links_of_pages_outside_of_the_site_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / page).read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), target


def test_the_readme_shows_the_two_commands_first() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.index("$ make run\n$ make test") < readme.index("```python")
