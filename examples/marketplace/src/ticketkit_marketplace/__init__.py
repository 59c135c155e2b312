"""The example marketplace of ticketkit: five services in one process."""
