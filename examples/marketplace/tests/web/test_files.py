"""Sell many tickets from a file: a preview that shows bad rows, a confirmation, the listing batch by batch."""

import re
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from web.browsing import Browser, Shown
from web.conftest import Visit

from ticketkit.backends.storage import TicketQuery
from ticketkit.domain.entities import Ticket
from ticketkit.marketplace import Marketplace
from ticketkit.memory import VirtualClock
from ticketkit_marketplace.running import Together
from ticketkit_marketplace.web import lister
from ticketkit_marketplace.web.api import Away, Refused, Visitor
from ticketkit_marketplace.web.files import Checked
from ticketkit_marketplace.web.pages.files import EXAMPLE
from ticketkit_marketplace.web.uploads import Uploads

HEADER = "event,venue,starts_at,zone,seat,price\n"
SHOW = "Hamilton,Richard Rodgers,2026-12-27T19:00,America/New_York"
GOOD = HEADER + f"{SHOW},Row A 1,99.50\n{SHOW},Row A 2,120\nCats,Palace,2026-11-01T20:00Z,UTC,B 7,30\n"


async def listed(market: Marketplace) -> "list[Ticket]":
    found: list[Ticket] = []
    query = TicketQuery(limit=1000)
    while True:
        page = await market.tickets.find(query)
        found += page.items
        if page.next is None:
            return found
        query = TicketQuery(limit=1000, cursor=page.next)


async def choose(browser: Browser, content: "str | bytes", name: str = "tickets.csv") -> Shown:
    await browser.open("/sell/file")
    data = content if isinstance(content, bytes) else content.encode()
    return await browser.submit("Look through the file", file=(name, data))


async def finished(browser: Browser) -> Shown:
    """The page of the listing when it goes on no more."""
    with anyio.fail_after(20):
        while browser.page.soup.select("#progress[data-refresh]"):
            await anyio.sleep(0.01)
            await browser.open(browser.page.path)
    return browser.page


async def test_a_good_file_is_shown_and_listed_only_when_that_is_confirmed(
    seller: Browser, market: Marketplace
) -> None:
    await seller.open("/sell")
    page = await seller.follow("Choose a file")
    page = await seller.submit("Look through the file", file=("tickets.csv", GOOD.encode()))
    assert page.heading == "What is in tickets.csv"
    assert "3 tickets can be listed" in page.text
    assert page.every(".choices h3") == ["Hamilton", "Cats"]
    assert "2 tickets from $99.50 to $120.00" in page.text
    assert "1 ticket at $30.00" in page.text
    assert "Sunday, 27 December 2026, 19:00 EST" in page.text
    assert not await listed(market)
    await seller.submit("List 3 tickets")
    page = await finished(seller)
    assert "Done: 3 tickets are for sale." in page.text
    assert {(ticket.title, ticket.seat) for ticket in await listed(market)} == {
        ("Hamilton", "Row A 1"),
        ("Hamilton", "Row A 2"),
        ("Cats", "B 7"),
    }
    assert (await seller.open("/")).every(".ticket h2") == ["Cats", "Hamilton"]


async def test_bad_rows_are_shown_with_line_column_and_what_to_do(seller: Browser, market: Marketplace) -> None:
    content = (
        HEADER + f"{SHOW},A 1,free\n{SHOW},A 2,10\nHamilton,Richard Rodgers,soon,America/New_York,A 3,10\n{SHOW},A 4\n"
    )
    page = await choose(seller, content)
    assert "3 rows can't be used. Nothing is listed yet." in page.text
    rows = list(
        zip(page.every("tbody th"), page.every("tbody td:nth-child(2)"), page.every("tbody strong"), strict=True)
    )
    assert rows == [
        ("2", "price", "'free' is not an amount such as 25 or 25.50."),
        ("4", "starts_at", "'soon' is not a time such as 2027-01-31T19:00:00-05:00."),
        ("5", "all", "The row has 5 cells, and the header has 6."),
    ]
    assert page.every("tbody code.soft")[0] == f"{SHOW},A 1,free"
    assert page.link("choose it again") == "/sell/file"
    assert not await listed(market)


async def test_the_rest_is_listed_without_the_bad_rows_if_the_seller_says_so(
    seller: Browser, market: Marketplace
) -> None:
    await choose(seller, HEADER + f'{SHOW},"A, 1",free\n\n{SHOW},A 2,10\n{SHOW},A 3,11\n')
    await seller.submit("List 2 tickets without the bad row")
    assert "Done: 2 tickets are for sale." in (await finished(seller)).text
    assert sorted(str(ticket.seat) for ticket in await listed(market)) == ["A 2", "A 3"]


async def test_a_bad_row_that_says_when_sales_begin_is_not_left_out(seller: Browser) -> None:
    header = "event,venue,starts_at,zone,on_sale_at,price\n"
    row = "Hamilton,Richard Rodgers,2026-12-27T19:00,America/New_York"
    page = await choose(seller, header + f"{row},2026-12-01T10:00,free\n{row},,10\n")
    assert "1 row can't be used" in page.text
    assert not page.soup.select("main form")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "The file is empty."),
        (b"event;venue\n", "Columns are separated by commas, and this file has semicolons."),
        ("\ufeffevent".encode("utf-16"), "The file is in UTF-16. Save it as CSV in UTF-8."),
        (b"event,venue,starts_at,price,colour\n", "There is no such column."),
        (b"\x89PNG\r\n\x1a\n", "The file is not in UTF-8"),
    ],
)
async def test_a_file_that_is_no_list_of_tickets_says_what_it_is(seller: Browser, content: bytes, reason: str) -> None:
    page = await choose(seller, content)
    assert reason in page.text
    assert not page.soup.select("main form")
    assert page.link("Choose the file again") == "/sell/file"


async def test_no_file_is_said_at_the_field(seller: Browser) -> None:
    await seller.open("/sell/file")
    page = await seller.submit("Look through the file")
    assert page.errors == {"file": "Choose a file."}


async def test_the_file_to_begin_with_is_good(seller: Browser, market: Marketplace) -> None:
    await seller.open("/sell/file")
    response = await seller.client.get(seller.page.link("Download a file to begin with"))
    assert response.text == EXAMPLE
    assert "attachment" in response.headers["content-disposition"]
    page = await choose(seller, response.content)
    assert "21 tickets can be listed" in page.text


async def test_seats_that_are_listed_already_are_bad_rows(seller: Browser, market: Marketplace) -> None:
    await choose(seller, GOOD)
    await seller.submit("List 3 tickets")
    await finished(seller)
    page = await choose(seller, GOOD.replace("Row A 2", "Row A 3"))
    assert "2 rows can't be used" in page.text
    assert page.every("tbody strong") == [
        "You list 'Row A 1' of this event already.",
        "You list 'B 7' of this event already.",
    ]
    assert len(await listed(market)) == 3


async def test_a_double_click_lists_once(seller: Browser, market: Marketplace) -> None:
    await choose(seller, GOOD)
    form = seller.page.form("List 3 tickets")
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(seller.send, form)
    await seller.open(seller.page.path)
    await finished(seller)
    await seller.send(form)
    assert len(await listed(market)) == 3


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> "Callable[[int, Exception], None]":
    """Makes the API refuse a call of the batch route, by its number."""
    plan: dict[int, Exception] = {}
    count = 0
    post = Visitor.post

    async def counted(self: Visitor, path: str, body: "dict[str, object]", *, key: "str | None" = None) -> object:
        nonlocal count
        if path == "/api/tickets/batch":
            count += 1
            if (error := plan.get(count)) is not None:
                raise error
        return await post(self, path, body, key=key)

    monkeypatch.setattr(Visitor, "post", counted)
    monkeypatch.setattr(lister, "BATCH", 10)
    return plan.__setitem__


BLOCK = "event,venue,starts_at,price,quantity\nHamilton,Richard Rodgers,2026-12-27T19:00Z,10,35\n"


async def test_a_large_file_is_listed_batch_by_batch(
    seller: Browser, market: Marketplace, breaking: "Callable[[int, Exception], None]"
) -> None:
    await choose(seller, BLOCK)
    page = await seller.submit("List 35 tickets")
    assert re.search(r"[0-9]+ (of 35 tickets are listed|tickets are for sale)", page.text)
    page = await finished(seller)
    assert "Done: 35 tickets are for sale." in page.text
    assert len(await listed(market)) == 35


async def test_a_listing_that_was_stopped_goes_on_where_it_was(
    seller: Browser, market: Marketplace, breaking: "Callable[[int, Exception], None]"
) -> None:
    breaking(3, Refused(400, {"code": "live_event_cancelled", "detail": "The live event is cancelled."}))
    await choose(seller, BLOCK)
    await seller.submit("List 35 tickets")
    page = await finished(seller)
    assert "It has stopped" in page.text
    assert "The live event is cancelled." in page.text
    assert "20 of 35 tickets are listed." in page.text
    assert page.one("progress")["value"] == "20"
    assert len(await listed(market)) == 20
    await seller.submit("Go on")
    assert "Done: 35 tickets are for sale." in (await finished(seller)).text
    assert len({ticket.seat for ticket in await listed(market)}) == len(await listed(market)) == 35


async def test_the_services_being_away_for_a_moment_is_waited_for(
    seller: Browser,
    market: Marketplace,
    breaking: "Callable[[int, Exception], None]",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lister, "_PAUSE", 0.0)
    for number in (2, 3, 4):
        breaking(number, Away(certain=False))
    await choose(seller, BLOCK)
    await seller.submit("List 35 tickets")
    assert "Done: 35 tickets are for sale." in (await finished(seller)).text
    assert len(await listed(market)) == 35


async def test_a_listing_that_a_stopped_process_left_behind_can_go_on(
    seller: Browser, market: Marketplace, site: Together
) -> None:
    page = await choose(seller, GOOD)
    uploads = site.web.site.lister.uploads
    user = await market.auth.find("seller@example.com")
    assert user is not None
    upload = await uploads.get(page.path.rpartition("/")[2], owner=user.id)
    assert upload is not None
    upload.state = type(upload.state).LISTING
    await uploads.save(upload)
    page = await seller.open(page.path)
    assert page.soup.select("#progress[data-refresh]")
    await market.clock.advance(seconds=31)
    page = await seller.open(page.path)
    assert "It was broken off." in page.text
    await seller.submit("Go on")
    assert "Done: 3 tickets are for sale." in (await finished(seller)).text


async def test_nobody_sees_the_file_of_another(seller: Browser, visit: Visit, nobody: Browser) -> None:
    path = (await choose(seller, GOOD)).path
    assert (await (await visit("other")).open(path)).status == 404
    assert (await nobody.open(path)).heading == "Sign in"
    for id in ("0" * 32, "..%2f..%2fsecret", "x"):
        assert (await seller.open(f"/sell/file/{id}")).status == 404


async def test_files_are_readable_by_the_web_client_alone_and_only_the_newest_are_kept(
    seller: Browser, site: Together
) -> None:
    for _ in range(12):
        await choose(seller, GOOD)
    kept = list(site.options.uploads.iterdir())
    assert len([file for file in kept if file.suffix == ".csv"]) == 10
    assert all(file.stat().st_mode & 0o077 == 0 for file in kept)


async def test_old_files_go_when_a_new_one_comes(tmp_path: Path) -> None:
    clock = VirtualClock()
    uploads = Uploads(tmp_path / "uploads", clock)
    old = await uploads.keep(owner="ada", name="old.csv", content=b"old", checked=Checked())
    await clock.advance(hours=23)
    young = await uploads.keep(owner="ada", name="young.csv", content=b"young", checked=Checked())
    await clock.advance(hours=2)
    await uploads.keep(owner="bob", name="new.csv", content=b"new", checked=Checked())
    assert await uploads.get(old.id, owner="ada") is None
    assert await uploads.get(young.id, owner="ada") == young
    assert await uploads.content(young) == b"young"
    assert await uploads.get(young.id, owner="bob") is None
