"""`python -m ticketkit_marketplace`."""

from ticketkit_marketplace.cli import main

main(prog_name="ticketkit-marketplace")
