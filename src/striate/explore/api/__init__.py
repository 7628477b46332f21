"""The answers of the server, one resource a file, each with its ROUTES. A new one is a file and two lines here."""

from starlette.routing import BaseRoute

from . import (
    architecture,
    attack,
    dataset,
    errors,
    filters,
    images,
    models,
    occlusion,
    passes,
    predict,
    probe,
    runs,
    why,
)

PARTS = (
    architecture,
    attack,
    dataset,
    errors,
    filters,
    images,
    models,
    occlusion,
    passes,
    predict,
    probe,
    why,
    runs,
)


def routes() -> list[BaseRoute]:
    """Return all routes."""
    return [route for part in PARTS for route in part.ROUTES]
