"""The Lantern, a small theatre: a FastAPI app with its own members, and ticketkit inside."""
