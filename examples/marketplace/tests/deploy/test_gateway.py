"""The gateway: real Caddy on the deployment's own files, in front of servers that say what they were asked."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from deploy.echo import Echo, echoing
from deploy.files import DEPLOY, PROCESSES
from deploy.gateway import Gateway, gateway
from deploy.stack import free_ports

from ticketkit.http import service_paths
from ticketkit.http.app import TABLE
from ticketkit.services.catalogue import ServiceName

BEHIND = tuple(name for name in PROCESSES if name != "expiration")
ROUTES = sorted({(re.sub(r"\{\w+\}", "7", operation.path), str(operation.tag)) for operation in TABLE})


@pytest.fixture(scope="module")
def echoes() -> Iterator[dict[str, Echo]]:
    with ExitStack() as stack:
        yield {f"{name}:8000": stack.enter_context(echoing(name)) for name in BEHIND}


@pytest.fixture(scope="module")
def front(echoes: dict[str, Echo], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    hosts = {there: echo.place for there, echo in echoes.items()}
    with gateway(tmp_path_factory.mktemp("gateway"), hosts) as made:
        yield made


@pytest.fixture(scope="module")
def outside(front: Gateway) -> Iterator[httpx2.Client]:
    with front.client() as client:
        yield client


@pytest.mark.parametrize(("path", "service"), ROUTES)
def test_every_route_of_the_services_is_answered_by_its_service(
    outside: httpx2.Client, path: str, service: str
) -> None:
    told = outside.get(path).json()
    assert (told["name"], told["path"]) == (service, path)


@pytest.mark.parametrize("path", ["/", "/sign-in", "/events/7", "/orders", "/static/app.js", "/usersettings"])
def test_everything_else_is_a_page_of_the_web_client(outside: httpx2.Client, path: str) -> None:
    assert outside.get(path).json()["name"] == "web"


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/nothing", "/api/usersettings"])
def test_a_path_of_the_api_that_is_nobodys_is_a_problem(outside: httpx2.Client, path: str) -> None:
    answer = outside.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "route_not_found"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/ops", "/ops/dead", "/METRICS"])
def test_what_is_for_those_who_run_it_is_not_had_from_outside(outside: httpx2.Client, path: str) -> None:
    answer = outside.get(path)
    assert answer.status_code == 404
    assert "name" not in answer.text


def test_an_address_that_a_visitor_makes_up_is_not_passed_on(outside: httpx2.Client) -> None:
    made_up = {"x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "http", "x-forwarded-host": "evil.example"}
    headers = outside.get("/api/events", headers=made_up).json()["headers"]
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert headers["X-Forwarded-Proto"] == "https"
    assert headers["X-Forwarded-Host"].startswith("localhost")
    assert headers["Host"].startswith("localhost")


def test_the_address_that_the_web_client_tells_is_passed_on(front: Gateway) -> None:
    told = {"x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "https"}
    headers = httpx2.get(f"{front.inside}/api/events", headers=told, trust_env=False).json()["headers"]
    assert headers["X-Forwarded-For"].split(", ")[0] == "192.0.2.1"
    assert headers["X-Forwarded-Proto"] == "https"


def test_live_events_come_one_by_one(outside: httpx2.Client, echoes: dict[str, Echo]) -> None:
    with outside.stream("GET", "/live") as answer:
        chunks = answer.iter_lines()
        assert next(chunks) == "data: first"
        echoes["web:8000"].go_on.set()
        assert "data: second" in list(chunks)


@pytest.mark.parametrize(("path", "most"), [("/api/tickets/batch", 10), ("/sell/file", 64)])
def test_a_body_that_is_too_large_is_refused(outside: httpx2.Client, path: str, most: int) -> None:
    body = b"x" * (most * 1024 * 1024)
    assert outside.post(path, content=body).json()["body"] == len(body)
    assert outside.post(path, content=body + b"x").status_code == 413


def test_whoever_asks_without_tls_is_sent_to_it(front: Gateway) -> None:
    answer = httpx2.get(f"{front.plain}/events/7", trust_env=False)
    assert answer.status_code == 308
    assert answer.headers["location"] == "https://localhost/events/7"
    with pytest.raises(httpx2.TransportError):
        httpx2.get(front.public, trust_env=False)  # who does not know Caddy's own authority does not trust it


def test_a_process_that_is_being_restarted_is_waited_for(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    answers: list[httpx2.Response] = []
    with gateway(tmp_path, {"orders:8000": f"127.0.0.1:{port}"}, caddyfile="Caddyfile.cluster") as made:

        def order() -> None:
            answers.append(httpx2.post(f"{made.inside}/api/orders", content=b"{}", trust_env=False, timeout=30))

        asking = threading.Thread(target=order)
        asking.start()
        asking.join(0.3)  # nobody is there to answer
        assert not answers
        with echoing("orders", port):
            asking.join(20)
            assert answers[0].json()["name"] == "orders"


def test_the_gateway_of_the_cluster_has_the_same_routes(tmp_path: Path, echoes: dict[str, Echo]) -> None:
    hosts = {there: echo.place for there, echo in echoes.items()}
    with (
        gateway(tmp_path, hosts, caddyfile="Caddyfile.cluster") as made,
        httpx2.Client(base_url=made.inside, trust_env=False) as client,
    ):
        assert [client.get(path).json()["name"] for path, _ in ROUTES] == [service for _, service in ROUTES]
        assert client.get("/metrics").status_code == 404
        told = client.get("/", headers={"x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "https"}).json()
        assert told["headers"]["X-Forwarded-For"].split(", ")[0] == "192.0.2.1"
        assert told["headers"]["X-Forwarded-Proto"] == "https"


def test_the_routes_are_written_as_the_services_have_them() -> None:
    text = (DEPLOY / "gateway" / "routes.caddy").read_text(encoding="utf-8")
    written = {
        name: {path for path in paths.split() if not path.endswith("/*")}
        for name, paths in re.findall(r"^\t@(\w+) path (.+)$", text, re.MULTILINE)
        if name in set(ServiceName)
    }
    assert written == {name.value: set(paths) for name, paths in service_paths().items() if paths}
    for name, paths in written.items():
        assert f"@{name} path {' '.join(f'{path} {path}/*' for path in sorted(paths))}\n" in text
        assert f"handle @{name} {{\n\t\timport service {name}:8000\n" in text


def test_services_without_routes_are_not_behind_the_gateway() -> None:
    assert {name.value for name in ServiceName} - {service for _, service in ROUTES} == {"expiration"}
