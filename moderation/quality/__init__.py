"""How well the sieve does its work, estimated from what people found: second looks, figures, calibration."""
