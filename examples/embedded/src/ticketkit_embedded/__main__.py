"""`python -m ticketkit_embedded`."""

from ticketkit_embedded.cli import main

main()
