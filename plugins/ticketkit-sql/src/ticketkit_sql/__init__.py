"""Storage and timers for ticketkit on SQLAlchemy."""
