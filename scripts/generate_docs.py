"""Writes what the documentation takes from the code: events and their flow, routes, AsyncAPI document, planted bugs.

With --check nothing is written: it exits 1 and names the files that are out of date.
"""

from __future__ import annotations

import json
import re
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ticketkit import Marketplace
from ticketkit.events import asyncapi, diagram
from ticketkit.events.catalogue import CATALOGUE
from ticketkit.events.flow import Flow
from ticketkit.services.catalogue import SERVICES
from ticketkit.testing.conformance import BusConformance, PaymentConformance, StorageConformance, TimersConformance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

    from ticketkit.http.operation import Operation

DOCS: Final = Path(__file__).parent.parent / "docs"
_CONFORMANCE: Final = {
    "storage": StorageConformance,
    "bus": BusConformance,
    "timers": TimersConformance,
    "payments": PaymentConformance,
}
_PLANTED_IN: Final = DOCS.parent / "tests" / "planted"
_PLANTED: Final = """# Planted bugs

The [conformance kit](conformance.md) is judged by what it catches. {count} backends, each a sound one with one bug in
it, are in `tests/planted`; `make proof` runs the kit on every one of them. Each has to fail the test that tells its
bug."""
_BEGIN: Final = "<!-- generated: {} -->"
_END: Final = "<!-- end of generated: {} -->"


def main() -> int:
    """Write, or with --check compare; returns the exit status."""
    stale = [file for file, text in _files() if not file.exists() or file.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        for file in stale:
            print(f"{file.relative_to(DOCS.parent)} is out of date; write it with: make docs-generate")
        return 1 if stale else 0
    texts = dict(_files())
    for file in stale:
        file.write_text(texts[file], encoding="utf-8", newline="\n")
        print(f"{file.relative_to(DOCS.parent)} is written.")
    return 0


def _files() -> Iterator[tuple[Path, str]]:
    flow = _flow()
    yield _filled("events.md", flow=f"```mermaid\n{diagram.flowchart(flow)}```", catalogue=_catalogue(flow))
    yield _filled("http-api.md", routes=_routes())
    document = asyncapi.document(CATALOGUE, flow, version=version("ticketkit"))
    yield DOCS / "asyncapi.json", json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    yield DOCS / "backends" / "planted-bugs.md", _planted_bugs()


def _flow() -> Flow:
    services = SERVICES.values()
    return Flow(
        says={service.name.value: service.says for service in services},
        hears={service.name.value: service.hears for service in services},
        broadcast={service.name.value: service.broadcast for service in services},
    )


def _planted_bugs() -> str:
    """The tables of the planted bugs: each with the test of the conformance kit that catches it, and its promise."""
    sys.path.insert(0, str(DOCS.parent))  # tests are no distribution: they are found from the root
    tables = {}
    for kind in (kind for kind in _CONFORMANCE if (_PLANTED_IN / f"{kind}_bugs.py").exists()):
        bugs = import_module(f"tests.planted.{kind}_bugs").BUGS
        told = ((bug, getattr(_CONFORMANCE[kind], bug.caught_by).__doc__) for bug in bugs)
        tables[kind] = [f"| {_sentence(bug.name)} | `{bug.caught_by}`: {_sentence(doc)} |" for bug, doc in told]
    count = sum(len(rows) for rows in tables.values())
    parts = [_PLANTED.format(count=count)]
    for kind, rows in tables.items():
        parts.append("\n".join([f"## {kind.capitalize()}", "", "| bug | caught by |", "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _sentence(text: str) -> str:
    whole = " ".join(text.split()).removesuffix(".").replace("|", r"\|")
    return f"{whole[:1].upper()}{whole[1:]}."


def _catalogue(flow: Flow) -> str:
    return diagram.catalogue(CATALOGUE, flow).strip()


def _filled(page: str, **parts: str) -> tuple[Path, str]:
    """A page with its generated parts as they should be."""
    file = DOCS / page
    text = file.read_text(encoding="utf-8")
    for name, part in parts.items():
        begin, end = _BEGIN.format(name), _END.format(name)
        place = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        places = list(place.finditer(text))
        if len(places) != 1:
            msg = f"{page} has {len(places)} places for the generated part {name!r}; it needs one."
            raise SystemExit(msg)
        found = places[0]
        text = f"{text[: found.start()]}{begin}\n\n{part}\n\n{end}{text[found.end() :]}"
    return file, text


def _routes() -> str:
    rows = ["| route | what it does | takes | answers | refuses, besides what any route may |", "|---|---|---|---|---|"]
    operations: tuple[Operation, ...] = Marketplace().asgi().state.operations
    for operation in operations:
        marks = [mark for mark, on in (("signed in", operation.signed_in), ("key", operation.keyed)) if on]
        what = operation.summary + (f" ({', '.join(marks)})" if marks else "")
        takes = _fields(operation.body) + _fields(operation.query, mark="?")
        answers = ", ".join(str(status) for status in operation.answers)
        refuses = "; ".join(
            f"{status} {', '.join(f'`{code}`' for code in dict.fromkeys(codes))}"
            for status, codes in sorted(operation.errors.items())
        )
        raw = "the body as it is" if operation.raw else ""
        cells = (f"`{operation.method} {operation.path}`", what, ", ".join(takes) or raw, answers, refuses)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _fields(model: type[BaseModel] | None, *, mark: str = "") -> list[str]:
    """The fields of a body, optional ones with a question mark; or of a query, with the mark before."""
    if model is None:
        return []
    return [
        f"`{mark}{field.alias or name}{'' if mark or field.is_required() else '?'}`"
        for name, field in model.model_fields.items()
    ]


if __name__ == "__main__":
    raise SystemExit(main())
