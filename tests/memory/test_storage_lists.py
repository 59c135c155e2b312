from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from ticketkit.backends.storage import BadCursor, Page, TicketQuery, TicketSort
from ticketkit.domain.decision import Changes, Command, Keys
from ticketkit.domain.entities import Entity, Line, LiveEvent, Order, Ticket, TicketStatus, User, key_of
from ticketkit.domain.money import Money
from ticketkit.memory import MemoryStorage, VirtualClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def storage(clock: VirtualClock) -> MemoryStorage:
    return MemoryStorage(clock)


def ticket(clock: VirtualClock, id: str, **values: Any) -> Ticket:
    defaults: dict[str, Any] = {"title": "Seat", "price": Money(1000, "USD"), "seller_id": "seller"}
    return Ticket(id=id, created_at=clock.now(), **defaults | values)


async def put(storage: MemoryStorage, *entities: Entity) -> None:
    command = Command(id=f"put {entities[0].id}")
    await storage.decide(Keys.of(*map(key_of, entities)), lambda _: Changes(put=entities), command)


async def walk(page: Callable[[str | None], Awaitable[Page[Any]]]) -> list[str]:
    """Ids of all pages."""
    ids: list[str] = []
    cursor = None
    while True:
        found = await page(cursor)
        ids += [item.id for item in found.items]
        if (cursor := found.next) is None:
            return ids


async def search(storage: MemoryStorage, **filters: Any) -> list[str]:
    return [found.id for found in (await storage.find_tickets(TicketQuery(sort=TicketSort.OLDEST, **filters))).items]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (TicketSort.OLDEST, ["a", "b", "c", "d", "e"]),
        (TicketSort.NEWEST, ["e", "d", "c", "b", "a"]),
        (TicketSort.PRICE, ["c", "b", "d", "a", "e"]),
        (TicketSort.PRICE_DESC, ["e", "a", "d", "b", "c"]),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 5, 50])
async def test_pages_show_each_ticket_once_in_every_order(
    storage: MemoryStorage, clock: VirtualClock, sort: TicketSort, expected: list[str], limit: int
) -> None:
    prices = {"a": 300, "b": 200, "c": 100, "d": 200, "e": 300}
    await put(storage, *(ticket(clock, id, price=Money(price, "USD")) for id, price in prices.items()))

    async def page(cursor: str | None) -> Page[Ticket]:
        return await storage.find_tickets(TicketQuery(sort=sort, limit=limit, cursor=cursor))

    assert await walk(page) == expected


async def test_tickets_are_filtered_by_live_event_seller_and_status(
    storage: MemoryStorage, clock: VirtualClock
) -> None:
    await put(
        storage,
        ticket(clock, "a", event_id="one"),
        ticket(clock, "b", seller_id="other"),
        ticket(clock, "c", status=TicketStatus.SOLD),
    )
    assert await search(storage, event_id="one") == ["a"]
    assert await search(storage, seller_id="other") == ["b"]
    assert await search(storage, status="sold") == ["c"]
    assert await search(storage) == ["a", "b", "c"]


async def test_every_word_must_be_in_title_or_seat_whatever_its_case(
    storage: MemoryStorage, clock: VirtualClock
) -> None:
    await put(
        storage,
        ticket(clock, "a", title="Hamilton, Orchestra", seat="Row F 12"),
        ticket(clock, "b", title="Hamilton, Balcony"),
        ticket(clock, "c", title="Große Straße"),
    )
    assert await search(storage, text="HAMILTON") == ["a", "b"]
    assert await search(storage, text="row hamilton") == ["a"]
    assert await search(storage, text="hamilton straße") == []
    assert await search(storage, text="STRASSE") == ["c"]
    assert await search(storage, text="  ") == ["a", "b", "c"]


async def test_prices_are_bounded_inclusively_and_by_currency(storage: MemoryStorage, clock: VirtualClock) -> None:
    prices = {"a": Money(100, "USD"), "b": Money(200, "USD"), "c": Money(300, "USD"), "d": Money(200, "EUR")}
    await put(storage, *(ticket(clock, id, price=price) for id, price in prices.items()))
    assert await search(storage, min_price=200) == ["b", "c", "d"]
    assert await search(storage, max_price=200, currency="USD") == ["a", "b"]
    assert await search(storage, min_price=101, max_price=299, currency="USD") == ["b"]


async def test_a_cursor_of_another_order_or_list_is_refused(storage: MemoryStorage, clock: VirtualClock) -> None:
    await put(storage, *(ticket(clock, id) for id in "abc"))
    cursor = (await storage.find_tickets(TicketQuery(limit=1))).next
    assert cursor is not None
    with pytest.raises(BadCursor):
        await storage.find_tickets(TicketQuery(sort=TicketSort.OLDEST, cursor=cursor))
    with pytest.raises(BadCursor):
        await storage.find_orders("buyer", cursor=cursor)
    with pytest.raises(BadCursor):
        await storage.find_live_events(cursor=cursor)
    with pytest.raises(BadCursor):
        await storage.scan("ticket", cursor=cursor)
    scan = (await storage.scan("ticket", limit=1)).next
    with pytest.raises(BadCursor):
        await storage.scan("order", cursor=scan)


async def test_what_is_no_number_of_tickets_is_refused(storage: MemoryStorage) -> None:
    for limit in (0, -1, 1001):
        with pytest.raises(ValueError, match="page"):
            await storage.find_tickets(TicketQuery(limit=limit))


async def test_live_events_come_oldest_first_and_are_found_by_name_and_venue(
    storage: MemoryStorage, clock: VirtualClock
) -> None:
    now = clock.now()
    names = {"b": ("Hamilton", "Richard Rodgers"), "a": ("Wicked", "Gershwin"), "c": ("Hamilton", "Gershwin")}
    await put(
        storage,
        *(
            LiveEvent(id=id, name=name, venue=venue, starts_at=now, owner_id="o", created_at=now)
            for id, (name, venue) in names.items()
        ),
    )
    assert await walk(lambda cursor: storage.find_live_events(limit=1, cursor=cursor)) == ["a", "b", "c"]
    assert [event.id for event in (await storage.find_live_events(text="gershwin hamilton")).items] == ["c"]


async def test_a_buyer_sees_their_own_orders_newest_first(storage: MemoryStorage, clock: VirtualClock) -> None:
    until = clock.now() + timedelta(minutes=15)
    for id, buyer in (("a", "me"), ("b", "other"), ("c", "me"), ("d", "me")):
        line = Line(title="Seat", amount=Money(1, "USD"), ticket_id=f"ticket {id}")
        order = Order(
            id=id, buyer_id=buyer, lines=(line,), expires_at=until, placed_until=until, created_at=clock.now()
        )
        await put(storage, order)
    assert await walk(lambda cursor: storage.find_orders("me", limit=2, cursor=cursor)) == ["d", "c", "a"]
    assert (await storage.find_orders("nobody")).items == ()


async def test_a_scan_shows_all_of_a_kind_also_while_some_are_added(
    storage: MemoryStorage, clock: VirtualClock
) -> None:
    def user(id: str) -> User:
        return User(id=id, email=f"{id}@example.com", password_hash="", created_at=clock.now())

    await put(storage, user("b"), user("d"), user("f"))
    page = await storage.scan("user", limit=2)
    await put(storage, user("a"))
    await put(storage, user("e"))
    rest = await storage.scan("user", limit=2, cursor=page.next)
    assert [found.id for found in (*page.items, *rest.items)] == ["b", "d", "e", "f"]
    assert rest.next is None
    assert (await storage.totals()).by_status["user", ""] == 5
