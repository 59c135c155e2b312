"""The web client of the marketplace: pages rendered on the server, over ticketkit's HTTP API and nothing else."""
