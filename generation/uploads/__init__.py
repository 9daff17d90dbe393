"""What people bring: decoded by a limited process, and from then on only pixels."""
