"""One address: every request reaches the process that has its path, whole and once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import anyio
import httpx2
import pytest
from services.conftest import App, Town, echo
from starlette.types import Receive, Scope, Send

from ticketkit_marketplace.deployment.upstreams import Upstream

SERVICES = ("auth", "tickets", "orders", "expiration", "payments")


async def peopled(town: Town) -> None:
    for name in (*SERVICES, "web"):
        await town.process(name, echo(name))


PATHS = {
    "/api/users/signin": "auth",
    "/api/events?q=Hamilton%20%26%20Co": "tickets",
    "/api/tickets/mine": "tickets",
    "/api/orders": "orders",
    "/api/passes/admissions": "orders",
    "/api/payments/webhooks/stripe": "payments",
    "/": "web",
    "/events/1": "web",
    "/apiary": "web",
}


async def test_a_request_goes_to_whoever_has_its_path(town: Town) -> None:
    await peopled(town)
    client, _ = await town.open()
    for path, name in PATHS.items():
        got = (await client.post(path, content=b"12345")).json()
        asked, _, query = path.partition("?")
        assert (got["name"], got["path"], got["query"], got["body"]) == (name, asked, query, 5)


async def test_the_api_as_a_whole_is_told_here_and_numbers_are_not(town: Town) -> None:
    await peopled(town)
    client, _ = await town.open()
    assert {"/api/users/signup", "/api/payments/{id}"} <= (await client.get("/openapi.json")).json()["paths"].keys()
    assert (await client.get("/docs")).headers["content-type"].startswith("text/html")
    unknown = await client.get("/api/nothing")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "route_not_found")
    assert (await client.get("/metrics")).status_code == 404


async def test_what_a_client_says_of_itself_is_replaced(town: Town) -> None:
    await peopled(town)
    client, _ = await town.open()
    claimed = {
        "x-forwarded-for": "1.2.3.4",
        "x-forwarded-proto": "https",
        "x-forwarded-prefix": "/evil",
        "forwarded": "for=1.2.3.4",
        "connection": "keep-alive, x-secret",
        "x-secret": "for one hop",
        "te": "trailers",
        "cookie": "session=mine",
        "host": "tickets.example",
    }
    answer = await client.get("/api/users/currentuser", headers=claimed)
    got = dict(answer.json()["headers"])
    assert got["x-forwarded-for"] == "127.0.0.1"
    assert (got["x-forwarded-proto"], got["x-forwarded-host"]) == ("http", "tickets.example")
    assert (got["host"], got["cookie"]) == ("tickets.example", "session=mine")
    assert not got.keys() & {"x-forwarded-prefix", "forwarded", "x-secret", "te"}
    assert "keep-alive" not in answer.headers
    assert answer.headers["x-made-by"] == "auth"
    assert len(answer.headers.get_list("date")) == 1


async def test_the_web_client_is_believed_whom_it_asks_for(town: Town) -> None:
    await peopled(town)
    client, _ = await town.open(trusted=True)
    asked = {"x-forwarded-for": "1.2.3.4", "x-forwarded-proto": "https"}
    got = dict((await client.get("/api/users/currentuser", headers=asked)).json()["headers"])
    assert (got["x-forwarded-for"], got["x-forwarded-proto"]) == ("1.2.3.4", "https")


async def test_an_answer_is_passed_on_while_it_is_made_and_ends_when_the_gateway_closes(town: Town) -> None:
    seen, left = asyncio.Event(), asyncio.Event()

    async def events(scope: Scope, receive: Receive, send: Send) -> None:
        heads = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": heads})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await seen.wait()
        await send({"type": "http.response.body", "body": b"data: 2\n\n", "more_body": True})
        await receive()
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    await town.process("web", events)
    client, gateway = await town.open()
    async with client.stream("GET", "/live") as answer:
        chunks = answer.aiter_raw()
        assert await anext(chunks) == b"data: 1\n\n"
        seen.set()
        assert await anext(chunks) == b"data: 2\n\n"
        gateway.close()
        assert [chunk async for chunk in chunks] == []
    with anyio.fail_after(5):
        await left.wait()


async def test_a_process_learns_that_the_client_went_away(town: Town) -> None:
    left = asyncio.Event()

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    await town.process("orders", waits)
    client, _ = await town.open()
    with pytest.raises(httpx2.ReadTimeout):
        await client.get("/api/orders", timeout=0.2)
    with anyio.fail_after(5):
        await left.wait()


async def test_a_file_is_passed_on_while_it_is_sent(town: Town) -> None:
    arrived = asyncio.Event()

    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        first = await receive()
        arrived.set()
        body = first["body"]
        while first.get("more_body"):
            first = await receive()
            body += first["body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % len(body)})

    async def rows() -> AsyncIterator[bytes]:
        yield b"event,venue\n"
        await arrived.wait()
        yield b"Hamilton,Richard Rodgers\n" * 40_000

    await town.process("web", reads)
    client, _ = await town.open()
    with anyio.fail_after(10):
        assert (await client.post("/sell/file", content=rows())).text == str(12 + 25 * 40_000)


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_that_is_too_large_is_refused(town: Town, *, declared: bool) -> None:
    await peopled(town)
    client, _ = await town.open(most_bytes=1000)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b"x" * 100

    answer = await client.post("/sell/file", content=b"x" * 1100 if declared else chunks())
    assert answer.status_code == 413


async def test_two_processes_share_the_requests(town: Town) -> None:
    held = asyncio.Event()

    def slow(name: str) -> App:
        answer = echo(name)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await held.wait()
            await answer(scope, receive, send)

        return app

    for name in ("orders-1", "orders-2"):
        await town.process("orders", slow(name))
    client, _ = await town.open()
    async with anyio.create_task_group() as group:
        names: list[str] = []

        async def ask() -> None:
            names.append((await client.post("/api/orders")).json()["name"])

        for _ in range(8):
            group.start_soon(ask)
        while sum(one.busy for one in town.pool("orders").upstreams) < 8:  # noqa: ASYNC110 - requests arrive over a network
            await anyio.sleep(0.01)
        held.set()
    assert sorted(names) == ["orders-1"] * 4 + ["orders-2"] * 4


async def test_a_request_waits_for_a_process_that_starts_again(town: Town) -> None:
    upstream, serving = await town.process("orders", echo("orders"))
    client, _ = await town.open()
    assert (await client.post("/api/orders")).status_code == 200
    await serving.stop()  # nobody has noticed yet: it still counts as ready
    async with anyio.create_task_group() as group:
        answers: list[httpx2.Response] = []

        async def ask() -> None:
            answers.append(await client.post("/api/orders", content=b"twelve bytes"))

        group.start_soon(ask)
        town.pool("orders").mark(upstream, up=False)
        await town.process("orders", echo("another"))
    assert [(answer.json()["name"], answer.json()["body"]) for answer in answers] == [("another", 12)]


async def test_a_service_that_stays_away_is_said_with_a_time_to_come_back(town: Town) -> None:
    client, _ = await town.open(patience=0.1)
    answer = await client.post("/api/orders")
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "1")
    page = await client.get("/", headers={"accept": "text/html"})
    assert (page.status_code, page.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert "<h1>Back in a moment</h1>" in page.text
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
    assert [error["field"] for error in ready.json()["errors"]] == [*SERVICES, "web"]
    assert (await client.get("/healthz")).status_code == 200


async def test_it_is_ready_when_a_process_of_each_is(town: Town) -> None:
    await peopled(town)
    client, _ = await town.open()
    assert (await client.get("/readyz")).json() == {"status": "ready"}


async def mortal(town: Town, service: str, *, said: bytes) -> list[bytes]:
    """A process that reads a request, says something, and dies; what it was asked."""
    asked: list[bytes] = []

    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(65536))
        writer.write(said)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(die, "127.0.0.1", 0)
    town.stack.callback(server.close)
    upstream = town.pool(service).add(Upstream(*server.sockets[0].getsockname()))
    town.pool(service).mark(upstream, up=True)
    return asked


async def test_a_post_is_never_sent_twice_and_its_outcome_is_said_to_be_unknown(town: Town) -> None:
    asked = await mortal(town, "orders", said=b"")
    await town.process("orders", echo("orders"), up=True)
    client, _ = await town.open()
    answer = await client.post("/api/orders", content=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (502, "outcome_unknown")
    assert len(asked) == 1


async def test_a_get_is_asked_again_when_a_process_dies_before_it_answers(town: Town) -> None:
    asked = await mortal(town, "orders", said=b"")
    await town.process("orders", echo("orders"))
    client, _ = await town.open()
    answer = await client.get("/api/orders")
    assert (answer.status_code, answer.json()["name"]) == (200, "orders")
    assert len(asked) == 1


async def test_an_answer_that_broke_off_is_not_passed_on_as_a_whole_one(town: Town) -> None:
    said = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    await mortal(town, "tickets", said=said)
    client, _ = await town.open()
    with pytest.raises(httpx2.RemoteProtocolError):
        await client.get("/api/tickets")
