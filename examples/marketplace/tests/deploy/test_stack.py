"""The deployment runs: its commands, settings and files, with ports of this machine instead of host names."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from deploy.files import DEPLOY, PROCESSES, stages
from deploy.gateway import gateway
from deploy.stack import HOST, Stack, invoked, program, wait_until_ready

from ticketkit.cli import main
from ticketkit.services.catalogue import ServiceName

SHOW = "Grand Horizons"


@pytest.fixture(scope="module")
def visitor(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """Somebody outside, over TLS."""
    stack.run("broadway", "--show", SHOW)
    inside = int(stack.hosts["gateway:8000"].rpartition(":")[2])
    with gateway(tmp_path_factory.mktemp("gateway"), stack.hosts, inside=inside) as made, made.client() as client:
        yield client


def _until_over(client: httpx2.Client, order: str) -> Any:
    end = time.monotonic() + 30
    while True:
        found = client.get(f"/api/orders/{order}").json()
        if found["status"] in ("completed", "cancelled"):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.05)


def test_a_ticket_is_bought_through_the_gateway(visitor: httpx2.Client) -> None:
    signed_up = visitor.post("/api/users/signup", json={"email": "ada@example.com", "password": "correct horse"})
    assert signed_up.status_code == 201, signed_up.text
    assert "Secure" in signed_up.headers["set-cookie"]
    [ticket, *_] = visitor.get("/api/tickets").json()
    ordered = visitor.post("/api/orders", json={"ticketIds": [ticket["id"]]})
    assert ordered.status_code == 201, ordered.text
    paid = visitor.post("/api/payments", json={"orderId": ordered.json()["id"], "token": "tok_visa"})
    assert paid.status_code in (201, 202), paid.text
    assert _until_over(visitor, ordered.json()["id"])["status"] == "completed"


def test_pages_come_from_the_web_client_that_asks_the_services_through_the_gateway(visitor: httpx2.Client) -> None:
    page = visitor.get("/")
    assert SHOW in page.text
    assert "max-age" in page.headers["strict-transport-security"]
    refused = visitor.post("/sign-in", data={"email": "ada@example.com", "password": "not that one"})
    assert refused.status_code == 422


def test_doctor_finds_nothing_wrong_with_the_processes_together(stack: Stack, tmp_path: Path) -> None:
    named = [f"{name}={_env_file(stack, name, tmp_path)}" for name in PROCESSES if name in set(ServiceName)]
    done = invoked(main, ["doctor", "--json", *named])
    found = [one["what"] for one in json.loads(done.stdout)["findings"] if one["severity"] != "note"]
    assert [what for what in found if "play money" not in what] == [], done.stdout


def _env_file(stack: Stack, service: str, folder: Path) -> Path:
    file = folder / f"{service}.env"
    lines = [f"{name}='{value}'" for name, value in stack.environment(service).items() if name.startswith("TICKETKIT_")]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


@pytest.mark.parametrize("boundary", ["accounts", "inventory", "payments"])
def test_services_write_rows_and_change_no_schema(stack: Stack, boundary: str) -> None:
    def said(statement: str, database: str = boundary) -> str:
        password = stack.variables[f"{boundary.upper()}_PASSWORD"]
        url = f"postgresql://{boundary}:{password}@{HOST}:{stack.postgresql.port}/{database}"
        command = [str(stack.postgresql.tool("psql")), "-X", "-A", "-t", "-c", statement, url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return f"{done.stdout}{done.stderr}".strip()

    [table, *_] = said("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").splitlines()
    assert said("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'") == "migrations"
    assert said("SELECT count(*) > 5 FROM pg_tables WHERE schemaname = 'public'") == "t"
    assert "permission denied" in said("CREATE TABLE mine (id int)")
    assert "must be owner" in said(f"DROP TABLE {table}")
    for other in {"accounts", "inventory", "payments"} - {boundary}:
        assert "permission denied for database" in said("SELECT 1", database=other)


def test_the_health_check_of_the_image_tells_the_ready_from_the_others(stack: Stack) -> None:
    [check] = stages()["runtime"].all("HEALTHCHECK")
    words = json.loads(check.partition("CMD ")[2])

    def status(place: str) -> int:
        command = [program(words[0]), *(word.replace("127.0.0.1:8000", place) for word in words[1:])]
        return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode

    assert status(stack.hosts["orders:8000"]) == 0
    assert status(stack.hosts["web:8000"]) == 0
    assert status(f"{HOST}:1") != 0


def test_the_operations_page_runs_beside_them(stack: Stack) -> None:
    ops = stack.start("ops")
    wait_until_ready([ops], path="/healthz")
    page = httpx2.get(f"{ops.url}/ops", trust_env=False, follow_redirects=True)
    assert page.status_code == 200
    assert "Sign in" in page.text


def test_numbers_that_are_watched_are_told(stack: Stack, visitor: httpx2.Client) -> None:
    """By the real processes, and not only by the class that counts."""
    visitor.post("/api/orders", json={"ticketIds": []})
    services = [name for name in PROCESSES if name in set(ServiceName)]
    told = "".join(httpx2.get(f"{stack.processes[name].url}/metrics", trust_env=False).text for name in services)
    dashboard = (DEPLOY / "monitoring" / "dashboard.json").read_text(encoding="utf-8")
    rules = (DEPLOY / "monitoring" / "alerts.yaml").read_text(encoding="utf-8")
    asked = set(re.findall(r"ticketkit_\w+", dashboard + rules))
    assert {name for name in asked if not re.search(rf"^{name}\{{", told, re.MULTILINE)} == set()


@pytest.mark.proof
def test_a_restart_is_not_seen_from_outside(stack: Stack, visitor: httpx2.Client) -> None:
    for name in PROCESSES:
        assert stack.processes[name].stop() == 0
        stack.start(name)
        assert visitor.get("/").status_code == 200
        assert visitor.get("/api/tickets").status_code == 200
        assert visitor.get("/api/orders").status_code in (200, 401)
