"""The event catalogue as Markdown and the flow of events as a Mermaid diagram, generated for the documentation."""

from __future__ import annotations

import inspect
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ticketkit.events.schemas import schema_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ticketkit.events.contract import Contract
    from ticketkit.events.flow import Flow


def catalogue(contracts: Iterable[type[Contract]], flow: Flow) -> str:
    """Every event with who says and hears it, then the fields of each; events of the same fields share a table."""
    contracts = list(contracts)
    lines = ["| event | what it says | by | heard by |", "|---|---|---|---|"]
    for contract in contracts:
        by, heard = ", ".join(flow.sayers(contract.NAME)), ", ".join(flow.hearers(contract.NAME))
        lines.append(f"| `{_title(contract)}` | {_summary(contract)} | {by} | {heard} |")
    shapes: dict[tuple[str, ...], list[str]] = {}
    for contract in contracts:
        shapes.setdefault(tuple(_rows(contract)), []).append(f"`{_title(contract)}`")
    for rows, titles in shapes.items():
        lines += ["", f"### {', '.join(titles)}", "", "| field | type | |", "|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def flowchart(flow: Flow) -> str:
    """A Mermaid flowchart: an arrow from who says to who hears, with the events on it; a dotted one for a broadcast."""
    lines = ["flowchart LR", *(f"    {_id(who)}[{who}]" for who in flow.participants())]
    for sayer, said in flow.says.items():
        for hearer, heard in flow.hears.items():
            lines += _arrow(sayer, "-->", [name for name in said if name in heard], [hearer])
        hearers = [who for who, heard in flow.broadcast.items() if who != sayer and set(said) & set(heard)]
        aloud = {name for who in hearers for name in flow.broadcast[who]}
        lines += _arrow(sayer, "-.->", [name for name in said if name in aloud], hearers)
    return "\n".join(lines) + "\n"


def _arrow(sayer: str, arrow: str, names: list[str], hearers: list[str]) -> list[str]:
    return [f'    {_id(sayer)} {arrow}|"{_label(names)}"| {" & ".join(map(_id, hearers))}'] if names else []


def _rows(contract: type[Contract]) -> Iterator[str]:
    schema = schema_of(contract)
    required = set(schema.get("required", ()))
    for name, field in schema["properties"].items():
        yield f"| `{name}` | {_type(field, schema)} | {'' if name in required else 'optional'} |"


def _type(field: dict[str, Any], root: dict[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        found = root["$defs"][name]
        if "enum" in found:
            return " · ".join(f"`{value}`" for value in found["enum"])
        return f"{name} ({', '.join(f'`{inner}`' for inner in found['properties'])})"
    if "anyOf" in field:
        return " or ".join(_type(option, root) for option in field["anyOf"])
    if field.get("type") == "array" and "items" in field:
        return f"array of {_type(field['items'], root)}"
    return str(field.get("format") or field.get("type", "anything"))


def _label(names: list[str]) -> str:
    by_aggregate = groupby(sorted(names, key=_aggregate), key=_aggregate)
    return "<br>".join(f"{of}: {', '.join(name.rpartition('.')[2] for name in group)}" for of, group in by_aggregate)


def _aggregate(name: str) -> str:
    return name.rpartition(".")[0]


def _id(who: str) -> str:
    """A name that Mermaid takes for a node, whatever it means there."""
    return "n_" + "".join(letter if letter.isalnum() else "_" for letter in who)


def _title(contract: type[Contract]) -> str:
    return contract.NAME if contract.VERSION == 1 else f"{contract.NAME} (v{contract.VERSION})"


def _summary(contract: type[Contract]) -> str:
    return (inspect.getdoc(contract) or "").split("\n", 1)[0]
