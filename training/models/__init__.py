"""The house models: what each is built of, and how it is trained on the world."""
