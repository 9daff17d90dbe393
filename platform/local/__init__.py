"""The embedded PostgreSQL, the broker and the supervisor of the demo."""
