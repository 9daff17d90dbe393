"""What the programs say to the operator."""

import logging


class Brief(logging.Filter):
    """A request that was refused is one line: Django adds a traceback to each 403 and 404 that a view raises."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == "django.request" and record.levelno < logging.ERROR:
            record.exc_info = None
        return True
