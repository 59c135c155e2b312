"""The bus of ticketkit on NATS JetStream."""
