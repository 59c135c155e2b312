"""What is on: the theatre lists its own seats, the first time that the app starts."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ticketkit import Listing, Money

if TYPE_CHECKING:
    from ticketkit import Marketplace

HOUSE: Final = "the-lantern"
"""Who sells: to ticketkit, somebody like everybody else."""
SHOWS: Final = {"The Cherry Orchard": "24.00", "Endgame": "18.50"}
ROWS, SEATS = "ABC", 8


async def list_season(market: Marketplace) -> None:
    """Announce the shows and list their seats, unless there are any."""
    if (await market.tickets.live_events(limit=1)).items:
        return
    for day, (title, price) in enumerate(SHOWS.items()):
        show = await market.tickets.announce(
            HOUSE,
            name=title,
            venue="The Lantern",
            starts_at=market.clock.now() + timedelta(days=30 + day),
            command_key=f"season/{title}",  # a second process that starts in this moment announces nothing
        )
        seats = [
            Listing(title=title, seat=f"{row}{seat}", price=Money.parse(price, "EUR"), event_id=show.id)
            for row in ROWS
            for seat in range(1, SEATS + 1)
        ]
        await market.tickets.list(HOUSE, seats, command_key=f"season/{title}/seats")
