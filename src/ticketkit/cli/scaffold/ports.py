"""A backend in which every method is documented and none is written, from the source of its port: so it can't drift."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

from ticketkit.backends.spec import BackendKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ticketkit.cli.scaffold.naming import Naming

WIDTH: Final = 120
_METHODS: Final = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Port:
    """Where the protocols of a kind are.

    Attributes:
        module: With the protocols.
        protocol: Of the backend itself.
        parts: Other protocols that a backend has to have objects of.
    """

    module: str
    protocol: str
    parts: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Of the module."""
        return inspect.getsource(import_module(self.module))

    def methods(self, protocol: str | None = None) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
        """The methods of a protocol by name, in order."""
        return {
            node.name: node for node in self.definition(protocol or self.protocol).body if isinstance(node, _METHODS)
        }

    def definition(self, protocol: str) -> ast.ClassDef:
        """A protocol."""
        found = (node for node in ast.parse(self.source).body if isinstance(node, ast.ClassDef))
        return next(node for node in found if node.name == protocol)


PORTS: Final = {
    BackendKind.STORAGE: Port("ticketkit.backends.storage", "Storage"),
    BackendKind.BUS: Port("ticketkit.backends.bus", "Bus", ("Subscription", "Delivery")),
    BackendKind.TIMERS: Port("ticketkit.backends.timers", "Timers"),
    BackendKind.PAYMENTS: Port("ticketkit.backends.payments", "PaymentProvider"),
}


def unwritten(naming: Naming) -> str:
    """The module of a backend of which every method says what it must do, and that it is to be written."""
    port = PORTS[naming.kind]
    lines = port.source.splitlines()
    classes = [_backend(port, lines, naming)]
    classes += [_part(port, lines, part, f"{naming.title}{part}") for part in port.parts]
    nodes = [port.definition(name) for name in (port.protocol, *port.parts)]
    wanted = {name for node in nodes for name in _names(node)} | {"Context"}
    imports = _imports(_known(port) | {"Context": "ticketkit.backends.spec"}, wanted)
    return "\n".join(
        [
            f'"""The {naming.kind.value} of ticketkit on {naming.title}."""',
            "",
            "from __future__ import annotations",
            "",
            "from typing import TYPE_CHECKING",
            "",
            "from ticketkit.backends.errors import Unimplemented",
            "",
            f"from {naming.package}.plugin import CAPABILITIES",
            "",
            "if TYPE_CHECKING:",
            *imports,
            "",
            "",
            "\n\n\n".join(classes),
            "",
        ]
    )


def docstring(lines: list[str], node: ast.AST) -> list[str]:
    """The lines of the docstring of a class or function, as they stand."""
    if not isinstance(node, ast.ClassDef | _METHODS) or ast.get_docstring(node) is None:
        return []
    first = node.body[0]
    return lines[first.lineno - 1 : first.end_lineno]


def _backend(port: Port, lines: list[str], naming: Naming) -> str:
    node = port.definition(port.protocol)
    given = {"capabilities": "CAPABILITIES", "name": f'"{naming.stem}"'}
    attributes = [f"    {ast.unparse(field)} = {given[_name(field)]}" for field in _fields(node)]
    return "\n".join(
        [
            f"class {naming.backend}:",
            *docstring(lines, node),
            "",
            *attributes,
            "",
            "    def __init__(self, url: str, context: Context) -> None:",
            "        self._url, self._context = url, context",
            "",
            *_methods(node, lines),
        ]
    )


def _part(port: Port, lines: list[str], part: str, name: str) -> str:
    node = port.definition(part)
    fields = list(_fields(node))
    made: list[str] = []
    if fields:
        parameters = ", ".join(ast.unparse(field) for field in fields)
        made = [
            f"    def __init__(self, {parameters}) -> None:",
            *(f"        self.{_name(field)} = {_name(field)}" for field in fields),
            "",
        ]
    return "\n".join([f"class {name}:", *docstring(lines, node), "", *made, *_methods(node, lines)])


def _methods(node: ast.ClassDef, lines: list[str]) -> Iterator[str]:
    found = [method for method in node.body if isinstance(method, _METHODS)]
    for method in found:
        *head, body = lines[method.lineno - 1 : method.end_lineno]
        if body.strip() != "...":
            raise AssertionError(f"{node.name}.{method.name} is no method of a protocol.")
        yield from head
        yield f"        raise Unimplemented(self.{method.name})"
        if method is not found[-1]:
            yield ""


def _fields(node: ast.ClassDef) -> Iterator[ast.AnnAssign]:
    return (field for field in node.body if isinstance(field, ast.AnnAssign))


def _name(field: ast.AnnAssign) -> str:
    return ast.unparse(field.target)


def _names(node: ast.ClassDef) -> Iterator[str]:
    """Names that the annotations of a class use."""
    annotations = [field.annotation for field in _fields(node)]
    for item in [*annotations, *(method for method in node.body if isinstance(method, _METHODS))]:
        yield from (name.id for name in ast.walk(item) if isinstance(name, ast.Name))


def _known(port: Port) -> dict[str, str]:
    """Name → module, of all that the module of a port imports or defines."""
    tree = ast.parse(port.source)
    known: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            known[node.name] = port.module
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            known[node.target.id] = port.module
    for imported in (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module):
        known |= {alias.name: str(imported.module) for alias in imported.names}
    return known


def _imports(known: dict[str, str], names: Iterable[str]) -> list[str]:
    """The lines of an `if TYPE_CHECKING:` block, in the order of isort: the standard library, then the rest."""
    modules: dict[str, list[str]] = {}
    for name in sorted(set(names) - {"self", *vars(builtins)}, key=_rank):
        modules.setdefault(known[name], []).append(name)
    standard = [module for module in sorted(modules) if module.partition(".")[0] in sys.stdlib_module_names]
    others = [module for module in sorted(modules) if module not in standard]
    lines: list[str] = []
    for block in (block for block in (standard, others) if block):
        lines += ["", *(line for module in block for line in _import(module, modules[module]))]
    return lines[1:]


def _import(module: str, names: list[str]) -> list[str]:
    line = f"    from {module} import {', '.join(names)}"
    if len(line) <= WIDTH:
        return [line]
    return [f"    from {module} import (", *(f"        {name}," for name in names), "    )"]


def _rank(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name
