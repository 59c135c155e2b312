"""What every response has, and which requests never reach a route."""

from __future__ import annotations

import logging
from typing import Any

import httpx2
import pytest
from tests.http.conftest import Client

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.http.envelope import SECURITY, cross_site
from ticketkit.marketplace import Marketplace
from ticketkit.runtime.config import Config
from ticketkit.services.progress import TooManyWaiting

PATHS = ["/api/tickets", "/docs", "/metrics", "/healthz", "/nowhere", "/api/orders", "/api/tickets/1"]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("path", PATHS)
async def test_every_response_has_the_security_headers(regular: Client, path: str) -> None:
    headers = (await regular.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    for name, _ in SECURITY:
        assert len(headers.get_list(name.decode())) == 1
    assert "strict-transport-security" not in headers


async def test_outside_development_browsers_keep_to_https() -> None:
    async with Marketplace(config=Config(secure_cookies=True)) as market:
        transport = httpx2.ASGITransport(app=market.asgi())
        async with httpx2.AsyncClient(transport=transport, base_url="https://testserver") as client:
            account = {"email": "ada@example.com", "password": "correct horse"}
            response = await client.post("/api/users/signup", json=account)
            assert "max-age" in response.headers["strict-transport-security"]
            assert "; Secure" in response.headers["set-cookie"]


async def test_a_request_id_is_passed_back_when_it_is_sane(regular: Client) -> None:
    response = await regular.get("/healthz", headers={"X-Request-Id": "abc-1"})
    assert response.headers.get_list("x-request-id") == ["abc-1"]
    for strange in ("", "a b", "x" * 129, "<script>"):
        response = await regular.get("/healthz", headers={"X-Request-Id": strange})
        assert len(response.headers["x-request-id"]) == 36


async def test_what_a_request_causes_carries_its_id_and_trace(seller: Client, market: Marketplace) -> None:
    seen = []
    storage = next(iter(market.runtime.backends.distinct.values()))
    decide = storage.decide

    async def watched(reads: Any, decision: Any, command: Any) -> Any:
        seen.append(command)
        return await decide(reads, decision, command)

    storage.decide = watched  # type: ignore[method-assign,assignment]
    headers = {"X-Request-Id": "abc-1", "traceparent": TRACE}
    await seller.post("/api/tickets", json={"title": "A", "price": 1}, headers=headers)
    assert (seen[0].correlation_id, seen[0].traceparent) == ("abc-1", TRACE)
    await seller.post("/api/tickets", json={"title": "A", "price": 1}, headers={"traceparent": "nonsense"})
    assert seen[-1].traceparent is None


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({}, False),
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "nonsense"}, True),
        ({"sec-fetch-site": "cross-site", "origin": "http://evil.example"}, True),
        ({"sec-fetch-site": "same-site", "origin": "http://shop.example"}, False),
        ({"origin": "http://shop.example"}, False),
        ({"origin": "http://SHOP.example:80"}, False),
        ({"origin": "https://shop.example:443"}, False),
        ({"origin": "http://shop.example:8080"}, True),
        ({"origin": "http://evil.example"}, True),
        ({"origin": "http://shop.example.evil.example"}, True),
        ({"origin": "null"}, True),
        ({"origin": ""}, True),
    ],
)
def test_which_requests_come_from_other_sites(headers: dict[str, str], refused: bool) -> None:  # noqa: FBT001
    raw = {name.encode(): value.encode() for name, value in headers.items()}
    assert cross_site({**raw, b"host": b"shop.example"}, "http") is refused


async def test_other_sites_may_link_to_us(regular: Client) -> None:
    assert (await regular.get("/api/tickets", headers={"Sec-Fetch-Site": "cross-site"})).status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Unavailable("db-7.internal refused the connection", retry_after=7), 503, "unavailable"),
        (OutcomeUnknown("the answer of db-7.internal was lost"), 503, "outcome_unknown"),
        (TooManyWaiting(), 503, "too_many_waiting"),
        (RuntimeError("the password is hunter2 on db-7.internal"), 500, "internal_error"),
    ],
)
async def test_errors_below_are_told_without_details(
    market: Marketplace, app: Any, error: Exception, status: int, code: str
) -> None:
    async def fails(_: object) -> object:
        raise error

    market.tickets.find = fails  # type: ignore[assignment]
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://testserver") as client:
        response = await client.get("/api/tickets")
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert "internal." not in response.text
    assert "hunter2" not in response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"
    if status == 500:
        assert response.json()["requestId"] == response.headers["x-request-id"]
    if code == "unavailable":
        assert response.headers["retry-after"] == "7"


async def test_an_unexpected_error_is_logged_with_its_request(
    market: Marketplace, nobody: Client, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(_: object) -> object:
        raise RuntimeError("boom")

    market.tickets.find = fails  # type: ignore[assignment]
    await nobody.get("/api/tickets", headers={"X-Request-Id": "abc-1"})
    (record,) = [record for record in caplog.records if record.name == "ticketkit.http"]
    assert record.exc_text or record.exc_info
    assert record.__dict__["correlation_id"] == "abc-1"


async def test_each_request_is_one_line_of_the_access_log(regular: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="ticketkit.access"):
        await regular.get("/api/tickets/mine?limit=1")
        await regular.get("/api/orders/1")
    first, second = [record.__dict__ for record in caplog.records if record.name == "ticketkit.access"]
    assert (first["route"], first["status"], first["path"]) == ("/api/tickets/mine", 200, "/api/tickets/mine")
    assert first["actor"]
    assert (second["route"], second["status"], second["code"]) == ("/api/orders/{id}", 400, "malformed_id")
