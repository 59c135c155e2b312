"""Payments of ticketkit by Stripe. The backend is selected by URL: `stripe:`."""
