"""Fixtures that pytest finds by itself where ticketkit is installed."""
