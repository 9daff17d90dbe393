"""The nouns that are sold and billed: customers, prices, sessions, subscriptions, invoices."""
