"""Refusals as problem details."""

from __future__ import annotations

import json

import pytest

from ticketkit.backends.errors import Misconfigured, Unavailable
from ticketkit.domain import errors
from ticketkit.domain.errors import DomainError, OrderClosed, TicketUnavailable
from ticketkit.http.problems import path_of, problem_of, spelled, status_of


def _all(cls: type[DomainError]) -> list[type[DomainError]]:
    return [cls, *(below for child in cls.__subclasses__() for below in _all(child))]


@pytest.mark.parametrize("cls", [c for c in _all(DomainError) if c.__module__ == errors.__name__])
def test_every_refusal_of_the_domain_is_the_clients_to_mend(cls: type[DomainError]) -> None:
    status = status_of(cls())
    assert status is not None
    assert 400 <= status < 500


def test_values_are_members_in_camel_case_and_overwrite_none() -> None:
    problem = problem_of(OrderClosed("Closed.", code="order_completed", order_id="7", status="completed", title="x"))
    assert problem is not None
    content = json.loads(bytes(problem.body))
    assert (content["status"], content["state"], content["orderId"]) == (409, "completed", "7")
    assert (content["title"], content["titleValue"]) == ("Order completed", "x")


def test_the_field_is_spelled_as_clients_do() -> None:
    assert spelled("tickets[3].event_id") == "tickets[3].eventId"
    assert spelled("ticket_ids") == "ticketIds"
    assert path_of(("tickets", 17, "price")) == "tickets[17].price"
    assert path_of(()) == ""


def test_half_a_character_does_not_break_the_answer() -> None:
    problem = problem_of(TicketUnavailable("\ud800"))
    assert problem is not None
    assert json.loads(bytes(problem.body))["code"] == "ticket_unavailable"


def test_what_is_nobodys_refusal_is_no_problem() -> None:
    assert problem_of(RuntimeError()) is None
    assert problem_of(Misconfigured("wrong")) is None


def test_an_unavailable_backend_says_when_to_come_back() -> None:
    problem = problem_of(Unavailable(retry_after=1.5))
    assert problem is not None
    assert problem.headers["retry-after"] == "2"
