"""The options that say on which cluster runs are trained."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from striate.base.errors import SettingsError

if TYPE_CHECKING:
    from striate.studies.cluster.connect import Cluster


@dataclass(frozen=True)
class OnCluster:
    """Where the runs of a study are trained, one field an option."""

    on: Annotated[
        str | None, typer.Option("--on", metavar="CLUSTER", help="Train on Ray: ray://HOST:10001, or local:4 (CPUs).")
    ] = None
    cpus_per_run: Annotated[int, typer.Option(metavar="N", help="With --on, CPUs and threads of a run.", min=1)] = 1
    gpus_per_run: Annotated[float, typer.Option(metavar="N", help="With --on, GPUs of a run: 1 or 0.5.", min=0)] = 0.0

    def cluster(self) -> "Cluster | None":
        """Return the cluster that is named, not connected yet."""
        from striate.studies.cluster.connect import Cluster

        if self.on is not None:
            return Cluster(self.on, cpus=self.cpus_per_run, gpus=self.gpus_per_run)
        if (self.cpus_per_run, self.gpus_per_run) != (1, 0):
            raise SettingsError("no cluster is named", where="--cpus-per-run, --gpus-per-run", fix="add --on CLUSTER")
        return None
