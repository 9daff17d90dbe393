"""Pictures and films as files: what people bring, decoded by a limited process; and films, written. No Django."""
