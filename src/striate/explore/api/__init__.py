"""The answers of the server, one resource a file, each with its ROUTES. A new one is a file and two lines here."""

from starlette.routing import BaseRoute

from . import (
    architecture,
    filters,
    images,
    models,
    passes,
    predict,
    probe,
    why,
)

PARTS = (
    architecture,
    filters,
    images,
    models,
    passes,
    predict,
    probe,
    why,
)


def routes() -> list[BaseRoute]:
    """Return all routes."""
    return [route for part in PARTS for route in part.ROUTES]
