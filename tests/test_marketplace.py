"""`Marketplace`: inside somebody's app, alone, in parts, and as five that know each other by events only."""

from __future__ import annotations

import subprocess
import sys
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest
from fastapi import FastAPI
from tests.services.books import check
from tests.services.shop import Shop, patiently
from tests.services.stage import Stage

from ticketkit import Listing, Marketplace, Money, Principal
from ticketkit.backends.errors import Misconfigured
from ticketkit.domain.entities import ChargeStatus, OrderStatus, TicketStatus
from ticketkit.domain.errors import InvalidInput, NotFound
from ticketkit.events.catalogue import OrderCancelled, OrderCompleted, OrderCreated
from ticketkit.memory import VirtualClock
from ticketkit.runtime.config import ALL, Config
from ticketkit.runtime.runtime import NotRunning
from ticketkit.services.catalogue import Boundary, ServiceName
from ticketkit.services.progress import TooManyWaiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from ticketkit.events.envelope import Event

TICKET = {"title": "A seat", "price": 25}


def by_header(request: Request) -> Principal | None:
    name = request.headers.get("x-user")
    return Principal(name) if name else None


async def by_header_later(request: Request) -> Principal | None:
    await anyio.lowlevel.checkpoint()
    return by_header(request)


def browser(app: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://testserver")


# --- inside an app ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("identity", [by_header, by_header_later], ids=["sync", "async"])
async def test_it_is_mounted_in_a_fastapi_app_that_knows_its_own_users(identity: Any) -> None:
    market = Marketplace(clock=VirtualClock(), identity=identity)
    app = FastAPI(lifespan=market.lifespan)
    app.mount("/shop", market.asgi())

    @app.get("/hello")
    async def hello() -> str:
        return "the app's own route"

    seller, buyer = {"x-user": "seller"}, {"x-user": "buyer"}
    async with app.router.lifespan_context(app), browser(app) as http:
        assert (await http.get("/hello")).json() == "the app's own route"
        assert (await http.post("/shop/api/tickets", json=TICKET)).status_code == 401
        ticket = (await http.post("/shop/api/tickets", json=TICKET, headers=seller)).json()
        assert ticket["userId"] == "seller"
        order = (await http.post("/shop/api/orders", json={"ticketId": ticket["id"]}, headers=buyer)).json()
        paid = await http.post("/shop/api/payments", json={"orderId": order["id"], "token": "tok_visa"}, headers=buyer)
        assert paid.status_code == 201
        found = (await http.get(f"/shop/api/orders/{order['id']}", headers=buyer)).json()
        assert found["status"] == "completed"
        assert (await http.get(f"/shop/api/orders/{order['id']}", headers=seller)).status_code == 404


async def test_an_app_with_its_own_users_has_no_accounts_of_ticketkit() -> None:
    market = Marketplace(clock=VirtualClock(), identity=by_header)
    async with market, browser(market.asgi()) as http:
        body = {"email": "a@example.com", "password": "correct horse"}
        assert (await http.post("/api/users/signup", json=body)).status_code == 404
        with pytest.raises(NotRunning, match="auth can't be used: it does not run in this process"):
            await market.auth.sign_up("a@example.com", "correct horse")


async def test_an_app_hears_each_event_once() -> None:
    market = Marketplace(clock=VirtualClock())
    completed: list[Event[OrderCompleted]] = []
    others: list[str] = []

    @market.on(OrderCompleted, consumer="receipts")
    async def receipt(event: Event[OrderCompleted]) -> None:
        completed.append(event)

    @market.on(OrderCreated, OrderCancelled, consumer="receipts")
    async def note(event: Event[Any]) -> None:
        others.append(event.envelope.name)

    async with market:
        shop = Shop(market)
        order = await shop.order("10", "20")
        await shop.pay(order)
        await market.orders.cancel("buyer", (await shop.order()).id)
        await shop.clock.advance(minutes=1)
    [event] = completed
    assert event.data.id == order.id
    assert event.data.total.minor == 3000
    assert event.data.user_id == "buyer"
    assert sorted(others) == ["order.cancelled", "order.created", "order.created"]


async def test_two_consumers_get_each_event_each() -> None:
    market = Marketplace(clock=VirtualClock())
    heard: list[str] = []

    async def hear(name: str, event: Event[OrderCreated]) -> None:
        heard.append(name)

    for name in ("mail", "web"):
        market.on(OrderCreated, consumer=name)(partial(hear, name))
    async with market:
        await Shop(market).order()
    assert sorted(heard) == ["mail", "web"]


async def test_an_error_of_the_app_comes_out_as_it_is() -> None:
    error = LookupError("of the app")
    with pytest.raises(LookupError) as raised:
        async with Marketplace(clock=VirtualClock()):
            raise error
    assert raised.value is error


async def test_an_error_of_the_app_stops_the_marketplace() -> None:
    market = Marketplace(clock=VirtualClock())
    with pytest.raises(LookupError):
        async with market:
            raise LookupError
    with pytest.raises(NotRunning):
        await market.orders.place("buyer", ["ticket"])


async def test_a_cancelled_app_stops_the_marketplace() -> None:
    market = Marketplace(clock=VirtualClock())
    with anyio.move_on_after(0.01) as scope:
        async with market:
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    with pytest.raises(NotRunning):
        market.orders  # noqa: B018


async def test_a_marketplace_that_cant_start_says_why_and_can_be_started_later(tmp_path: Any) -> None:
    path = tmp_path / "books.jsonl"
    path.write_bytes(b"these are no books\n")
    market = Marketplace(clock=VirtualClock(), payments=f"fake://{path}")
    with pytest.raises(Misconfigured, match="journal"):
        async with market:
            pass
    path.unlink()
    async with market:
        assert await market.runtime.ready() == {}


async def test_it_runs_once_at_a_time_and_again_afterwards() -> None:
    market = Marketplace(clock=VirtualClock())
    async with market:
        with pytest.raises(NotRunning, match="runs already"):
            await market.__aenter__()
        [ticket] = await market.tickets.list("seller", [Listing(title="A seat", price=Money(100, "USD"))])
    async with market:
        with pytest.raises(NotFound):  # a storage in memory without a name ends with its marketplace
            await market.tickets.get(ticket.id)


async def test_handlers_are_added_before_the_start_only() -> None:
    market = Marketplace(clock=VirtualClock())
    async with market:
        with pytest.raises(NotRunning, match="before the marketplace starts"):
            market.on(OrderCompleted, consumer="receipts")


@pytest.mark.parametrize("name", list(ServiceName))
def test_a_consumer_cant_take_the_name_of_a_service(name: str) -> None:
    with pytest.raises(ValueError, match="ticketkit's own consumer"):
        Marketplace().on(OrderCompleted, consumer=name)


def test_a_consumer_handles_an_event_once() -> None:
    market = Marketplace()

    async def handle(event: Event[Any]) -> None: ...

    market.on(OrderCompleted, consumer="receipts")(handle)
    with pytest.raises(ValueError, match=r"'receipts' handles order\.completed already"):
        market.on(OrderCompleted, consumer="receipts")(handle)


@pytest.mark.parametrize("name", ["auth", "tickets", "orders", "payments"])
def test_nothing_can_be_used_before_the_start(name: str) -> None:
    with pytest.raises(NotRunning, match="the marketplace is not running"):
        getattr(Marketplace(), name)


async def test_a_subset_of_services_has_no_others() -> None:
    market = Marketplace(config=Config(services=frozenset({ServiceName.TICKETS}), alone=False, clock=VirtualClock()))
    async with market, browser(market.asgi()) as http:
        assert (await http.get("/api/tickets")).status_code == 200
        assert (await http.get("/api/orders")).status_code == 404
        for name in ("auth", "orders", "payments"):
            with pytest.raises(NotRunning, match=f"{name} can't be used: it does not run in this process"):
                getattr(market, name)
        with pytest.raises(NotRunning, match="No service of the boundary payments"):
            market.runtime.storage(Boundary.PAYMENTS)


def test_an_unknown_service_is_refused() -> None:
    with pytest.raises(ValueError, match="cinema"):
        Marketplace(services=["cinema"])


@pytest.mark.parametrize("module", ["ticketkit", "ticketkit.marketplace"])
def test_an_import_loads_no_web_framework_and_no_driver(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    heavy = {"sqlalchemy", "uvicorn", "starlette", "fastapi", "ticketkit_sql", "alembic", "httpx2", "pytest", "click"}
    assert heavy & set(loaded) == set()


# --- as five processes -----------------------------------------------------------------------------------------------


class Five:
    """Five marketplaces with a service each; they share a bus, and each boundary has a storage of its own."""

    def __init__(self, name: str) -> None:
        self.name, self.clock = name, VirtualClock()

    def part(self, *services: str, **options: Any) -> Marketplace:
        return Marketplace(
            config=Config(
                storage=f"memory://{self.name}-inventory",
                accounts=f"memory://{self.name}-accounts",
                payment_storage=f"memory://{self.name}-payments",
                bus=f"memory://{self.name}",
                timers=f"memory://{self.name}",
                services=frozenset(map(ServiceName, services)),
                alone=False,
                drain=0.3,
                clock=self.clock,
                **options,
            )
        )


@pytest.fixture
def five(request: pytest.FixtureRequest) -> Five:
    return Five(request.node.name.replace("[", "-").rstrip("]"))


@pytest.fixture
async def parts(five: Five) -> AsyncIterator[dict[str, Marketplace]]:
    async with AsyncExitStack() as stack:
        yield {name.value: await stack.enter_async_context(five.part(name)) for name in sorted(ALL)}


async def test_a_purchase_works_across_five_that_share_nothing_but_the_bus(
    five: Five, parts: dict[str, Marketplace]
) -> None:
    seller = await parts["auth"].auth.sign_up("seller@example.com", "correct horse")
    buyer = await parts["auth"].auth.sign_up("buyer@example.com", "correct horse")
    listing = Listing(title="A seat", price=Money.parse("25", "USD"))
    [ticket] = await parts["tickets"].tickets.list(seller.user.id, [listing])
    order = (await parts["orders"].orders.place(buyer.user.id, [ticket.id])).order
    charge = await parts["payments"].payments.pay(buyer.user.id, order.id, token="tok_visa")
    await five.clock.settle()
    assert charge.status is ChargeStatus.COMPLETED
    assert (await parts["orders"].orders.get(buyer.user.id, order.id)).order.status is OrderStatus.COMPLETED
    assert (await parts["tickets"].tickets.get(ticket.id)).status is TicketStatus.SOLD
    await five.clock.advance(seconds=10)
    await _agree(parts)


async def test_an_order_expires_across_five(five: Five, parts: dict[str, Marketplace]) -> None:
    listing = Listing(title="A seat", price=Money.parse("25", "USD"))
    [ticket] = await parts["tickets"].tickets.list("seller", [listing])
    order = (await parts["orders"].orders.place("buyer", [ticket.id])).order
    await five.clock.advance(minutes=14, seconds=59)
    assert (await parts["orders"].orders.get("buyer", order.id)).order.status is OrderStatus.CREATED
    await five.clock.advance(seconds=1)
    assert (await parts["orders"].orders.get("buyer", order.id)).order.status is OrderStatus.CANCELLED
    assert (await parts["tickets"].tickets.get(ticket.id)).status is TicketStatus.AVAILABLE
    await five.clock.advance(seconds=10)
    await _agree(parts)


async def test_what_payments_missed_while_it_was_away_reaches_it_when_it_comes(five: Five) -> None:
    async with five.part("payments"):
        pass
    # The bus in memory keeps what its groups have not heard as long as somebody has it open.
    async with five.part("tickets") as tickets, five.part("orders") as orders:
        async with five.part("payments"):
            await five.clock.settle()
        listing = Listing(title="A seat", price=Money.parse("25", "USD"))
        [ticket] = await tickets.tickets.list("seller", [listing])
        order = (await orders.orders.place("buyer", [ticket.id])).order
        await five.clock.advance(minutes=1)
        async with five.part("payments") as payments:
            charge = await patiently(five.clock, payments.payments.pay("buyer", order.id, token="tok_visa"))
            assert charge.status is ChargeStatus.COMPLETED


async def test_a_payment_right_after_its_order_waits_for_the_copy(five: Five, parts: dict[str, Marketplace]) -> None:
    listing = Listing(title="A seat", price=Money.parse("25", "USD"))
    [ticket] = await parts["tickets"].tickets.list("seller", [listing])
    answers: list[Any] = []
    order = (await parts["orders"].orders.place("buyer", [ticket.id])).order

    async def pay() -> None:
        answers.append(await parts["payments"].payments.pay("buyer", order.id, token="tok_visa"))

    async with anyio.create_task_group() as group:
        group.start_soon(pay)
        await five.clock.advance(seconds=2)
    assert answers[0].status is ChargeStatus.COMPLETED


async def test_a_payment_whose_order_never_comes_is_not_found(five: Five) -> None:
    async with five.part("tickets") as tickets, five.part("payments") as payments:
        # Orders lock here, but their relay is not running: nothing tells payments.
        listing = Listing(title="A seat", price=Money.parse("25", "USD"))
        await tickets.tickets.list("seller", [listing])
        began = five.clock.now()
        with pytest.raises(NotFound) as refused:
            await patiently(five.clock, payments.payments.pay("buyer", "an order", token="tok_visa"), step=0.1)
        assert refused.value.code == "order_not_found"
        assert 2 <= (five.clock.now() - began).total_seconds() <= 2.2


async def test_payments_that_wait_for_a_copy_are_bounded(five: Five) -> None:
    async with five.part("payments") as payments:
        payments.payments._progress._most = 3
        outcomes: list[str] = []

        async def pay(number: int) -> None:
            try:
                await payments.payments.pay("buyer", f"order {number}", token="tok_visa")
            except (NotFound, TooManyWaiting) as error:
                outcomes.append(type(error).__name__)

        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(pay, number)
            await five.clock.settle()
            assert outcomes == ["NotFound"] * 7, "who finds no place to wait is told at once"
            await five.clock.advance(seconds=3)
        assert outcomes == ["NotFound"] * 10


async def test_two_of_each_service_share_the_work() -> None:
    stage = Stage()
    options = {"bus": "stage:bus", "timers": "stage:timers"}
    async with stage.market(**options) as one, stage.market(**options) as other:
        shops = Shop(one), Shop(other)
        orders = []
        for number in range(6):
            order = await shops[number % 2].order()
            charge = await shops[(number + 1) % 2].pay(order)
            assert charge.status is ChargeStatus.COMPLETED
            assert len(await shops[0].charges(order)) == 1
            orders.append(await shops[0].order())
        await stage.clock.advance(minutes=16)
        assert {(await shops[0].order_now(order)).status for order in orders} == {OrderStatus.CANCELLED}
        await check(shops[0].inventory, shops[0].payments, stage.provider.books())


async def test_a_password_of_the_wrong_length_is_refused_in_its_own_process(parts: dict[str, Marketplace]) -> None:
    with pytest.raises(InvalidInput):
        await parts["auth"].auth.sign_up("a@example.com", "short")


async def _agree(parts: dict[str, Marketplace]) -> None:
    inventory = parts["orders"].runtime.storage(Boundary.INVENTORY)
    payments = parts["payments"].runtime.storage(Boundary.PAYMENTS)
    provider: Any = parts["payments"].runtime.backends.provider
    await check(inventory, payments, provider.books())
