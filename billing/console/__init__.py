"""What billing admins see and do."""
