"""What every noun stands on: the clock, the store, parameters, expansion, events and their delivery."""
