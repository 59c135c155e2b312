"""`ticketkit.blocking`: the same calls for threads, by a thread of its own or beside the event loop of an app."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from anyio import to_thread
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import ticketkit
from ticketkit import Listing, Money, Principal, blocking
from ticketkit.backends.errors import Misconfigured, OutcomeUnknown
from ticketkit.domain.entities import ChargeStatus, OrderStatus, TicketStatus
from ticketkit.domain.errors import NotFound, TicketUnavailable
from ticketkit.events.catalogue import OrderCancelled, OrderCreated, TicketCreated
from ticketkit.plugins import Rule
from ticketkit.runtime.runtime import NotRunning
from ticketkit.services import auth, operations, orders, payments, tickets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from starlette.requests import Request

    from ticketkit.events.envelope import Event

SEAT = Listing(title="Row F, seat 12", price=Money.parse("49.50", "USD"))

NOT_FOR_APPS = {
    *("handle_charge", "handle_expiration", "handle_live_event", "handle_order"),
    *("finish", "nudged", "reconcile", "run", "sweep"),
}
"""What the runtime calls, and nobody else."""


@pytest.fixture
def market() -> Iterator[blocking.Marketplace]:
    with blocking.Marketplace(drain=2.0) as running:
        yield running


def seat(market: Any) -> str:
    [ticket] = market.tickets.list("sam", [SEAT])
    return str(ticket.id)


class Slow:
    """A rule that an order waits for, until it is told to go on."""

    def __init__(self) -> None:
        self.waiting, self.go_on = threading.Event(), threading.Event()

    def ticketkit_rules(self) -> list[Rule]:
        return [self]

    async def gather(self, buyer_id: str, ticket_ids: Sequence[str]) -> None:
        self.waiting.set()
        await to_thread.run_sync(self.go_on.wait, abandon_on_cancel=True)

    def judge(self, state: Any, tickets: Any, facts: Any) -> None: ...


class Bomb(BaseException):
    """Nothing in the marketplace takes it for an error that it knows."""


@pytest.fixture
def slow() -> Iterator[Slow]:
    rule = Slow()
    yield rule
    rule.go_on.set()


# --- the calls -------------------------------------------------------------------------------------------------------


def test_a_ticket_is_listed_ordered_and_paid_without_await(tmp_path: Path) -> None:
    with blocking.Marketplace(f"sqlite:///{tmp_path}/shop.db", payments="fake") as market:
        ticket_id = seat(market)
        placed = market.orders.place("ada", [ticket_id], command_key="cart-1")
        assert market.orders.place("ada", [ticket_id], command_key="cart-1").order.id == placed.order.id
        charge = market.payments.pay("ada", placed.order.id, token="tok_visa")
        assert charge.status is ChargeStatus.COMPLETED
        assert market.orders.get("ada", placed.order.id).order.status is OrderStatus.COMPLETED
        assert market.tickets.get(ticket_id).status is TicketStatus.SOLD
        assert market.ready() == {}


def test_users_sign_up_and_in(market: blocking.Marketplace) -> None:
    signed_up = market.auth.sign_up("ada@example.com", "correct horse")
    assert market.auth.sign_in("ada@example.com", "correct horse").user == signed_up.user


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (auth.Auth, blocking.Auth),
        (tickets.Tickets, blocking.Tickets),
        (orders.Orders, blocking.Orders),
        (operations.Operations, blocking.Operations),
        (payments.Payments, blocking.Payments),
    ],
    ids=lambda cls: cls.__module__,
)
def test_every_call_of_a_service_is_there_with_its_signature_and_docstring(theirs: type, ours: type) -> None:
    asynchronous = {n: m for n, m in vars(theirs).items() if inspect.iscoroutinefunction(m) and n[0] != "_"}
    public = {name: method for name, method in vars(ours).items() if name[0] != "_"}
    assert set(public) == set(asynchronous) - NOT_FOR_APPS
    for name, method in public.items():
        assert not inspect.iscoroutinefunction(method)
        assert inspect.signature(method) == inspect.signature(asynchronous[name])
        assert method.__doc__ == asynchronous[name].__doc__


def test_it_takes_whatever_a_marketplace_takes() -> None:
    parameters = inspect.signature(ticketkit.Marketplace).parameters
    assert blocking.Options.__optional_keys__ == set(parameters) - {"storage"}


def test_an_error_comes_out_as_the_call_raised_it(market: blocking.Marketplace) -> None:
    ticket_id = seat(market)
    market.orders.place("ada", [ticket_id])
    with pytest.raises(TicketUnavailable) as refused:
        market.orders.place("bob", [ticket_id])
    assert (refused.value.code, refused.value.values) == ("ticket_locked", {"ticket_id": ticket_id})


def test_of_many_threads_one_gets_the_ticket(market: blocking.Marketplace) -> None:
    ticket_id, start = seat(market), threading.Barrier(32)

    def buy(number: int) -> str:
        start.wait()
        try:
            market.orders.place(f"buyer {number}", [ticket_id])
        except TicketUnavailable as error:
            return error.code
        return "got it"

    with ThreadPoolExecutor(32) as pool:
        outcomes = sorted(pool.map(buy, range(32)))
    assert outcomes == ["got it"] + ["ticket_locked"] * 31


def test_one_that_is_made_already_is_run_as_it_is() -> None:
    market = ticketkit.Marketplace(identity=by_header)
    with blocking.Marketplace.around(market) as shop:
        assert shop.tickets.get(seat(shop)).title == SEAT.title
        with pytest.raises(NotRunning, match="auth can't be used: it does not run in this process"):
            shop.auth.find("ada@example.com")


# --- its thread ------------------------------------------------------------------------------------------------------


async def test_a_call_in_an_event_loop_is_refused_and_in_a_thread_beside_it_is_not() -> None:
    market = blocking.Marketplace()
    with pytest.raises(blocking.InEventLoop, match="Await the same call"):
        market.start()
    await to_thread.run_sync(market.start)
    try:
        with pytest.raises(blocking.InEventLoop, match="would stop all that runs there"):
            market.tickets.get("unknown")
        assert await to_thread.run_sync(seat, market)
    finally:
        await to_thread.run_sync(market.stop)


def test_it_answers_while_it_runs_and_can_run_again() -> None:
    market = blocking.Marketplace()
    market.stop()  # does nothing
    for _ in range(2):
        with pytest.raises(NotRunning, match="is not running"):
            market.tickets.get("unknown")
        with market:
            with pytest.raises(NotRunning, match="runs already"):
                market.start()
            with pytest.raises(NotFound):
                market.tickets.get("unknown")
        assert not [thread for thread in threading.enumerate() if thread.name == "ticketkit"]


def test_one_that_cant_start_says_why_and_can_be_started_later(tmp_path: Path) -> None:
    path = tmp_path / "books.jsonl"
    path.write_bytes(b"these are no books\n")
    market = blocking.Marketplace(payments=f"fake://{path}")
    with pytest.raises(Misconfigured, match="journal"):
        market.start()
    path.unlink()
    with market:
        assert market.ready() == {}


def test_a_stop_waits_for_calls_and_takes_no_more(slow: Slow) -> None:
    market = blocking.Marketplace(plugins=[slow], drain=1.0)
    market.start()
    ticket_id = seat(market)
    with ThreadPoolExecutor(2) as pool:
        call = pool.submit(market.orders.place, "ada", [ticket_id])
        assert slow.waiting.wait(10)
        stop = pool.submit(market.stop)
        while True:  # until it takes no more
            try:
                market.tickets.get(ticket_id)
            except NotRunning:
                break
        assert not call.done()
        assert not stop.done()
        slow.go_on.set()
        assert call.result(10).order.status is OrderStatus.CREATED
        stop.result(10)


def test_several_may_stop_it_at_once(market: blocking.Marketplace) -> None:
    with ThreadPoolExecutor(4) as pool:
        for stopped in [pool.submit(market.stop) for _ in range(4)]:
            stopped.result(10)


def test_ctrl_c_cancels_the_call_that_is_waited_for(slow: Slow) -> None:
    with blocking.Marketplace(plugins=[slow]) as market:
        ticket_id, here = seat(market), threading.get_ident()

        def interrupt() -> None:
            slow.waiting.wait()
            signal.pthread_kill(here, signal.SIGINT)

        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            market.orders.place("ada", [ticket_id])
        slow.go_on.set()
        assert market.orders.mine("ada") == ([], None)
        assert market.orders.place("bob", [ticket_id]).order.buyer_id == "bob"


def test_a_call_that_a_crash_cuts_off_has_an_unknown_outcome(slow: Slow, caplog: pytest.LogCaptureFixture) -> None:
    market = blocking.Marketplace(plugins=[slow], drain=0.1)

    @market.on(OrderCancelled, consumer="bomb")
    def explode(event: Event[OrderCancelled]) -> None:
        raise Bomb

    with market, ThreadPoolExecutor(1) as pool:
        slow.go_on.set()
        order = market.orders.place("ada", [seat(market)]).order
        slow.go_on.clear()
        slow.waiting.clear()
        call = pool.submit(market.orders.place, "bob", [seat(market)])
        assert slow.waiting.wait(10)
        with suppress(OutcomeUnknown):
            market.orders.cancel("ada", order.id)
        with pytest.raises(OutcomeUnknown, match="look before you try again"):
            call.result(10)
    with pytest.raises(NotRunning):
        market.orders.mine("ada")
    assert "the marketplace has stopped" in caplog.text


# --- handlers of events ----------------------------------------------------------------------------------------------


def test_a_handler_runs_on_a_thread_and_may_call() -> None:
    market = blocking.Marketplace()
    found: list[tuple[str, bool]] = []

    @market.on(OrderCreated, consumer="letters")
    def letter(event: Event[OrderCreated]) -> None:
        placed = market.orders.get(event.data.user_id, event.data.id)
        found.append((placed.tickets[0].title, threading.current_thread().name == "ticketkit"))

    with market:
        market.orders.place("ada", [seat(market)])
        assert market.drain(10)
    assert found == [(SEAT.title, False)]


def test_more_handlers_than_threads_that_wait_for_calls_do_not_block_each_other() -> None:
    market = blocking.Marketplace()
    heard: list[str] = []

    @market.on(TicketCreated, consumer="clerks")
    def clerk(event: Event[TicketCreated]) -> None:
        market.auth.sign_up(f"{event.data.id}@example.com", "correct horse")  # hashes on a thread, too
        heard.append(event.data.id)

    with market:
        listed = market.tickets.list("sam", [SEAT] * 40)
        assert market.drain(30)
    assert sorted(heard) == sorted(ticket.id for ticket in listed)


def test_what_is_under_way_at_a_stop_is_handled_and_its_handlers_may_call() -> None:
    market = blocking.Marketplace()
    found: list[TicketStatus] = []

    @market.on(OrderCancelled, consumer="letters")
    def letter(event: Event[OrderCancelled]) -> None:
        found.append(market.tickets.get(str(event.data.lines[0].ticket_id)).status)

    with market:
        order = market.orders.place("ada", [seat(market)]).order
        market.orders.cancel("ada", order.id)
    assert found == [TicketStatus.AVAILABLE]


def test_what_a_handler_does_is_caused_by_its_event() -> None:
    market = blocking.Marketplace()
    seen: dict[str, Any] = {}

    @market.on(TicketCreated, consumer="robot")
    def order(event: Event[TicketCreated]) -> None:
        seen["listed"] = event.envelope
        market.orders.place("robot", [event.data.id])

    @market.on(OrderCreated, consumer="witness")
    def witness(event: Event[OrderCreated]) -> None:
        seen["ordered"] = event.envelope

    with market:
        seat(market)
        assert market.drain(10)
    assert seen["ordered"].causationid == seen["listed"].id
    assert seen["ordered"].correlationid == seen["listed"].correlationid


def test_an_asynchronous_handler_is_refused() -> None:
    async def letter(event: Event[OrderCreated]) -> None: ...

    with pytest.raises(TypeError, match="no coroutine function"):
        blocking.Marketplace().on(OrderCreated, consumer="letters")(letter)  # type: ignore[arg-type]


# --- the end of the interpreter, and forks ---------------------------------------------------------------------------

PROGRAM = """
import os, sys
from ticketkit import Listing, Money, blocking
from ticketkit.events.catalogue import TicketCreated

market = blocking.Marketplace("sqlite:///shop.db", bus="sqlite:///shop.db")

@market.on(TicketCreated, consumer="letters")
def letter(event):
    print("heard of", event.data.title, market.tickets.get(event.data.id).status, flush=True)

market.start()
market.tickets.list("sam", [Listing(title="a seat", price=Money.parse("1", "USD"))])
"""


def program(folder: Path, end: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM + end]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TICKETKIT_")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("end", "code", "error"),
    [("", 0, ""), ("sys.exit(3)", 3, ""), ("raise LookupError('of the app')", 1, "LookupError: of the app")],
    ids=["at the end", "by exit", "by an error"],
)
def test_the_end_of_the_interpreter_stops_it_cleanly(tmp_path: Path, end: str, code: int, error: str) -> None:
    done = program(tmp_path, end)
    assert done.returncode == code, done.stderr
    assert done.stdout == "heard of a seat available\n"
    assert done.stderr.strip().splitlines()[-1:] == ([error] if error else [])


FORK = """
child = os.fork()
if not child:
    try:
        market.tickets.get("unknown")
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    market.stop()
    sys.exit(7)
print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_a_forked_process_is_told_to_start_its_own(tmp_path: Path) -> None:
    done = program(tmp_path, "market.drain(10)\n" + FORK)
    assert done.returncode == 0, done.stderr
    heard, child, parent = done.stdout.splitlines()
    assert heard == "heard of a seat available"
    assert child.startswith("NotRunning The marketplace was started in process ")
    assert child.endswith("before the fork: start it in each worker.")
    assert parent == "child 7"


# --- beside the event loop of an app ---------------------------------------------------------------------------------


def by_header(request: Request) -> Principal | None:
    name = request.headers.get("x-user")
    return Principal(name) if name else None


async def test_a_bridge_takes_the_calls_of_the_threads_of_an_asgi_app() -> None:
    market = ticketkit.Marketplace(identity=by_header)
    bridge = blocking.Bridge(market)
    heard: list[str] = []

    @bridge.on(OrderCreated, consumer="letters")
    def letter(event: Event[OrderCreated]) -> None:
        heard.append(bridge.orders.get(event.data.user_id, event.data.id).order.id)

    def buy(request: Request) -> PlainTextResponse:  # Starlette runs it on a thread
        placed = bridge.orders.place("ada", [request.path_params["id"]])
        return PlainTextResponse(placed.order.id)

    async def wrong(request: Request) -> PlainTextResponse:
        return PlainTextResponse(bridge.orders.place("ada", [request.path_params["id"]]).order.id)

    routes = [Route("/buy/{id}", buy), Route("/wrong/{id}", wrong), Mount("/shop", market.asgi())]
    app = Starlette(routes=routes, lifespan=bridge.lifespan)
    transport = httpx2.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
        listed = await http.post("/shop/api/tickets", json={"title": "A seat", "price": 1}, headers={"x-user": "sam"})
        id = listed.json()["id"]
        with pytest.raises(blocking.InEventLoop):
            await http.get(f"/wrong/{id}")
        bought = await http.get(f"/buy/{id}")
        assert (await http.get(f"/shop/api/orders/{bought.text}", headers={"x-user": "ada"})).json()["ticketId"] == id
        assert await market.runtime.drain(10)
    assert heard == [bought.text]
    with pytest.raises(NotRunning):
        await to_thread.run_sync(bridge.tickets.get, id)


async def test_a_bridge_to_a_marketplace_that_cant_start_says_why(tmp_path: Path) -> None:
    path = tmp_path / "books.jsonl"
    path.write_bytes(b"these are no books\n")
    bridge = blocking.Bridge(ticketkit.Marketplace(payments=f"fake://{path}"))
    with pytest.raises(Misconfigured, match="journal"):
        async with bridge.lifespan():
            pass
