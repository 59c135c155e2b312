"""The event catalogue and the flow diagram say who says and hears what."""

from typing import ClassVar

from ticketkit.events.contract import Contract, Shape
from ticketkit.events.diagram import catalogue, flowchart
from ticketkit.events.flow import Flow


class Hull(Shape):
    """A shape within."""

    length: int


class ShipSighted(Contract):
    """A ship was seen."""

    NAME: ClassVar = "ship.sighted"

    hull: Hull
    flags: tuple[str, ...] = ()
    captain: str | None = None


class ShipLost(ShipSighted):
    """A ship is not seen any more."""

    NAME: ClassVar = "ship.lost"


class Horn(Contract):
    """Everybody has to hear this."""

    NAME: ClassVar = "horn.blown"
    VERSION: ClassVar = 2


FLOW = Flow(
    says={"look-out": ["ship.sighted", "ship.lost", "horn.blown"]},
    hears={"pilots": ["ship.sighted", "ship.lost"], "end": ["ship.lost"]},
    broadcast={"look-out": ["horn.blown"], "pilots": ["horn.blown"], "end": ["horn.blown"]},
)


def test_each_event_is_listed_with_who_says_and_hears_it() -> None:
    text = catalogue([ShipSighted, ShipLost, Horn], FLOW)
    assert "| `ship.sighted` | A ship was seen. | look-out | pilots |" in text
    assert "| `ship.lost` | A ship is not seen any more. | look-out | pilots, end |" in text
    assert "| `horn.blown (v2)` | Everybody has to hear this. | look-out | look-out, pilots, end |" in text


def test_events_with_the_same_fields_share_a_table() -> None:
    text = catalogue([ShipSighted, Horn, ShipLost], FLOW)
    assert "### `ship.sighted`, `ship.lost`\n" in text
    assert text.count("| `hull` | Hull (`length`) |  |") == 1
    assert "| `flags` | array of string | optional |" in text
    assert "| `captain` | string or null | optional |" in text


def test_arrows_lead_from_who_says_to_who_hears() -> None:
    assert flowchart(FLOW).splitlines() == [
        "flowchart LR",
        "    n_look_out[look-out]",
        "    n_pilots[pilots]",
        "    n_end[end]",
        '    n_look_out -->|"ship: sighted, lost"| n_pilots',
        '    n_look_out -->|"ship: lost"| n_end',
        '    n_look_out -.->|"horn: blown"| n_pilots & n_end',
    ]
