"""Open pages cost little."""

import pytest

from ticketkit_marketplace import bench_streams


@pytest.mark.proof
def test_500_open_pages_fit_into_150_mib_and_all_are_told() -> None:
    """The web client as a process of its own; beside the services, what the streams add is counted."""
    found = bench_streams.measure()
    alone, mounted = found["alone"], found["mounted"]
    assert alone["told"] == mounted["told"] == 500
    assert max(alone["open"], alone["after"]) <= bench_streams.LIMIT, alone
    assert mounted["after"] - mounted["start"] <= 50 * 2**20, mounted
