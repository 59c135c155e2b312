"""The services of a marketplace for threads: each method is the asynchronous one, waited for.

Arguments, answers and errors are those of the method of the same name in `ticketkit.services`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, Generic, ParamSpec, TypeVar

from ticketkit.services import auth, operations, orders, payments, tickets

if TYPE_CHECKING:
    from ticketkit.blocking._wire import Wire

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")


class Service(Generic[S]):
    """A service of a marketplace, seen from another thread.

    Args:
        wire: To where it runs.
        service: The service; asked for at each call, in the event loop.
    """

    def __init__(self, wire: Wire, service: Callable[[], S]) -> None:
        self._wire, self._service = wire, service

    def _call(self, method: Callable[[S], Awaitable[T]]) -> T:
        async def call() -> T:
            return await method(self._service())

        return self._wire.run(call)


def waited(method: Callable[Concatenate[S, P], Awaitable[T]]) -> Callable[Concatenate[Service[S], P], T]:
    """The blocking form of an asynchronous method of a service, with its signature and docstring."""

    @wraps(method)
    def call(self: Service[S], /, *args: P.args, **kwargs: P.kwargs) -> T:
        def bound(service: S) -> Awaitable[T]:
            return method(service, *args, **kwargs)

        return self._call(bound)

    return call


class Auth(Service[auth.Auth]):
    """Users and sessions; see `ticketkit.services.auth.Auth`."""

    sign_up = waited(auth.Auth.sign_up)
    sign_in = waited(auth.Auth.sign_in)
    sign_out = waited(auth.Auth.sign_out)
    give_role = waited(auth.Auth.give_role)
    take_role = waited(auth.Auth.take_role)
    sign_out_everywhere = waited(auth.Auth.sign_out_everywhere)
    with_role = waited(auth.Auth.with_role)
    renew = waited(auth.Auth.renew)
    user = waited(auth.Auth.user)
    find = waited(auth.Auth.find)


class Tickets(Service[tickets.Tickets]):
    """Live events and tickets; see `ticketkit.services.tickets.Tickets`."""

    announce = waited(tickets.Tickets.announce)
    call_off = waited(tickets.Tickets.call_off)
    pause = waited(tickets.Tickets.pause)
    live_event = waited(tickets.Tickets.live_event)
    live_events = waited(tickets.Tickets.live_events)
    list = waited(tickets.Tickets.list)
    import_all = waited(tickets.Tickets.import_all)
    import_catalogue = waited(tickets.Tickets.import_catalogue)
    edit = waited(tickets.Tickets.edit)
    withdraw = waited(tickets.Tickets.withdraw)
    get = waited(tickets.Tickets.get)
    locked_until = waited(tickets.Tickets.locked_until)
    find = waited(tickets.Tickets.find)


class Orders(Service[orders.Orders]):
    """Orders; see `ticketkit.services.orders.Orders`."""

    place = waited(orders.Orders.place)
    keep = waited(orders.Orders.keep)
    cancel = waited(orders.Orders.cancel)
    prolong = waited(orders.Orders.prolong)
    call_off = waited(orders.Orders.call_off)
    passes = waited(orders.Orders.passes)
    admit = waited(orders.Orders.admit)
    get = waited(orders.Orders.get)
    mine = waited(orders.Orders.mine)


class Operations(Service[operations.Operations]):
    """Locks, and what else operators do; see `ticketkit.services.operations.Operations`."""

    locks = waited(operations.Operations.locks)
    release = waited(operations.Operations.release)
    cancellation = waited(operations.Operations.cancellation)
    cancel = waited(operations.Operations.cancel)
    story = waited(operations.Operations.story)


class Payments(Service[payments.Payments]):
    """Charges and refunds; see `ticketkit.services.payments.Payments`."""

    pay = waited(payments.Payments.pay)
    get = waited(payments.Payments.get)
    of_order = waited(payments.Payments.of_order)
    copy = waited(payments.Payments.copy)
    refunds = waited(payments.Payments.refunds)
    refund = waited(payments.Payments.refund)
    receive_webhook = waited(payments.Payments.receive_webhook)
