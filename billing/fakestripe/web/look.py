"""How a page is rendered, and what the browser is told about it."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from billing.fakestripe.core.world import World
from billing.fakestripe.web.words import FILTERS

HERE = Path(__file__).parent


class Look:
    """Renders a page and says what it may load, and where its forms may lead."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(FILTERS)

    def page(self, name: str, *, leads_to: str | None = None, status: int = 200, **values: Any) -> Response:
        """One page. `leads_to` is the other site to which its form may redirect in the end."""
        text = self._templates.get_template(name).render(world=self.world, **values)
        targets = "'self'"
        if leads_to:
            parts = urlsplit(leads_to)
            targets += f" {parts.scheme}://{parts.netloc}"
        headers = {
            "Content-Security-Policy": (
                f"default-src 'none'; style-src 'self'; form-action {targets}; base-uri 'none'; frame-ancestors 'none'"
            ),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        return HTMLResponse(text, status_code=status, headers=headers)

    def gone(self, sentence: str, status: int = 404) -> Response:
        """A page that only says why there is none."""
        return self.page("gone.html", sentence=sentence, status=status)


def leave(url: str) -> Response:
    """Send the person on with a GET."""
    return RedirectResponse(url, status_code=303)
