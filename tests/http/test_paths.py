"""Which service answers which paths."""

from dataclasses import replace

import pytest

from ticketkit.http import owner_of, service_paths
from ticketkit.http.app import TABLE
from ticketkit.marketplace import Marketplace
from ticketkit.services.catalogue import ServiceName


def test_each_service_has_the_beginnings_of_its_routes() -> None:
    assert service_paths() == {
        ServiceName.AUTH: ("/api/users",),
        ServiceName.TICKETS: ("/api/events", "/api/tickets"),
        ServiceName.ORDERS: ("/api/orders", "/api/passes"),
        ServiceName.EXPIRATION: (),
        ServiceName.PAYMENTS: ("/api/payments",),
    }


def test_every_route_of_a_service_alone_is_found_by_its_path() -> None:
    paths = service_paths()
    for name in ServiceName:
        for operation in Marketplace(services=[name]).asgi().state.operations:
            expected = name if operation.path.startswith("/api/") else None
            assert owner_of(operation.path.replace("{id}", "1"), paths) == expected


def test_a_beginning_ends_at_a_slash() -> None:
    paths = service_paths()
    assert owner_of("/api/users", paths) is ServiceName.AUTH
    assert owner_of("/api/users/", paths) is ServiceName.AUTH
    assert owner_of("/api/usersettings", paths) is None
    assert owner_of("/api", paths) is None


def test_services_below_one_beginning_are_told_apart_by_what_follows() -> None:
    moved = replace(TABLE[0], path="/api/orders/mine/users")
    (first, *_) = [one for one in TABLE if one.tag is ServiceName.ORDERS]
    found = service_paths([moved, replace(first, path="/api/orders/all")])
    assert (found[ServiceName.AUTH], found[ServiceName.ORDERS]) == (("/api/orders/mine",), ("/api/orders/all",))


def test_a_path_that_two_services_share_is_refused() -> None:
    orders = next(one for one in TABLE if one.tag is ServiceName.ORDERS)
    with pytest.raises(ValueError, match=r"/api/users/signup is below what belongs to several"):
        service_paths([replace(TABLE[0], path="/api/users/signup"), replace(orders, path="/api/users/signup/{id}")])
