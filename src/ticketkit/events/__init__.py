"""Contracts of events: the catalogue, the envelope, the registry, and what is exported of them."""
