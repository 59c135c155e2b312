"""All files of a new distribution, written at once or not at all."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

from ticketkit.backends.spec import BackendKind
from ticketkit.cli.scaffold.copying import ORIGINALS, copied
from ticketkit.cli.scaffold.ports import unwritten

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ticketkit.cli.scaffold.naming import Naming

SETTINGS: Final = {
    BackendKind.STORAGE: "TICKETKIT_STORAGE_URL",
    BackendKind.BUS: "TICKETKIT_BUS_URL",
    BackendKind.TIMERS: "TICKETKIT_TIMERS_URL",
    BackendKind.PAYMENTS: "TICKETKIT_PAYMENTS",
}


class Taken(Exception):
    """The folder is there already; nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """How the backend and its test begin.

    Attributes:
        opening: Body of the function that opens it.
        capabilities: What it declares, as code.
        target: Of the test, as code, with the class of it.
        imports: Of the test, from the kit.
        fixtures: Of pytest, that the target needs.
    """

    opening: str
    target: str
    conformance: str
    target_class: str = "Target"
    imports: tuple[str, ...] = ()
    capabilities: str = ""
    fixtures: str = ""
    path: bool = False


def generate(naming: Naming, *, from_memory: bool = False, into: Path) -> Path:
    """Write the distribution of a backend.

    Args:
        from_memory: Whether the backend begins as a copy of the one in memory; else every method is to be written.
        into: Folder in which the folder of the distribution is made.

    Returns:
        The folder of the distribution.

    Raises:
        Taken: There is one of that name.
        OSError: It can't be written.
    """
    folder = into / naming.distribution
    if folder.exists():
        raise Taken(f"{folder} is there already: take another name, or another --into.")
    into.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{naming.distribution}-", dir=into))
    try:
        made.chmod(0o755)
        for name, text in contents(naming, from_memory=from_memory).items():
            file = made / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        made.rename(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return folder


def contents(naming: Naming, *, from_memory: bool) -> dict[str, str]:
    """The files of a distribution: path in it → text."""
    form = _copy(naming) if from_memory else _empty(naming)
    values = _values(naming, form)
    source = f"src/{naming.package}"
    found = {
        "pyproject.toml": _filled("pyproject.toml", values),
        "README.md": _filled("README.md", values),
        "LICENSE": _filled("LICENSE", values) + (_filled("NOTICE", values) if from_memory else ""),
        ".gitignore": _filled("gitignore", values),
        f"{source}/__init__.py": _filled("init.py", values),
        f"{source}/py.typed": "",
        f"{source}/plugin.py": _filled("plugin.py", values),
        "tests/test_conformance.py": _filled("test_conformance.py", values),
    }
    modules = copied(naming) if from_memory else {naming.kind.value: unwritten(naming)}
    return found | {f"{source}/{name}.py": text for name, text in modules.items()}


def _values(naming: Naming, form: _Form) -> dict[str, str]:
    return {
        "distribution": naming.distribution,
        "package": naming.package,
        "stem": naming.stem,
        "title": naming.title,
        "backend": naming.backend,
        "kind": naming.kind.value,
        "KIND": naming.kind.name,
        "module": naming.kind.value,
        "setting": SETTINGS[naming.kind],
        "example": f"{naming.stem}://localhost/shop",
        "version": metadata.version("ticketkit"),
        "capabilities": form.capabilities,
        "opening": "\n".join(f"    {line}".rstrip() for line in form.opening.splitlines()),
        "conformance": form.conformance,
        "target_class": form.target_class,
        "target": form.target,
        "fixtures": form.fixtures,
        "test_imports": _test_imports(form),
    }


def _filled(name: str, values: Mapping[str, str]) -> str:
    text = files(__package__ or "").joinpath("templates", f"{name}.txt").read_text(encoding="utf-8")
    return Template(text).substitute(values)


def _test_imports(form: _Form) -> str:
    names = ", ".join(sorted({form.conformance, form.target_class}))
    standard = ["from pathlib import Path", ""] if form.path else []
    kit = f"from ticketkit.testing.conformance import {names}"
    return "\n".join([*standard, "import pytest", kit, *form.imports])


_CONFORMANCE: Final = {
    BackendKind.STORAGE: "StorageConformance",
    BackendKind.BUS: "BusConformance",
    BackendKind.TIMERS: "TimersConformance",
    BackendKind.PAYMENTS: "PaymentConformance",
}
_PAYMENTS: Final = "from ticketkit.testing.conformance.payments import"


def _empty(naming: Naming) -> _Form:
    """Every method is to be written."""
    lines = [
        f"from {naming.package}.{naming.kind.value} import {naming.backend}",
        "",
        f"yield {naming.backend}(url, context)",
    ]
    form = _Form(
        opening="\n".join(lines),
        conformance=_CONFORMANCE[naming.kind],
        target=f'Target(url="{naming.stem}://localhost/test", plugins=("{naming.package}.plugin",))',
    )
    if naming.kind is not BackendKind.PAYMENTS:
        return form
    return _Form(
        opening=form.opening,
        conformance=form.conformance,
        target_class="PaymentTarget",
        imports=(f"{_PAYMENTS} Stage, Tokens",),
        target="\n".join(
            [
                "PaymentTarget(",
                f'            url="{naming.stem}://localhost/test",',
                f'            plugins=("{naming.package}.plugin",),',
                '            tokens=Tokens(accepted="tok_visa", declined={"tok_declined": "card_declined"}),',
                "            stage=Stage(),  # a subclass that does what only the provider's test side can",
                "        )",
            ]
        ),
    )


def _copy(naming: Naming) -> _Form:
    """The code of the backend in memory."""
    original = ORIGINALS[naming.kind]
    arguments = {"MemoryBus": "context.clock"}.get(original.cls, "context.clock, context.new_id")
    imported = f"from {naming.package}.{original.module} import {naming.backend}\n\n"
    if naming.kind is not BackendKind.PAYMENTS:
        return _Form(
            opening=f"{imported}yield {naming.backend}({arguments})",
            conformance=_CONFORMANCE[naming.kind],
            target=f'Target(url="{naming.stem}:", plugins=("{naming.package}.plugin",))',
        )
    return _Form(
        opening=(
            f"from urllib.parse import unquote, urlsplit\n\n{imported}journal = unquote(urlsplit(url).path) or None\n"
            f"async with {naming.backend}({arguments}, journal=journal) as provider:\n    yield provider"
        ),
        capabilities="{Capability.DURABLE, Capability.SIGNED_TIME}",
        conformance="PaymentConformance",
        target_class="PaymentTarget",
        imports=(f"{_PAYMENTS} FAKE_TOKENS, FakeStage",),
        fixtures=", tmp_path: Path",
        path=True,
        target="\n".join(
            [
                "PaymentTarget(",
                f'            url=f"{naming.stem}://{{tmp_path}}/books.jsonl",',
                f'            plugins=("{naming.package}.plugin",),',
                "            tokens=FAKE_TOKENS,",
                "            stage=FakeStage(),",
                "        )",
            ]
        ),
    )
