"""Protocols of the backends: storage, bus, timers, payment provider; and what all of them share."""
