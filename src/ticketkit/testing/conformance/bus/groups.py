"""Who gets an event: groups, their members, and the broadcast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from ticketkit.backends.spec import Capability
from ticketkit.testing.conformance.bus.post import (
    GROUP,
    ORDER,
    OTHER,
    TICKET,
    acknowledge,
    event,
    events,
    ids,
    known,
    listening,
    nothing,
    take,
    take_all,
)
from ticketkit.testing.conformance.conformance import Conformance, Opener
from ticketkit.testing.conformance.promise import promise

if TYPE_CHECKING:
    from ticketkit.backends.bus import Bus, Subscription


class Groups(Conformance):
    """Each event goes to every group that names it, there to one member; and to all listeners of the broadcast."""

    @promise()
    async def test_each_group_gets_every_event(self, backend: Bus) -> None:
        """Every group gets every event, whatever other groups do with it."""
        sent = events(5)
        async with backend.subscribe(GROUP, [ORDER]) as one, backend.subscribe(OTHER, [ORDER]) as other:
            await backend.publish(sent)
            await acknowledge(await take(one, 5))
            mine = await take(other, 5)
            assert ids(mine) == ids(sent)
            await acknowledge(mine)
            await nothing(one, "it was acknowledged by this group")

    @promise()
    async def test_groups_whose_names_are_alike_are_different_groups(self, backend: Bus) -> None:
        """Groups whose names differ in a dot, a case or a script only are different groups."""
        names = ["web.shop", "web-shop", "web_shop", "Web.shop", "web:shop", "web shop", "wéb.shop", "web.shop*"]
        await known(backend, *names)
        (sent,) = events(1)
        await backend.publish([sent])
        for name in names:
            async with backend.subscribe(name, [ORDER]) as member:
                (got,) = await take(member)
                assert got.event == sent, name
                await got.ack()

    @promise()
    async def test_members_of_a_group_share_its_events(self, backend: Bus, stress: int) -> None:
        """Each event goes to one member of a group, also when many publish and many receive at once."""
        sent = events(200 * stress)
        got: list[str] = []
        async with listening(backend, 4) as members, anyio.create_task_group() as publishing:
            for start in range(0, len(sent), 20):
                publishing.start_soon(backend.publish, sent[start : start + 20])
            await _share(members, got, len(sent))
        assert sorted(got) == ids(sent)

    @promise()
    async def test_a_member_that_waits_is_woken_by_what_comes(self, backend: Bus) -> None:
        """A member that waits gets what is published meanwhile, within a second or so."""
        async with backend.subscribe(GROUP, [ORDER]) as member, anyio.create_task_group() as tasks:
            tasks.start_soon(_publish_later, backend)
            await acknowledge(await take(member, within=3.3))

    @promise()
    async def test_a_group_gets_what_comes_while_no_member_is_there(self, backend: Bus) -> None:
        """A group that was subscribed once gets what is published while no member is there."""
        await known(backend, GROUP)
        sent = events(3)
        await backend.publish(sent)
        async with backend.subscribe(GROUP, [ORDER]) as member:
            got = await take(member, 3)
            assert ids(got) == ids(sent)
            await acknowledge(got)

    @promise()
    async def test_a_group_gets_only_the_names_it_asked_for(self, backend: Bus) -> None:
        """A group hears the names that it asked for and no other, however alike."""
        alike = ["order.created_late", "order.created.late", "order", "Order.created", "ticket.created", TICKET]
        wanted = event(ORDER)
        async with backend.subscribe(GROUP, [ORDER]) as one, backend.subscribe(OTHER, [ORDER, TICKET]) as two:
            await backend.publish([*(event(name) for name in alike), wanted])
            (got,) = await take(one)
            assert got.event == wanted
            await got.ack()
            assert sorted(found.event.name for found in await take(two, 2)) == [ORDER, TICKET]
            await nothing(one, "this group did not name it")

    @promise()
    async def test_a_group_that_names_more_hears_more(self, backend: Bus) -> None:
        """A group whose next release names another event gets it from then on."""
        await known(backend, GROUP)
        async with backend.subscribe(GROUP, [ORDER, TICKET]) as member:
            sent = [event(ORDER), event(TICKET)]
            await backend.publish(sent)
            assert ids(await take_all(member, sent)) == ids(sent)

    @promise()
    async def test_an_unknown_version_of_a_name_arrives(self, backend: Bus) -> None:
        """Names are without version: one that nobody knows yet arrives too."""
        sent = event(version=99)
        async with backend.subscribe(GROUP, [ORDER]) as member, backend.broadcast([ORDER]) as ear:
            await backend.publish([sent])
            assert [(await take(one))[0].event for one in (member, ear)] == [sent, sent]

    @promise()
    async def test_a_broadcast_reaches_all_listeners(self, backend: Bus) -> None:
        """Every listener of the broadcast hears every event of its names; it is not shared like a group."""
        order, ticket = event(ORDER), event(TICKET)
        async with (
            backend.broadcast([ORDER]) as one,
            backend.broadcast([ORDER, TICKET]) as two,
            backend.subscribe(GROUP, [ORDER]) as member,
        ):
            await backend.publish([order, ticket])
            assert ids(await take(one)) == ids([order])
            assert ids(await take(two, 2)) == ids([order, ticket])
            assert ids(await take(member)) == ids([order])
            await nothing(one, "it was heard, or is of another name")

    @promise()
    async def test_a_broadcast_begins_now(self, backend: Bus) -> None:
        """A listener hears what is published from now on, and nothing older."""
        await known(backend, GROUP)
        old, new = events(2)
        await backend.publish([old])
        async with backend.broadcast([ORDER]) as ear:
            await backend.publish([new])
            assert ids(await take(ear)) == ids([new])
            await nothing(ear, "it was published before")

    @promise(needs=[Capability.MULTI_PROCESS])
    async def test_processes_share_a_group(self, backend: Bus, opener: Opener) -> None:
        """Members in two processes share the events of one group, and a broadcast reaches both."""
        async with (
            opener() as second,
            backend.subscribe(GROUP, [ORDER]) as here,
            second.subscribe(GROUP, [ORDER]) as there,
            backend.broadcast([ORDER]) as near,
            second.broadcast([ORDER]) as far,
        ):
            sent = events(40)
            await backend.publish(sent[:20])
            await second.publish(sent[20:])
            assert ids(await take(near, 40)) == ids(await take(far, 40)) == ids(sent)
            got: list[str] = []
            await _share([here, there], got, len(sent))
            assert sorted(got) == ids(sent)


async def _collect(member: Subscription, got: list[str]) -> None:
    while True:
        for delivery in await member.receive(7):
            got.append(delivery.event.id)
            await delivery.ack()


async def _share(members: list[Subscription], got: list[str], number: int) -> None:
    """Let members receive until they have so many between them, and a moment longer."""
    async with anyio.create_task_group() as tasks:
        for member in members:
            tasks.start_soon(_collect, member, got)
        with anyio.move_on_after(15):
            while len(got) < number:  # noqa: ASYNC110 - the tasks fill it
                await anyio.sleep(0.01)
        await anyio.sleep(0.1)
        tasks.cancel_scope.cancel()


async def _publish_later(bus: Bus) -> None:
    await anyio.sleep(0.3)
    await bus.publish(events(1))
