"""`python -m ticketkit` is the program `ticketkit`."""

from ticketkit.cli import main

if __name__ == "__main__":
    main(prog_name="ticketkit")
