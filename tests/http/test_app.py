"""What holds for all routes: generated from the document, so that a new route is tested too."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from starlette.routing import Route
from tests.http.conftest import PASSWORD, Client, Json

from ticketkit.http import openapi
from ticketkit.ids import new_id
from ticketkit.marketplace import Marketplace
from ticketkit.services.catalogue import ServiceName

DOCUMENT = openapi.document(Marketplace().asgi().state.operations)
OPERATIONS = [
    (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
PROTECTED = [(m, p) for m, p, o in OPERATIONS if o["security"] and {} not in o["security"]]
WITH_ID = [(m, p) for m, p, o in OPERATIONS if "{id}" in p]
WITH_BODY = [(m, p) for m, p, o in OPERATIONS if "application/json" in o.get("requestBody", {}).get("content", {})]
WITH_QUERY = [(m, p) for m, p, o in OPERATIONS if any(q["in"] == "query" for q in o["parameters"])]
PAGED = [(m, p) for m, p, o in OPERATIONS if any(q["name"] == "cursor" for q in o["parameters"])]
KEYED = [(m, p) for m, p, o in OPERATIONS if any(q["name"] == "Idempotency-Key" for q in o["parameters"])]
UNSAFE = [(m, p) for m, p, o in OPERATIONS if m != "GET" and "webhooks" not in p]


def filled(path: str, id: str | None = None) -> str:
    return path.replace("{id}", id or new_id()).replace("{provider}", "fake")


def test_the_tables_are_what_the_issue_says() -> None:
    assert len(PROTECTED) == 22
    assert len(WITH_ID) == 15
    assert len(WITH_BODY) == 12
    assert len(KEYED) == 7


@pytest.mark.parametrize(("method", "path"), PROTECTED)
async def test_nobody_is_refused_by_every_protected_route(stranger: Client, method: str, path: str) -> None:
    for body in (None, {}, {"unknown": 1}):
        response = await stranger.request(method, filled(path), json=body)
        assert (response.status_code, response.json()["code"]) == (401, "not_signed_in")
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), WITH_ID)
@pytest.mark.parametrize("id", ["1", "x" * 300, "%00", "..%2F..", "{}", "01A20BB9-7550-75B2-A83E-0367CACA6ACF"])
async def test_a_malformed_id_is_400_everywhere(regular: Client, method: str, path: str, id: str) -> None:
    response = await regular.request(method, filled(path, id), json={} if (method, path) in WITH_BODY else None)
    if "%2F" in id:  # a slash is no part of an id
        assert response.status_code in (400, 404)
        return
    assert (response.status_code, response.json()["code"]) == (400, "malformed_id")
    assert response.json()["errors"][0]["field"] == "id"


@pytest.mark.parametrize(("method", "path"), WITH_ID)
async def test_an_unknown_id_is_404_everywhere(regular: Client, method: str, path: str) -> None:
    bodies = {"PUT": {"title": "A", "price": 1}, "PATCH": {"ticketIds": [new_id()]}}
    response = await regular.request(method, filled(path), json=bodies.get(method))
    assert response.status_code == 404
    assert response.json()["code"].endswith("_not_found")


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
async def test_unknown_fields_are_refused_by_name_everywhere(regular: Client, method: str, path: str) -> None:
    response = await regular.request(method, filled(path), json={"colour": "red"})
    assert response.status_code == 400
    assert {"message": "There is no such field.", "field": "colour", "code": "unknown_field"} in response.json()[
        "errors"
    ]


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
async def test_what_is_no_json_is_refused_everywhere(regular: Client, method: str, path: str) -> None:
    for content in (b"{", b"", b"\xff", b"[" * 100_000, b'{"a": NaN}', b"\xef\xbb\xbf{}"):
        headers = {"Content-Type": "application/json"}
        response = await regular.request(method, filled(path), content=content, headers=headers)
        assert response.status_code in (400, 413), content[:10]
        assert response.json()["code"] in ("malformed_json", "body_too_large")


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
async def test_another_type_of_content_is_415_everywhere(regular: Client, method: str, path: str) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""):
        headers = {"Content-Type": kind}
        response = await regular.request(method, filled(path), content=b"{}", headers=headers)
        assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
async def test_a_large_body_is_413_everywhere(regular: Client, method: str, path: str) -> None:
    large = b" " * (2 * 1024 * 1024 + 1)

    async def chunks() -> Any:
        for start in range(0, len(large), 65536):
            yield large[start : start + 65536]

    for content in (large, chunks()):
        headers = {"Content-Type": "application/json"}
        response = await regular.request(method, filled(path), content=content, headers=headers)
        assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(("method", "path"), WITH_QUERY)
async def test_unknown_parameters_are_refused_by_name_everywhere(regular: Client, method: str, path: str) -> None:
    response = await regular.request(method, filled(path) + "?colour=red")
    assert response.status_code == 400
    assert "colour" in [error["field"] for error in response.json()["errors"]]


@pytest.mark.parametrize(("method", "path"), [(m, p) for m, p in PAGED if "{id}" not in p])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=", "cursor"),
    ],
)
async def test_a_bad_page_is_400_everywhere(regular: Client, method: str, path: str, query: str, field: str) -> None:
    response = await regular.request(method, f"{path}?{query}")
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(("method", "path"), UNSAFE)
async def test_cross_site_requests_are_refused_everywhere(regular: Client, method: str, path: str) -> None:
    response = await regular.request(method, filled(path), json={}, headers={"Sec-Fetch-Site": "cross-site"})
    assert (response.status_code, response.json()["code"]) == (403, "cross_site")


@pytest.mark.parametrize(("method", "path"), KEYED)
async def test_a_bad_idempotency_key_is_refused_everywhere(regular: Client, method: str, path: str) -> None:
    bodies: dict[str, Json] = {
        "/api/events": {"name": "A", "venue": "B", "startsAt": "2030-01-01T00:00:00Z"},
        "/api/tickets": {"title": "A", "price": 1},
        "/api/tickets/batch": {"tickets": [{"title": "A", "price": 1}]},
        "/api/orders": {"ticketId": new_id()},
        "/api/payments": {"orderId": new_id()},
    }
    for key in (b"", b"x" * 256, b"a\tb"):
        response = await regular.request(method, filled(path), json=bodies.get(path), headers={b"Idempotency-Key": key})
        assert (response.status_code, response.json()["code"]) == (400, "bad_idempotency_key")


@pytest.mark.parametrize("path", list(DOCUMENT["paths"]))
async def test_another_method_is_405_and_says_which_there_are(regular: Client, path: str) -> None:
    response = await regular.request("TRACE", filled(path))
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    allowed = {method.upper() for method in DOCUMENT["paths"][path]}
    assert {*response.headers["allow"].split(", ")} - {"HEAD"} == allowed


@pytest.mark.parametrize("path", ["/", "/api", "/api/", "/api/ticket", "/api/tickets/", "/api/users", "/api/a/b/c"])
async def test_an_unknown_route_is_a_404_problem(regular: Client, path: str) -> None:
    response = await regular.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "route_not_found")
    assert response.headers["content-type"] == "application/problem+json"


def test_the_document_is_the_routes() -> None:
    app = Marketplace().asgi()
    assert sorted(route.path for route in app.routes if isinstance(route, Route)) == sorted(DOCUMENT["paths"])


@pytest.mark.parametrize("service", list(ServiceName))
async def test_each_service_is_an_app_of_its_own(service: ServiceName) -> None:
    from ticketkit.http import build

    async with Marketplace() as market:
        app = build(market.runtime, [service])
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://testserver") as client:
            paths = (await client.get("/openapi.json")).json()["paths"]
            tags = {tag for methods in paths.values() for one in methods.values() for tag in one["tags"]}
            assert tags == {"operations"} | ({service.value} if service is not ServiceName.EXPIRATION else set())
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/readyz")).status_code == 200


async def test_routes_answer_503_until_the_marketplace_runs() -> None:
    app = Marketplace().asgi()
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://testserver") as client:
        response = await client.get("/api/tickets")
        assert (response.status_code, response.json()["code"]) == (503, "unavailable")
        assert response.headers["retry-after"] == "1"
        assert (await client.get("/healthz")).status_code == 200
        response = await client.get("/readyz")
        assert (response.status_code, response.json()["code"]) == (503, "not_ready")
        assert (await client.get("/metrics")).status_code == 200


class Extra:
    """A plugin with routes."""

    def ticketkit_routes(self) -> list[Any]:
        from starlette.requests import Request
        from starlette.responses import PlainTextResponse

        async def answer(request: Request) -> PlainTextResponse:
            return PlainTextResponse(f"plugin {len(await request.body())}")

        return [
            Route("/api/extra", answer, methods=["GET", "POST"]),
            Route("/api/tickets", answer, methods=["GET", "LINK"]),
            Route("/api/docs/{name}", answer),
        ]


async def test_plugins_add_routes_and_take_none_away() -> None:
    async with Marketplace(plugins=[Extra()]) as market:
        transport = httpx2.ASGITransport(app=market.asgi())
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
            assert (await client.get("/api/extra")).text == "plugin 0"
            assert (await client.get("/api/docs/x")).headers["x-content-type-options"] == "nosniff"
            assert (await client.get("/api/tickets")).json() == []
            assert (await client.request("LINK", "/api/tickets")).status_code == 405
            assert (await client.post("/api/extra", headers={"Origin": "http://evil"})).status_code == 403
            assert (await client.post("/api/extra", content=b" " * (11 * 2**20))).status_code == 413
            assert (await client.get("/nowhere")).json()["code"] == "route_not_found"


async def test_it_can_be_mounted_below_a_path(document: Json) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    market = Marketplace()
    outer = Starlette(routes=[Mount("/shop", app=market.asgi())], lifespan=market.lifespan)
    async with market:
        transport = httpx2.ASGITransport(app=outer)
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
            signed_up = await client.post(
                "/shop/api/users/signup", json={"email": "a@example.com", "password": PASSWORD}
            )
            assert signed_up.status_code == 201
            rows = [{"title": f"Seat {number}", "price": 1} for number in range(3)]
            assert (await client.post("/shop/api/tickets/batch", json={"tickets": rows})).status_code == 201
            first = await client.get("/shop/api/tickets?limit=2")
            assert first.headers["link"].startswith("</shop/api/tickets?limit=2&cursor=")
            told = (await client.get("/shop/openapi.json")).json()
            assert told["servers"] == [{"url": "/shop"}]
            assert told["paths"] == document["paths"]
            assert 'href="/shop/openapi.json"' in (await client.get("/shop/docs")).text
            hook = await client.post("/shop/api/payments/webhooks/fake", headers={"Origin": "http://evil"})
            assert hook.status_code == 400
