"""JSON Schemas of contracts, as files that are committed, and the check that the contracts still agree with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ticketkit.events.compatibility import Finding, Kind, compare

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ticketkit.events.compatibility import Schema
    from ticketkit.events.contract import Contract

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema_of(contract: type[Contract]) -> Schema:
    """The JSON Schema of a contract: what its readers take, so `required` is what has no default.

    Source: JSON Schema 2020-12. `$id` is a URN, fit for CloudEvents' `dataschema`.
    """
    body = contract.model_json_schema(by_alias=True, mode="validation")
    return {
        "$schema": DIALECT,
        "$id": f"urn:ticketkit:contract:{contract.type()}",
        "title": body.pop("title"),
        "description": body.pop("description", ""),
        "x-cloudevents-type": contract.type(),
        **body,
    }


def export(folder: Path, contracts: Iterable[type[Contract]]) -> list[Path]:
    """Write the schema of each contract to a file of its own, `ticketkit.order.created.v1.json`.

    Files of contracts that are gone stay: `check` is to name them. A file that says the same already is not touched.

    Args:
        folder: Made when it does not exist.
        contracts: A registry, for one.

    Returns:
        The files that were written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {_file(folder, contract.type()): _text(schema_of(contract)) for contract in contracts}
    changed = [file for file, text in texts.items() if not file.exists() or file.read_text(encoding="utf-8") != text]
    for file in changed:
        file.write_text(texts[file], encoding="utf-8", newline="\n")
    return changed


def check(folder: Path, contracts: Iterable[type[Contract]]) -> list[Finding]:
    """Compare the contracts with the schemas that were committed.

    Args:
        folder: As `export` wrote it.
        contracts: A registry, for one.

    Returns:
        What old and new releases would misunderstand, by type; and where it is no more than that the change was not
        exported yet, one finding of the kind `OUT_OF_DATE` for the type.
    """
    present = {contract.type(): schema_of(contract) for contract in contracts}
    committed = {file.stem for file in folder.glob("*.json")}
    findings = []
    for type in sorted(present.keys() | committed):
        if type not in present:
            message = "there is no such contract any more, and its events may still be under way."
            findings.append(Finding(Kind.CONTRACT_REMOVED, type, message))
        elif type not in committed:
            findings.append(Finding(Kind.OUT_OF_DATE, type, "it is not exported yet."))
        else:
            findings += _check_file(_file(folder, type), type, present[type])
    return findings


def _check_file(file: Path, type: str, present: Schema) -> list[Finding]:
    try:
        committed: Any = json.loads(file.read_text(encoding="utf-8"))
        findings = compare(type, committed, present)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        return [Finding(Kind.UNREADABLE, type, f"{file.name} is no schema that was exported here: {error!r}.")]
    if not findings and file.read_text(encoding="utf-8") != _text(present):
        return [Finding(Kind.OUT_OF_DATE, type, "its committed file is out of date; the change is compatible.")]
    return findings


def _file(folder: Path, type: str) -> Path:
    return folder / f"{type}.json"


def _text(schema: Schema) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
