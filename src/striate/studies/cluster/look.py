"""What a cluster has: its machines, and whether each can train the runs of a study that begins here."""

import shutil
from collections.abc import Sequence
from typing import Any

from striate.base import device as devices
from striate.base.columns import aligned
from striate.data.cache import cache_dir

from .connect import ANSWER_S, Cluster, import_ray
from .runner import remote

COMPARED = ("striate", "python", "torch")  # versions that results depend on most
SILENT = "no answer"


def about() -> dict[str, Any]:
    """Return what this machine has, for a process elsewhere."""
    folder = next(path for path in (cache_dir().absolute(), *cache_dir().absolute().parents) if path.is_dir())
    return {"versions": devices.versions(), "cache": str(cache_dir()), "free_bytes": shutil.disk_usage(folder).free}


def look(address: str) -> list[dict[str, Any]]:
    """Return a row for each machine of a cluster: what Ray has of it, and what a task there says of itself.

    A machine where that fails has what went wrong as its "problem", one with other versions the first of these.

    Raises:
        SettingsError: it is no address, or Ray is not installed.
        ResourceError: nothing answers there.
    """
    with Cluster(address) as cluster:
        ray, rows, own = import_ray(), [], devices.versions()
        asked = [(node, remote(about, node.id, num_cpus=0, max_retries=0).remote()) for node in cluster.nodes()]
        for node, ref in asked:
            row: dict[str, Any] = {**vars(node), "problem": ""}
            try:
                row |= ray.get(ref, timeout=ANSWER_S)
                other = [name for name in COMPARED if row["versions"].get(name) != own.get(name)]
                row["problem"] = f"{other[0]} {row['versions'].get(other[0])}, here {own[other[0]]}" if other else ""
            except ray.exceptions.GetTimeoutError:
                row["problem"] = SILENT
            except ray.exceptions.RayError as problem:
                cause = getattr(problem, "cause", None) or problem
                row["problem"] = f"{type(cause).__name__}: {cause}".splitlines()[0]
            rows.append(row)
        return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the machines as lines of text."""
    head = ["machine", "CPUs", "GPUs", "memory", "cache free", "Striate", "torch", "problem"]
    cells = [
        [
            row["name"],
            f"{row['cpus']:g}",
            f"{row['gpus']:g}",
            f"{row['memory_bytes'] / 1e9:.1f} GB",
            f"{row['free_bytes'] / 1e9:.1f} GB" if "free_bytes" in row else "",
            row.get("versions", {}).get("striate", ""),
            row.get("versions", {}).get("torch", ""),
            row["problem"] or "none",
        ]
        for row in rows
    ]
    return "\n".join(aligned([head, *cells], left={0, 7}))
