"""The OpenAPI document and the page made of it."""

from __future__ import annotations

import base64
import hashlib
import re

from openapi_spec_validator import validate
from tests.http.conftest import Client, Json


def test_the_document_is_valid_openapi(document: Json) -> None:
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_every_operation_has_a_summary_an_id_and_a_success(document: Json) -> None:
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    ids = [one["operationId"] for one in operations]
    assert len(set(ids)) == len(ids)
    for one in operations:
        assert one["summary"]
        assert any(status.startswith("2") for status in one["responses"])


def test_names_are_in_camel_case(document: Json) -> None:
    names = [name for schema in document["components"]["schemas"].values() for name in schema.get("properties", {})] + [
        parameter["name"]
        for methods in document["paths"].values()
        for one in methods.values()
        for parameter in one["parameters"]
        if parameter["in"] == "query"
    ]
    assert [name for name in names if not re.fullmatch("[a-z]+([A-Z][a-z]*)*", name)] == []


def test_unknown_fields_are_refused_by_the_document_too(document: Json) -> None:
    for methods in document["paths"].values():
        for one in methods.values():
            for content in one.get("requestBody", {}).get("content", {}).values():
                name = content["schema"].get("$ref", "").rsplit("/", 1)[-1]
                if name:
                    assert document["components"]["schemas"][name]["additionalProperties"] is False


async def test_the_document_is_served_as_it_is(stranger: Client, document: Json) -> None:
    assert (await stranger.get("/openapi.json")).json() == document


async def test_the_page_names_every_operation_and_loads_nothing(stranger: Client, document: Json) -> None:
    response = await stranger.get("/docs")
    assert response.headers["content-type"].startswith("text/html")
    for path, methods in document["paths"].items():
        assert path in response.text
        for one in methods.values():
            assert f'id="{one["operationId"]}"' in response.text
    assert "<script" not in response.text
    assert "://" not in response.text
    assert not re.search(r"\son\w+=|\sstyle=|\ssrc=", response.text)
    style = re.search("<style>(.*)</style>", response.text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in response.headers["content-security-policy"]


async def test_links_within_the_page_lead_somewhere(stranger: Client) -> None:
    text = (await stranger.get("/docs")).text
    targets = set(re.findall(r'href="#([^"]+)"', text))
    assert targets <= set(re.findall(r'id="([^"]+)"', text))
