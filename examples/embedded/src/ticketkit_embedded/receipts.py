"""Receipts: written when an order is paid, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, Identity, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Mapped, mapped_column

from ticketkit import Money
from ticketkit_embedded.database import Base, Database
from ticketkit_embedded.members import Member

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ticketkit.events.catalogue import OrderCompleted
    from ticketkit.events.envelope import Event


class Receipt(Base):
    """What a member paid for; one for each order, which `order_id` makes sure of."""

    __tablename__ = "receipts"

    number: Mapped[int] = mapped_column(Identity(), primary_key=True)
    order_id: Mapped[str] = mapped_column(unique=True)
    member_id: Mapped[str] = mapped_column(ForeignKey(Member.id))
    total: Mapped[str]
    lines: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)


class Receipts:
    """Writes receipts, and finds them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, event: Event[OrderCompleted]) -> None:
        """Handle `order.completed`: it comes at least once, and the receipt is written once."""
        order = event.data
        receipt = insert(Receipt).values(
            order_id=order.id,
            member_id=order.user_id,
            total=str(Money(order.total.minor, order.total.currency)),
            lines=[
                {"title": line.title, "seat": line.seat, "amount": str(Money(line.amount.minor, line.amount.currency))}
                for line in order.lines
            ],
        )
        async with self._database.transaction() as connection:
            await connection.execute(receipt.on_conflict_do_nothing(index_elements=[Receipt.order_id]))

    async def of(self, member_id: str) -> Sequence[Receipt]:
        """A member's receipts, newest first."""
        query = select(Receipt).where(Receipt.member_id == member_id).order_by(Receipt.number.desc())
        async with self._database.session() as session:
            return (await session.scalars(query)).all()
