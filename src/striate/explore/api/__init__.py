"""The answers of the server, one resource a file, each with its ROUTES. A new one is a file and a line here."""

from starlette.routing import BaseRoute

from . import architecture, images, models


def routes() -> list[BaseRoute]:
    """Return all routes."""
    return [*models.ROUTES, *architecture.ROUTES, *images.ROUTES]
