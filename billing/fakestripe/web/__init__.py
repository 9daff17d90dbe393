"""What stands between the world and HTTP: the server, the pages that people see, the knobs."""
