"""A backend that works from the start: the code of the one in memory, to be replaced piece by piece."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from ticketkit.backends.spec import BackendKind
from ticketkit.cli.scaffold.ports import PORTS, docstring

if TYPE_CHECKING:
    from ticketkit.cli.scaffold.naming import Naming

MEMORY: Final = "ticketkit.memory"
_NOQA: Final = re.compile(r"  # noqa.*")
_GAP: Final = re.compile(
    r"(?P<line>^ *(?:from|import) (?P<root>\w+)[^\n]*)\n\n(?= *from ticketkit\.(?!memory))", re.MULTILINE
)
NOTICE: Final = "# Begun as a copy of {module} (Apache-2.0, the ticketkit authors): replace it piece by piece.\n"


@dataclass(frozen=True, slots=True)
class Original:
    """The backend in memory of a kind.

    Attributes:
        module: In `ticketkit.memory`.
        cls: The backend.
    """

    module: str
    cls: str


ORIGINALS: Final = {
    BackendKind.STORAGE: Original("storage", "MemoryStorage"),
    BackendKind.BUS: Original("bus", "MemoryBus"),
    BackendKind.TIMERS: Original("timers", "MemoryTimers"),
    BackendKind.PAYMENTS: Original("payments", "FakePayments"),
}


def copied(naming: Naming) -> dict[str, str]:
    """The modules of the backend in memory, and all that they need of it: name → source, under new names."""
    original = ORIGINALS[naming.kind]
    found: dict[str, str] = {}
    wanted = [original.module]
    while wanted:
        if (module := wanted.pop()) in found:
            continue
        source = files(MEMORY).joinpath(f"{module}.py").read_text(encoding="utf-8")
        wanted += _needed(source)
        if module == original.module:
            source = _documented(source, original, naming)
        found[module] = NOTICE.format(module=f"{MEMORY}.{module}") + _renamed(source, original, naming)
    return found


def _needed(source: str) -> list[str]:
    """Modules of `ticketkit.memory` that a module imports."""
    needed = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == MEMORY:
            needed += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{MEMORY}."):
            needed.append(str(node.module).removeprefix(f"{MEMORY}."))
    return needed


def _documented(source: str, original: Original, naming: Naming) -> str:
    """With the port's words in each method of the backend."""
    port = PORTS[naming.kind]
    theirs, lines = port.source.splitlines(), source.splitlines()
    tree = ast.parse(source)
    backend = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == original.cls)
    methods = [node for node in backend.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for node in reversed(methods):
        promise = port.methods().get(node.name)
        if promise is not None and ast.get_docstring(node) is None:
            at = node.body[0].lineno - 1
            gap = [""] if isinstance(node.body[0], ast.FunctionDef) else []
            lines[at:at] = [*docstring(theirs, promise), *gap]
    return "\n".join([*lines, ""])


def _renamed(source: str, original: Original, naming: Naming) -> str:
    """Its own imports under the new package, in a block of their own after the others; its classes by new names."""
    lines = source.splitlines()
    imports = [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
    own = [node for node in imports if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(MEMORY)]
    if own:
        block = ["", *(line for node in own for line in lines[node.lineno - 1 : node.end_lineno])]
        last = max(node.end_lineno or node.lineno for node in imports)
        lines[last:last] = block
        for node in reversed(own):
            del lines[node.lineno - 1 : node.end_lineno]
    text = _NOQA.sub("", "\n".join([*lines, ""]))
    text = _GAP.sub(_closed, text)
    text = re.sub(rf"^from {re.escape(MEMORY)}(?=[. ])", f"from {naming.package}", text, flags=re.MULTILINE)
    text = re.sub(rf"\b{original.cls}\b", naming.backend, text)
    return text.replace('    name: str = "fake"', f'    name: str = "{naming.stem}"')


def _closed(gap: re.Match[str]) -> str:
    """Ticketkit is one of the others to its plugins: no empty line stands between them."""
    return gap[0] if gap["root"] in sys.stdlib_module_names else f"{gap['line']}\n"
