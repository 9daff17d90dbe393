"""The web process."""

import gc
import os
import re
from typing import Any

from django.core.asgi import get_asgi_application

from config.bodies import bounded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("DATABASE_POOL_SIZE", "12")

# The name of a file that carries its own digest: it never changes.
HASHED = re.compile(r"\.[0-9a-f]{12}\.\w+$")


def with_static_files(application: Any) -> Any:
    """Serve static files in front of Django: a middleware that reads files inside it would be a synchronous one."""
    from django.conf import settings
    from django.contrib.staticfiles.finders import AppDirectoriesFinder, get_finders
    from servestatic import ServeStaticASGI

    def harden(headers: Any, path: str, url: str) -> None:
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"

    served = ServeStaticASGI(
        application,
        allow_all_origins=False,
        max_age=0 if settings.STATIC_FROM_SOURCE else 3600,
        immutable_file_test=lambda path, url: bool(HASHED.search(url)),
        add_headers_function=harden,
    )
    if settings.STATIC_FROM_SOURCE:
        for finder in get_finders():
            if isinstance(finder, AppDirectoriesFinder):
                for storage in finder.storages.values():
                    served.add_files(storage.location, prefix=settings.STATIC_URL)
    else:
        served.add_files(settings.STATIC_ROOT, prefix=settings.STATIC_URL)
    return served


application = bounded(with_static_files(get_asgi_application()), most=4 * 1024 * 1024)

# What was loaded stays: the garbage collector need not look through it in the middle of a request (50 ms each time).
gc.collect()
gc.freeze()
