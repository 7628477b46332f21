"""All rows, in the order of the matrix; and what a command needs, imported once before any of them is forked."""

import gc
from importlib import import_module

from .sheet import Row

GROUPS = (
    "images_broken",
    "images_odd",
    "images_damaged",
    "images_deep",
    "folders_odd",
    "files_given",
    "images_real",
    "labels_folders",
    "masks",
    "boxes",
    "points",
    "labels_tables",
    "labels_arrays",
    "copies",
    "labels_doubtful",
    "loading",
    "batches",
    "numbers",
    "memory",
    "saving",
    "kills",
    "resuming",
    "resuming_all",
    "weights",
    "hostile",
    "folders_run",
    "signals",
    "settings",
    "bounds",
    "terminal",
    "reports",
    "exports",
    "page",
    "served",
)
PRELOADED = (
    *("torch", "torch._dynamo", "cv2", "PIL.Image", "rich.progress", "safetensors.torch"),
    *("matplotlib.figure", "matplotlib.backends.backend_svg", "striate.task", "pydantic.type_adapter"),
    *("striate.cli", "striate.api", "striate.report.explained", "striate.predict", "striate.model.table"),
    *("striate.data.check.check", "striate.data.sheet", "striate.run.evaluate", "striate.studies.execute"),
    *("scipy.special", "scipy.optimize", "scipy.ndimage", "scipy.sparse", "striate.predict.pretrained"),
)


def load() -> list[Row]:
    """Import what commands need, and return every row."""
    for name in PRELOADED:
        import_module(name)
    import torch

    from striate.report.templates import environment

    templates = environment()
    for name in templates.list_templates(["html"]):
        templates.get_template(name)  # compiled once, not by every training
    with torch.inference_mode():  # the first convolution without data imports as much again
        torch.nn.Conv2d(3, 3, 3, device="meta")(torch.empty(1, 3, 8, 8, device="meta"))
    groups = [import_module(f".{name}", __package__).ROWS for name in GROUPS]
    rows = [row for group in groups for row in group]
    gc.freeze()  # each child's garbage collector would go over all of this
    return sorted(rows, key=lambda row: (row.id[0], int("".join(filter(str.isdigit, row.id)) or 99), row.id))
