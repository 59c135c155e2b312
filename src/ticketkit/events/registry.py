"""The registry: contracts by name and version, and upcasters from one version to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import ValidationError

from ticketkit.domain.errors import TicketkitError
from ticketkit.events.catalogue import CATALOGUE
from ticketkit.events.envelope import Envelope, Event, MalformedEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ticketkit.events.contract import Contract

Upcaster: TypeAlias = "Callable[[Any], Contract]"


class UnknownContract(TicketkitError):
    """No contract of this name and version is registered here: the event waits for a newer release."""


class Registry:
    """The contracts that a process can read.

    Args:
        contracts: To begin with; ticketkit's own catalogue when left out.
    """

    def __init__(self, contracts: Iterable[type[Contract]] = CATALOGUE) -> None:
        self._contracts: dict[tuple[str, int], type[Contract]] = {}
        self._upcasters: dict[tuple[str, int], Upcaster] = {}
        for contract in contracts:
            self.register(contract)

    def register(self, contract: type[Contract], *, upcast: Upcaster | None = None) -> None:
        """Add a contract.

        Args:
            contract: Its `NAME` and `VERSION` must be new.
            upcast: Makes one of it from one of the version before; required above version 1.

        Raises:
            ValueError: Name and version are taken, or an upcaster is missing.
        """
        key = (contract.NAME, contract.VERSION)
        if key in self._contracts:
            msg = f"There is a contract {contract.type()} already: {self._contracts[key].__qualname__}."
            raise ValueError(msg)
        if contract.VERSION > 1:
            if upcast is None:
                msg = f"{contract.type()} needs an upcaster from version {contract.VERSION - 1}."
                raise ValueError(msg)
            self._upcasters[contract.NAME, contract.VERSION - 1] = upcast
        self._contracts[key] = contract

    def __iter__(self) -> Iterator[type[Contract]]:
        """All contracts, by name and version."""
        return iter([self._contracts[key] for key in sorted(self._contracts)])

    def newest(self, name: str) -> type[Contract]:
        """The newest contract of an event name.

        Raises:
            UnknownContract: There is none.
        """
        versions = [version for known, version in self._contracts if known == name]
        if not versions:
            msg = f"No contract is registered for {name!r}."
            raise UnknownContract(msg)
        return self._contracts[name, max(versions)]

    def read(self, envelope: Envelope) -> Event[Any]:
        """The event, its body upcast to the newest contract of its name.

        Raises:
            UnknownContract: Its version is newer than what is registered here, or its name is unknown.
            MalformedEvent: The body does not follow its contract.
        """
        name, version = envelope.name, envelope.version
        contract = self._contracts.get((name, version))
        if contract is None:
            msg = f"{envelope.type} is not known to this release."
            raise UnknownContract(msg)
        try:
            data: Any = contract.model_validate_json(envelope.data)
        except ValidationError as error:
            msg = f"Event {envelope.id} does not follow {envelope.type}: {error.error_count()} errors."
            raise MalformedEvent(msg) from error
        while (name, version) in self._upcasters:
            data = self._upcasters[name, version](data)
            version += 1
        return Event(envelope, data)
