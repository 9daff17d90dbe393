"""Plans, Stripe, and what was bought."""
