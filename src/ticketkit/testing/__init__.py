"""What tests of marketplaces and of plugins are written with."""
