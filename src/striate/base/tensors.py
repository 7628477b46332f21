"""Named tensors on disk: safetensors only, checked before anything is read from them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ModelError
from .files import write_bytes

if TYPE_CHECKING:
    from torch import Tensor

MAX_HEADER_BYTES = 8_000_000  # 60,000 tensors, twenty times those of the largest network here


def write_tensors(path: Path, tensors: Mapping[str, "Tensor"]) -> None:
    """Write tensors to `path` atomically; they are copied to the CPU and made contiguous."""
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(plain, metadata={"format": "striate"}))


def read_tensors(path: Path) -> dict[str, "Tensor"]:
    """Return the tensors of a safetensors file.

    Raises:
        ModelError: missing, truncated, overlapping, oversized or duplicate entries; the message names the file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        _check_header(path)
        return load(path.read_bytes())  # load_file asks torch for a shape in a way that swallows a Ctrl-C
    except (SafetensorError, OSError, ValueError) as problem:
        raise ModelError(
            f"not a readable safetensors file ({problem})", where=path, fix="restore this file"
        ) from problem


def _check_header(path: Path) -> None:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > min(MAX_HEADER_BYTES, path.stat().st_size):
            raise ValueError(f"its header claims {size:,} bytes")
        json.loads(file.read(size), object_pairs_hook=_refuse_duplicates)


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands in its header twice")
    return found
