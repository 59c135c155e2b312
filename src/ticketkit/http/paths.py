"""Which service answers which paths: what a gateway in front of processes with one service each goes by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ticketkit.http.app import TABLE
from ticketkit.http.operation import Operation
from ticketkit.services.catalogue import ServiceName


def service_paths(operations: Iterable[Operation] = TABLE) -> dict[ServiceName, tuple[str, ...]]:
    """Beginnings of paths by service: `{ServiceName.AUTH: ("/api/users",), ...}`.

    Each is as short as it can be without being another service's too, and stands for itself and everything below it
    (`/api/users` and `/api/users/…`, not `/api/usersettings`). A service without routes has none. Health, metrics and
    documentation, which every process has, are left out, as are routes of plugins.

    Raises:
        ValueError: Two services share a path that no beginning tells apart.
    """
    told = [one for one in operations if one.tag in set(ServiceName)]
    owners: dict[str, set[str]] = defaultdict(set)
    for operation in told:
        for beginning in _beginnings(operation.path):
            owners[beginning].add(operation.tag)
    found: dict[ServiceName, dict[str, None]] = {name: {} for name in ServiceName}
    for operation in told:
        found[ServiceName(operation.tag)][_own(operation.path, owners)] = None
    return {name: tuple(beginnings) for name, beginnings in found.items()}


def owner_of(path: str, paths: Mapping[ServiceName, Sequence[str]]) -> ServiceName | None:
    """Whose a path is.

    Args:
        path: Of a request.
        paths: From `service_paths`.

    Returns:
        None when no service has it.
    """
    for name, beginnings in paths.items():
        if any(path == beginning or path.startswith(f"{beginning}/") for beginning in beginnings):
            return name
    return None


def _beginnings(path: str) -> Iterator[str]:
    """Of `/api/events/{id}`: `/api`, `/api/events`."""
    literal = path.partition("/{")[0]
    parts = literal.split("/")
    return ("/".join(parts[:count]) for count in range(2, len(parts) + 1))


def _own(path: str, owners: dict[str, set[str]]) -> str:
    for beginning in _beginnings(path):
        if len(owners[beginning]) == 1:
            return beginning
    msg = f"{path} is below what belongs to several services: {', '.join(sorted(owners[path.partition('/{')[0]]))}."
    raise ValueError(msg)
