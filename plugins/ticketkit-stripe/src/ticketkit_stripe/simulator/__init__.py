"""A Stripe of one's own: PaymentIntents, refunds, webhooks and books over HTTP, for tests and demonstrations."""
