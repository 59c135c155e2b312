"""Bus and timers of ticketkit on Redis."""
