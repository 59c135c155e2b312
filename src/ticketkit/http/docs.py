"""A page for people, from the OpenAPI document: no script, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from html import escape
from typing import Any, Final

STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
nav ul { columns: 20rem; column-gap: 2.5rem; padding-left: 1.2rem; }
h2 { margin-top: 3rem; text-transform: capitalize; }
section { border-top: 1px solid var(--line); padding: 0.5rem 0 1rem; }
h3 code { font-size: 1rem; } .method { font-weight: bold; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; font-weight: bold; padding-top: 0.8rem; }
th, td { border: 1px solid var(--line); padding: 0.3rem 0.6rem; text-align: left; vertical-align: top; }
code { background: var(--soft); border-radius: 3px; padding: 0 0.2em; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
"""
"""Of the page; allowed by its digest."""
_DIGEST: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the page."""


def page(document: dict[str, Any], *, source: str) -> str:
    """The page.

    Args:
        document: The OpenAPI document.
        source: Path of the document.
    """
    info = document["info"]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(info['title'])} API</title><style>{STYLE}</style></head><body>",
        f"<header><h1>{escape(info['title'])} API {escape(info['version'])}</h1>",
        f"<p>{_text(info['description'])}</p>",
        f'<p><a href="{escape(source)}">OpenAPI document</a></p></header>',
        *_contents(document),
        "<main>",
        *(part for tag in document["tags"] for part in _tag(tag["name"], document)),
        *_schemas(document),
        "</main></body></html>",
    ]
    return "\n".join(parts)


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def _contents(document: dict[str, Any]) -> Iterator[str]:
    yield '<nav aria-label="Operations"><ul>'
    for path, method, operation in _operations(document):
        title = f"<code>{method} {escape(path)}</code> {escape(operation['summary'])}"
        yield f'<li><a href="#{escape(operation["operationId"])}">{title}</a></li>'
    yield "</ul></nav>"


def _tag(tag: str, document: dict[str, Any]) -> Iterator[str]:
    yield f"<h2>{escape(tag)}</h2>"
    for path, method, operation in _operations(document):
        if tag in operation["tags"]:
            yield from _operation(path, method, operation)


def _operation(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    name = escape(operation["operationId"])
    yield f'<section id="{name}"><h3><code><span class="method">{method}</span> {escape(path)}</code></h3>'
    yield f"<p>{escape(operation['summary'])}. {_text(operation.get('description', ''))}</p>"
    if operation["security"] and {} not in operation["security"]:
        yield "<p>For who is signed in.</p>"
    if operation["parameters"]:
        rows = (
            (p["name"], p["in"], _type(p["schema"]), _text(p.get("description", ""))) for p in operation["parameters"]
        )
        yield from _table("Parameters", ("Name", "In", "Type", "Meaning"), rows, code=1)
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body: {_type(content['schema'])} <code>{escape(kind)}</code></p>"
    responses = ((status, _text(told["description"]), _content(told)) for status, told in _sorted(operation))
    yield from _table("Responses", ("Status", "Meaning", "Body"), responses, code=1)
    yield "</section>"


def _sorted(operation: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return sorted(operation["responses"].items())


def _schemas(document: dict[str, Any]) -> Iterator[str]:
    yield "<h2>Types</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield f'<section id="type-{escape(name)}"><h3>{escape(name)}</h3>'
        yield f"<p>{_text(schema.get('description', ''))}</p>"
        if "enum" in schema:
            yield f"<p>{', '.join(f'<code>{escape(str(value))}</code>' for value in schema['enum'])}</p>"
        required = schema.get("required", ())
        rows = (
            (field, _type(about), "yes" if field in required else "no", _text(about.get("description", "")))
            for field, about in schema.get("properties", {}).items()
        )
        if "properties" in schema:
            yield from _table("Fields", ("Name", "Type", "Required", "Meaning"), rows, code=1)
        yield "</section>"


def _content(told: dict[str, Any]) -> str:
    return ", ".join(_type(content["schema"]) for content in told.get("content", {}).values())


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[-1])
        return f'<a href="#type-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"array of {_type(schema.get('items', {}))}"
    kind = escape(str(schema.get("type", "anything")))
    return f"{kind} ({escape(schema['format'])})" if "format" in schema else kind


def _table(caption: str, heads: tuple[str, ...], rows: Any, *, code: int) -> Iterator[str]:
    yield f'<div class="scroll"><table><caption>{caption}</caption><thead><tr>'
    yield "".join(f'<th scope="col">{head}</th>' for head in heads)
    yield "</tr></thead><tbody>"
    for row in rows:
        cells = [f"<code>{escape(str(cell))}</code>" if n < code else str(cell) for n, cell in enumerate(row)]
        yield f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    yield "</tbody></table></div>"


def _text(text: str) -> str:
    """Escaped, with `code` between backticks."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if n % 2 else part for n, part in enumerate(parts))
