"""The operations page beside services that run elsewhere."""

import json
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx2
import pytest
from pydantic import SecretStr
from web.browsing import Browser

from ticketkit.backends.errors import Misconfigured
from ticketkit.memory import VirtualClock
from ticketkit.runtime.settings import Settings
from ticketkit_marketplace.demo.process import Process
from ticketkit_marketplace.ops.desk import Desk
from ticketkit_marketplace.ops.settings import OpsSettings

SHOW = ("--show", "Grand Horizons")


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Process]:
    """All five in one process; its bus is one that processes share."""
    bus = f"sqlite:///{tmp_path / 'bus.db'}"
    made = Process(tmp_path / "data", environment={"TICKETKIT_BUS_URL": bus}, arguments=("--no-ops", *SHOW))
    try:
        made.start()
        yield made
    finally:
        made.kill()


def operations(services: Process, **more: str) -> Process:
    """The operations page alone."""
    base = f"http://{services.host}:{services.port}"
    environment = {
        "TICKETKIT_BUS_URL": f"sqlite:///{services.data.parent / 'bus.db'}",
        "TICKETKIT_OPS_API_URL": base,
        **more,
    }
    return Process(services.data, environment=environment, program=("ticketkit_marketplace", "ops"), name="ops")


async def test_it_shows_what_the_services_do_and_acts_on_their_storages(services: Process) -> None:
    base = f"http://{services.host}:{services.port}"
    process = operations(services, TICKETKIT_OPS_METRICS_URLS=f"{base}/metrics, http://127.0.0.1:9/metrics")
    account = json.loads((services.data / "operator.json").read_text())
    try:
        await anyio.to_thread.run_sync(process.start)
        async with httpx2.AsyncClient(base_url=f"http://{process.host}:{process.port}") as client:
            browser = Browser(client, VirtualClock())
            await browser.open("/ops")
            page = await browser.submit("Sign in", **account)
            assert page.heading == "Overview"
            assert "numbers of http://127.0.0.1:9/metrics can't be read" in page.text
            buyer = httpx2.AsyncClient(base_url=base)
            await buyer.post("/api/users/signup", json={"email": "ada@example.com", "password": "correct horse"})
            [event] = (await buyer.get("/api/events")).json()
            [ticket] = (await buyer.get(f"/api/events/{event['id']}/tickets", params={"limit": 1})).json()
            order = (await buyer.post("/api/orders", json={"ticketIds": [ticket["id"]]})).json()
            await browser.open("/ops/locks")
            assert browser.page.every("tbody th") == [order["id"]]
            page = await browser.open(f"/ops/orders/{order['id']}")
            assert "order.created" in page.said(".story")
            await browser.open(f"/ops/locks/{order['id']}/release")
            assert "The lock is released" in (await browser.submit("Release the lock")).text
            await browser.open(f"/ops/events/{event['id']}")
            assert "Sales paused" in (await browser.submit("Pause sales")).text
            assert (await buyer.get(f"/api/events/{event['id']}")).json()["paused"] is True
            with anyio.fail_after(60):
                while (await browser.open("/ops")).said("#cancelled") != "1":  # noqa: ASYNC110 - another process
                    await anyio.sleep(0.1)
            assert "POST /api/orders" in (await browser.open("/ops/traffic")).text
            assert "None does" in (await browser.open("/ops/payments")).text
            await buyer.aclose()
        assert await anyio.to_thread.run_sync(process.stop) == 0
        assert "released a lock" in process.log.read_text()
    finally:
        process.kill()


async def test_without_the_address_of_the_services_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="TICKETKIT_OPS_API_URL"):
        async with Desk.beside(Settings(data_dir=tmp_path), OpsSettings()):
            pass


async def test_a_bus_inside_another_process_is_refused(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, bus_url=SecretStr("memory:"))
    with pytest.raises(Misconfigured, match="TICKETKIT_BUS_URL"):
        async with Desk.beside(settings, OpsSettings.read(api_url="http://127.0.0.1:9")):
            pass


def test_a_setting_that_can_not_be_read_is_said_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKETKIT_OPS_METRICS_URLS", "http://127.0.0.1:8000/metrics, nonsense")
    with pytest.raises(Misconfigured, match="TICKETKIT_OPS_METRICS_URLS"):
        OpsSettings.read()
