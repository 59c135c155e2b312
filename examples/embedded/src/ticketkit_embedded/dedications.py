"""A line of the buyer's own that is printed on the tickets: kept in the same commit as the order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import CheckConstraint, ForeignKey, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from ticketkit_embedded.database import Base, Database
from ticketkit_embedded.members import Member

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ticketkit.services.orders import Placed


class Dedication(Base):
    """What is printed on the tickets of an order."""

    __tablename__ = "dedications"
    __table_args__ = (CheckConstraint("length(text) BETWEEN 1 AND 60"),)

    order_id: Mapped[str] = mapped_column(primary_key=True)
    member_id: Mapped[str] = mapped_column(ForeignKey(Member.id))
    text: Mapped[str]


def dedicated(text: str) -> Callable[[Placed], Sequence[object]]:
    """For `also=` of `market.orders.place`: the order is placed and its dedication is kept, or neither."""

    def statements(placed: Placed) -> Sequence[object]:
        order = placed.order
        return [insert(Dedication).values(order_id=order.id, member_id=order.buyer_id, text=text)]

    return statements


async def dedication(database: Database, order_id: str) -> str | None:
    """What is printed on the tickets of an order."""
    async with database.session() as session:
        return await session.scalar(select(Dedication.text).where(Dedication.order_id == order_id))
