"""The app's own URLs, in the app's own words."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Request, Response
from pydantic import BaseModel, EmailStr, Field

from ticketkit.backends.storage import TicketQuery
from ticketkit.domain.entities import Order, TicketStatus
from ticketkit_embedded.dedications import dedicated, dedication
from ticketkit_embedded.house import House
from ticketkit_embedded.members import COOKIE, LIFETIME, EmailTaken, Member

router = APIRouter()


class Joining(BaseModel):
    """Who wants to be a member."""

    name: str = Field(min_length=1, max_length=80)
    email: EmailStr
    password: str = Field(min_length=10, max_length=128)


class SigningIn(BaseModel):
    """Who is one."""

    email: str
    password: str


class Choice(BaseModel):
    """Seats that somebody wants, and what is to be printed on their tickets."""

    seats: list[str]
    dedication: str | None = None


class Card(BaseModel):
    """What the payment provider's form gave."""

    token: str


def the_house(request: Request) -> House:
    """The theatre of this app."""
    house: House = request.app.state.house
    return house


Theatre = Annotated[House, Depends(the_house)]


async def signed_in(request: Request, house: Theatre) -> Member:
    """Who is asking, and nobody else."""
    if (member := await house.members.find(request)) is None:
        raise HTTPException(401, "Sign in first.")
    return member


Me = Annotated[Member, Depends(signed_in)]
Key = Annotated[str | None, Header(alias="Idempotency-Key")]


@router.post("/join", status_code=201)
async def join(body: Joining, house: Theatre, request: Request, response: Response) -> dict[str, str]:
    """Become a member."""
    try:
        member, token = await house.members.join(body.name, body.email, body.password)
    except EmailTaken:
        raise HTTPException(409, "There is a member with this e-mail address.") from None
    _remember(request, response, token)
    return {"id": member.id, "name": member.name}


@router.post("/sign-in")
async def sign_in(body: SigningIn, house: Theatre, request: Request, response: Response) -> dict[str, str]:
    """Sign in as one."""
    if (found := await house.members.sign_in(body.email, body.password)) is None:
        raise HTTPException(403, "There is no member with this address and password.")
    member, token = found
    _remember(request, response, token)
    return {"id": member.id, "name": member.name}


@router.post("/sign-out", status_code=204)
async def sign_out(house: Theatre, request: Request, response: Response) -> None:
    """Forget this browser."""
    await house.members.sign_out(request.cookies.get(COOKIE, ""))
    response.delete_cookie(COOKIE)


@router.get("/shows")
async def shows(house: Theatre) -> list[dict[str, Any]]:
    """What is on."""
    page = await house.market.tickets.live_events()
    return [{"id": show.id, "title": show.name, "starts": show.starts_at} for show in page.items]


@router.get("/shows/{id}/seats")
async def seats(id: str, house: Theatre) -> list[dict[str, str | None]]:
    """Seats that are free, of a show."""
    query = TicketQuery(event_id=id, status=TicketStatus.AVAILABLE, limit=100)
    page = await house.market.tickets.find(query)
    return [{"id": seat.id, "seat": seat.seat, "price": str(seat.price)} for seat in page.items]


@router.post("/bookings", status_code=201)
async def book(choice: Choice, me: Me, house: Theatre, key: Key = None) -> dict[str, Any]:
    """Hold seats for ten minutes."""
    also = dedicated(choice.dedication) if choice.dedication is not None else ()
    placed = await house.market.orders.place(me.id, choice.seats, command_key=key, also=also)
    return await _booking(placed.order, house)


@router.get("/bookings/{id}")
async def booking(id: str, me: Me, house: Theatre) -> dict[str, Any]:
    """One's own booking."""
    return await _booking((await house.market.orders.get(me.id, id)).order, house)


@router.post("/bookings/{id}/pay")
async def pay(id: str, card: Card, me: Me, house: Theatre, key: Key = None) -> dict[str, Any]:
    """Pay a booking."""
    charge = await house.market.payments.pay(me.id, id, token=card.token, command_key=key)
    return {"status": charge.status, "amount": str(charge.amount), "reason": charge.code}


@router.get("/receipts")
async def receipts(me: Me, house: Theatre) -> list[dict[str, Any]]:
    """One's own receipts."""
    found = await house.receipts.of(me.id)
    return [{"number": one.number, "booking": one.order_id, "total": one.total, "lines": one.lines} for one in found]


async def _booking(order: Order, house: House) -> dict[str, Any]:
    return {
        "id": order.id,
        "status": order.status,
        "until": order.expires_at,
        "total": str(order.total),
        "lines": [{"title": line.title, "seat": line.seat, "amount": str(line.amount)} for line in order.lines],
        "dedication": await dedication(house.database, order.id),
    }


def _remember(request: Request, response: Response, token: str) -> None:
    secure = request.url.scheme == "https"
    response.set_cookie(
        COOKIE, token, max_age=int(LIFETIME.total_seconds()), httponly=True, samesite="lax", secure=secure
    )
