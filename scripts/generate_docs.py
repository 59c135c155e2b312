"""Writes what the documentation takes from the code: events, routes, the AsyncAPI document, the planted bugs.

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
from ticketkit.testing import conformance

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.planted.catching import CLASSES, Planted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

    from ticketkit.http.operation import Operation

DOCS: Final = Path(__file__).parent.parent / "docs"
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
    yield _filled("backends/planted-bugs.md", **{f"{kind}-bugs": _planted(kind) for kind in CLASSES})


def _flow() -> Flow:
    services = SERVICES.values()
    return Flow(
        says={service.name.value: service.says for service in services},
        hears={service.name.value: service.hears for service in services},
        broadcast={service.name.value: service.broadcast for service in services},
    )


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


def _planted(kind: str) -> str:
    """The planted bugs of a kind, each with the test that catches it and what that test promises."""
    bugs: tuple[Planted, ...] = import_module(f"tests.planted.{kind}_bugs").BUGS
    tests = getattr(conformance, CLASSES[kind])
    rows = ["| planted bug | caught by | which says |", "|---|---|---|"]
    for bug in bugs:
        promise = " ".join((getattr(tests, bug.caught_by).__doc__ or "").split())
        name = bug.name[0].upper() + bug.name[1:].rstrip(".")
        rows.append(f"| {name} | `{bug.caught_by}` | {promise} |")
    return "\n".join(rows)


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
