"""Buses that are wrong about what becomes of a delivery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import anyio
from tests.planted.planting import PassingBus, PassingMember, PassingParcel, PlantedBus, PlantedSqlBus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ticketkit.backends.bus import Delivery, Subscription


class AckBeforeEffect(PlantedSqlBus):
    class Bus(PassingBus):
        class Member(PassingMember):
            async def receive(self, limit: int) -> Sequence[Delivery]:
                found: Sequence[Delivery] = await super().receive(limit)
                for delivery in found:
                    await delivery.ack()
                return found


class LeaseNotRenewed(PlantedSqlBus):
    class Bus(PassingBus):
        class Member(PassingMember):
            async def receive(self, limit: int) -> Sequence[Delivery]:
                found = await super().receive(limit)
                self.inner._open.clear()
                return found


class LagOfWhatWaits(PlantedBus):
    class Bus(PassingBus):
        async def lag(self) -> Mapping[str, int]:
            return {group: queue.unended - queue.held for group, queue in self.inner._groups.items()}


class RedeliveryDropped(PlantedBus):
    class Bus(PassingBus):
        class Member(PassingMember):
            class Parcel(PassingParcel):
                async def retry(self, after: float, *, counted: bool = True) -> None:
                    await self.inner.ack()


class DelayIgnored(PlantedBus):
    class Bus(PassingBus):
        class Member(PassingMember):
            class Parcel(PassingParcel):
                async def retry(self, after: float, *, counted: bool = True) -> None:
                    await self.inner.retry(0, counted=counted)


class DelayedInTheMember(PlantedBus):
    class Bus(PassingBus):
        class Member(PassingMember):
            def __init__(self, inner: Subscription, group: str) -> None:
                super().__init__(inner, group)
                self.kept: list[tuple[float, PassingParcel]] = []

            async def receive(self, limit: int) -> Sequence[Delivery]:
                while True:
                    with anyio.move_on_after(0.05):
                        return await super().receive(limit)
                    due = [parcel for at, parcel in self.kept if at <= anyio.current_time()]
                    self.kept = [(at, parcel) for at, parcel in self.kept if parcel not in due]
                    for parcel in due:
                        await parcel.inner.retry(0)

            async def leave(self) -> None:
                for _, parcel in self.kept:
                    await parcel.inner.ack()

            class Parcel(PassingParcel):
                member: Any

                async def retry(self, after: float, *, counted: bool = True) -> None:
                    if after > 0 and counted:
                        self.member.kept.append((anyio.current_time() + after, self))
                    else:
                        await self.inner.retry(0, counted=counted)


class OutageCounted(PlantedBus):
    class Bus(PassingBus):
        class Member(PassingMember):
            class Parcel(PassingParcel):
                async def retry(self, after: float, *, counted: bool = True) -> None:
                    await self.inner.retry(after)


class RetryNotCounted(PlantedBus):
    class Bus(PassingBus):
        class Member(PassingMember):
            class Parcel(PassingParcel):
                async def retry(self, after: float, *, counted: bool = True) -> None:
                    await self.inner.retry(after, counted=False)


class PoisonStalls(PlantedBus):
    class Bus(PassingBus):
        class Member(PassingMember):
            blocked = 0.0

            async def receive(self, limit: int) -> Sequence[Delivery]:
                await anyio.sleep_until(self.blocked)
                return await super().receive(limit)

            class Parcel(PassingParcel):
                member: Any

                async def retry(self, after: float, *, counted: bool = True) -> None:
                    self.member.blocked = anyio.current_time() + after
                    await self.inner.retry(after, counted=counted)


class OneInHand(PlantedBus):
    class Bus(PassingBus):
        class Member(PassingMember):
            def __init__(self, inner: Subscription, group: str) -> None:
                super().__init__(inner, group)
                self.free = anyio.Semaphore(10)

            async def receive(self, limit: int) -> Sequence[Delivery]:
                await self.free.acquire()
                return await super().receive(1)

            class Parcel(PassingParcel):
                member: Any

                async def ack(self) -> None:
                    await super().ack()
                    self.member.free.release()

                async def retry(self, after: float, *, counted: bool = True) -> None:
                    await super().retry(after, counted=counted)
                    self.member.free.release()

                async def bury(self, error: str) -> None:
                    await super().bury(error)
                    self.member.free.release()


class BuriedIsLost(PlantedBus):
    class Bus(PassingBus):
        class Member(PassingMember):
            class Parcel(PassingParcel):
                async def bury(self, error: str) -> None:
                    await self.inner.ack()


class LateAckCounts(PlantedBus):
    class Bus(PassingBus):
        class Member(PassingMember):
            class Parcel(PassingParcel):
                # By group and event, whoever has it: a lease without a token.
                holders: ClassVar[dict[tuple[str, str], Delivery]] = {}

                def __init__(self, inner: Delivery, member: PassingMember) -> None:
                    super().__init__(inner, member)
                    self.holders[member.group, self.event.id] = inner

                async def ack(self) -> None:
                    await self.holders[self.member.group, self.event.id].ack()


class GiveBackForgotten(PlantedBus):
    class Bus(PassingBus):
        class Member(PassingMember):
            async def leave(self) -> None:
                self.inner._unended.clear()


class GiveBackCounted(PlantedBus):
    class Bus(PassingBus):
        class Member(PassingMember):
            async def leave(self) -> None:
                for delivery in list(self.inner._unended):
                    await delivery.retry(0)


class CancelledReceiveLoses(PlantedBus):
    class Bus(PassingBus):
        class Member(PassingMember):
            async def receive(self, limit: int) -> Sequence[Delivery]:
                found = await super().receive(limit)
                await anyio.sleep(0.003)
                return found


class LimitIgnored(PlantedBus):
    class Bus(PassingBus):
        class Member(PassingMember):
            async def receive(self, limit: int) -> Sequence[Delivery]:
                return await super().receive(max(limit, 10))


class LettersNewestFirst(PlantedBus):
    class Bus(PassingBus):
        async def dead_letters(self, limit: int) -> Any:
            return (await super().dead_letters(10_000))[::-1][:limit]
