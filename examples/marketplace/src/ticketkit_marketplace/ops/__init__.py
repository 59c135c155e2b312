"""The operations page of the marketplace: what goes on, live, and what the people who run it can do about it."""
