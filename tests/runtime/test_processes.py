"""Five services as five processes on one SQLite file: storage, timers and bus in it, nothing else between them."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.runtime.processes import Process, processes, wait_until

if TYPE_CHECKING:
    from pathlib import Path

SERVICES = ("auth", "tickets", "orders", "expiration", "payments")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    url = f"sqlite:///{tmp_path / 'market.db'}"
    return {
        "TICKETKIT_DATA_DIR": str(tmp_path),
        "TICKETKIT_STORAGE_URL": url,
        "TICKETKIT_AUTH_STORAGE_URL": f"sqlite:///{tmp_path / 'accounts.db'}",
        "TICKETKIT_PAYMENTS_STORAGE_URL": f"sqlite:///{tmp_path / 'payments.db'}",
        "TICKETKIT_BUS_URL": url,
        "TICKETKIT_HOLD": "PT2S",
    }


def test_a_purchase_across_five_processes_each_boundary_on_its_own_database(env: dict[str, str]) -> None:
    with processes(env, *SERVICES) as running, httpx2.Client(timeout=20) as http:
        at = {name: process.url() for name, process in running.items()}

        def signed_up(email: str) -> dict[str, str]:
            answer = http.post(f"{at['auth']}/api/users/signup", json={"email": email, "password": "correct horse"})
            assert answer.status_code == 201, answer.text
            return {"cookie": f"session={answer.cookies['session']}"}

        seller, buyer = signed_up("seller@example.org"), signed_up("buyer@example.org")
        http.cookies.clear()
        made = [
            http.post(f"{at['tickets']}/api/tickets", json={"title": "Seat", "price": 25.50}, headers=seller).json()
            for _ in range(2)
        ]
        paid, left = (
            http.post(f"{at['orders']}/api/orders", json={"ticketId": ticket["id"]}, headers=buyer).json()
            for ticket in made
        )
        charge = http.post(
            f"{at['payments']}/api/payments", json={"orderId": paid["id"], "token": "tok_visa"}, headers=buyer
        )
        assert charge.status_code == 201, charge.text
        assert charge.json()["amount"] == 25.5

        def order_is(id: str, status: str) -> bool:
            return bool(http.get(f"{at['orders']}/api/orders/{id}", headers=buyer).json()["status"] == status)

        wait_until("completed", lambda: order_is(paid["id"], "completed"))
        wait_until("expired", lambda: order_is(left["id"], "cancelled"))
        assert http.get(f"{at['tickets']}/api/tickets/{made[0]['id']}").json()["status"] == "sold"
        assert http.get(f"{at['tickets']}/api/tickets/{made[1]['id']}").json()["status"] == "available"

        http.post(f"{at['auth']}/api/users/signout", json={}, headers=buyer)
        for path in (f"{at['orders']}/api/orders", f"{at['tickets']}/api/tickets/mine"):
            wait_until("refused", lambda path=path: http.get(path, headers=buyer).status_code == 401, seconds=5)
        assert [process.stop() for process in running.values()] == [0] * len(SERVICES)


def test_all_together_stop_on_sigterm_with_status_0(env: dict[str, str]) -> None:
    process = Process("serve", "--port", "0", env=env | {"TICKETKIT_BUS_URL": "memory:"})
    assert httpx2.get(f"{process.url()}/readyz").status_code == 200
    assert process.stop(signal.SIGTERM) == 0


def test_a_service_alone_refuses_a_bus_that_cant_be_shared(env: dict[str, str]) -> None:
    process = Process("serve", "orders", "--port", "0", env=env | {"TICKETKIT_BUS_URL": "memory:"})
    _, errors = process.child.communicate(timeout=30)
    assert process.child.returncode == 2
    assert "TICKETKIT_BUS_URL" in errors
    assert "Traceback" not in errors
