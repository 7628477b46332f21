"""The networks: what they are, without loading any; and one of them, loaded."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from striate.base.errors import UserError
from striate.web.wire import document

from ..desk import Cancel, desk
from ..workspace import Subject


async def overview(request: Request) -> Response:
    """All networks, and what the page is about."""
    space = desk(request).workspace
    models = await desk(request).reads.run(request, lambda cancel: [_short(one) for one in space.subjects.values()])
    return document(
        {"title": space.title, "is_study": space.study is not None, "playground": space.is_playground, "models": models}
    )


async def one(request: Request) -> Response:
    """A network: its task, its input, its classes. Loads it."""
    here = desk(request)
    id_ = request.path_params["model"]
    subject = here.workspace.subject(id_)

    def described(cancel: Cancel) -> dict[str, Any]:
        predictor = here.workspace.predictor(id_)
        task, geometry = predictor.task, predictor.geometry
        return _short(subject) | {
            "task": {"name": task.name, "names": list(task.names), "target": task.target, "unit": task.unit},
            "input": {"size_hw": list(geometry.size_hw), "channels": geometry.channels, "fit": geometry.fit},
            "mean": list(predictor.mean),
            "std": list(predictor.std),
            "temperature": predictor.temperature,
            "parameters": sum(one.numel() for one in predictor.network.parameters()),
        }

    return document(await here.work.run(request, described))


def _short(subject: Subject) -> dict[str, Any]:
    """What a list says of a network, from its run's documents alone."""
    found: dict[str, Any] = {"id": subject.id, "title": subject.title, "about": subject.about}
    if subject.run is None:
        return found
    try:
        info = subject.run.info()
        return found | {
            "status": info["status"],
            "network": info["model"]["name"],
            "dataset": info.get("dataset", {}).get("name", ""),
            "task": info["task"].get("name", ""),
            "seed": info["seed"],
        }
    except UserError as problem:
        return found | {"problem": problem.what}


ROUTES: list[BaseRoute] = [Route("/api/models", overview), Route("/api/models/{model}", one)]
