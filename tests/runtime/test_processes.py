"""The same five services on each combination of backends, as one process and as five; nothing else between them."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.runtime.combinations import COMBINATIONS, settings
from tests.runtime.processes import Process, processes, wait_until

if TYPE_CHECKING:
    from pathlib import Path

SERVICES = ("auth", "tickets", "orders", "expiration", "payments")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    url = f"sqlite:///{tmp_path / 'market.db'}"
    return {"TICKETKIT_DATA_DIR": str(tmp_path), "TICKETKIT_STORAGE_URL": url, "TICKETKIT_BUS_URL": url}


@pytest.mark.parametrize("shape", ["one process", "five processes"])
@pytest.mark.parametrize("combination", COMBINATIONS)
def test_a_purchase_an_expiry_a_sign_out_and_a_clean_stop(
    combination: str, shape: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    names = SERVICES if shape == "five processes" else ("",)
    env = settings(combination, request, tmp_path, apart=len(names) > 1) | {"TICKETKIT_HOLD": "PT2S"}
    with processes(env, *names) as running, httpx2.Client(timeout=20) as http:
        at = {name: process.url() for name, process in running.items()}
        at = dict.fromkeys(SERVICES, at[""]) if "" in at else at
        shop(http, at)
        assert [process.stop() for process in running.values()] == [0] * len(names)


def shop(http: httpx2.Client, at: dict[str, str]) -> None:
    """A purchase, an order that expires, and a sign-out that every service hears of."""

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


def test_all_together_stop_on_sigterm_with_status_0(env: dict[str, str]) -> None:
    process = Process("serve", "--port", "0", env=env | {"TICKETKIT_BUS_URL": "memory:"})
    assert httpx2.get(f"{process.url()}/readyz").status_code == 200
    assert process.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("service", "setting", "url"),
    [
        ("orders", "TICKETKIT_BUS_URL", "memory:"),
        ("orders", "TICKETKIT_STORAGE_URL", "memory:"),
        ("auth", "TICKETKIT_AUTH_STORAGE_URL", "memory:"),
        ("payments", "TICKETKIT_PAYMENTS_STORAGE_URL", "memory:"),
        ("payments", "TICKETKIT_PAYMENTS", "fake"),
        ("expiration", "TICKETKIT_TIMERS_URL", "memory:"),
    ],
)
def test_a_service_alone_refuses_what_cant_be_shared_or_is_lost_with_it(
    env: dict[str, str], service: str, setting: str, url: str
) -> None:
    process = Process("serve", service, "--port", "0", env=env | {setting: url})
    _, errors = process.child.communicate(timeout=30)
    assert process.child.returncode == 2
    assert setting in errors
    assert "Traceback" not in errors
