"""What the bugs are planted in, without a bug."""

from __future__ import annotations

from tests.planted.planting import PassingBus, PlantedBus, PlantedSqlBus, PlantedTimers

from ticketkit.memory import MemoryTimers


class PassingMemoryBus(PlantedBus):
    Bus = PassingBus


class PassingSqlBus(PlantedSqlBus):
    Bus = PassingBus


class SoundTimers(PlantedTimers):
    Timers = MemoryTimers
