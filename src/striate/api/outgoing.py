"""How a run leaves the house, in Python: the part of `Run` that writes it for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.base.rundir import RunDir

if TYPE_CHECKING:
    from torch import nn

    from striate.data.sample import Dataset
    from striate.export.bundle import Exported


class Outgoing:
    """What a run folder can be written as."""

    folder: RunDir
    _module: "nn.Module | None"
    _dataset: "Dataset | None"

    def export(
        self, to: str = "onnx", *, out: Path | str | None = None, data: str | None = None,
        network: "nn.Module | None" = None, progress: Any = None, int8: bool = False, accept: bool = False,
        **options: bool,
    ) -> "Exported":  # fmt: skip
        """Write the network for other programs, checked on images of the run; see `striate.export.export`.

        Args:
            out: the folder to make; by default RUN/exports/TO.
            data: where the run's own data are now, if moved.
            int8: whether to write a file in 8 bits too; `accept` keeps one that is worse.
        """
        from striate.export import export
        from striate.export.quantise import NUM_CALIBRATION, EightBits
        from striate.run.images import stored_images, validation_batches

        network = network or self._module
        where: dict[str, Any] = {"data": data or self._dataset, "network": network, "progress": progress}
        stored, eight_bits = stored_images(self.folder, **where), None
        if int8:
            ranges = stored_images(self.folder, 2 * NUM_CALIBRATION, split="train", **where)
            eight_bits = EightBits(ranges, validation_batches(self.folder, **where), accept)
        folder = Path(out) if out is not None else self.folder.path / "exports" / to
        return export(self.folder, stored, to, folder, network=network, eight_bits=eight_bits, **options)
