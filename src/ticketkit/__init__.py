"""A framework for ticket marketplaces."""
