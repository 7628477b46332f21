"""The one place that opens a `.pth`: a child process with limits reads its tensors and writes them as safetensors.

Such a file is a program for rebuilding Python objects. Here it may rebuild tensors and plain containers only
(`weights_only=True`); anything else is refused, and there is no way to allow it. Run as a module it is the child.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from striate.base.errors import ModelError
from striate.base.text import shown

SUFFIXES = (".pth", ".pt", ".th", ".bin", ".ckpt", ".tar")  # .pth.tar is what torch.save wrote, no archive
INSIDE = ("state_dict", "model_state_dict", "model", "net", "weights", "params")  # where training scripts put weights
BASE_BYTES = 1 << 30  # memory for a file of any size
TIME_S = 120


def import_weights(path: str | Path, out: str | Path, *, memory_bytes: int | None = None, time_s: int = TIME_S) -> Path:
    """Write the tensors of a `.pth` file as `.safetensors`, and return its path.

    Tensors keep their names and order; what else the file holds is left out.

    Args:
        memory_bytes: what the child may take beyond torch itself; by default 4 times the file and 1 GiB.
        time_s: seconds it may take.

    Raises:
        ModelError: the file would run code, is TorchScript, holds no tensors, is damaged or goes beyond the limits.
    """
    path, out = Path(path), Path(out)
    if not path.is_file():
        raise ModelError("no such weights file", where=path, fix="check the path")
    limit = memory_bytes or 4 * path.stat().st_size + BASE_BYTES
    # -P: no module is taken from the current folder, which may be where the file came from
    command = [sys.executable, "-P", "-m", __name__, str(path.resolve()), str(out.resolve()), str(limit), str(time_s)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=time_s + 30, check=False, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as problem:
        raise _refusal(path, f"reading takes longer than {time_s} s") from problem
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").strip().split("\n")[-1]
        raise _refusal(path, reason if done.returncode == 1 and reason else "it needs more memory or time than allowed")
    return out


def _refusal(path: Path, reason: str) -> ModelError:
    return ModelError(f"weights refused: {shown(reason)}", where=path, fix="get the weights as .safetensors or .npz")


def _child(path: Path, out: Path, memory_bytes: int, time_s: int) -> None:
    import torch
    from safetensors.torch import save

    from striate.base.files import write_bytes

    _limit(memory_bytes, time_s)
    found = torch.load(path, map_location="cpu", weights_only=True)
    tensors = {name: value.contiguous().clone() for name, value in _tensors(found, torch.Tensor).items()}
    write_bytes(out, save(tensors, metadata={"order": json.dumps(list(tensors))}))


def _limit(memory_bytes: int, time_s: int) -> None:
    """Limit what this process may take from now on; where the system has no such limits, the parent's clock stays."""
    try:
        import resource
    except ImportError:
        return
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii", errors="replace").split("\n") if status.is_file() else []
    taken = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData")]
    if taken:
        resource.setrlimit(resource.RLIMIT_DATA, (taken[0] + memory_bytes,) * 2)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    end_s = int(usage.ru_utime + usage.ru_stime) + 1 + time_s
    resource.setrlimit(resource.RLIMIT_CPU, (end_s, end_s + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (memory_bytes,) * 2)


def _tensors(found: Any, kind: Any) -> dict[str, Any]:
    """Return the named tensors in what a file held."""
    if not isinstance(found, Mapping):
        raise ValueError(f"it holds one {type(found).__name__}, not named tensors")
    for key in INSIDE:
        if isinstance(found.get(key), Mapping):
            return _tensors(found[key], kind)
    tensors = {str(name): value for name, value in found.items() if isinstance(value, kind)}
    odd = [name for name, value in tensors.items() if value.is_quantized or "strided" not in str(value.layout)]
    if odd or not tensors:
        raise ValueError(f"tensor {odd[0]!r} is sparse or quantised" if odd else "it holds no tensors")
    return tensors


def _reason(problem: Exception) -> str:
    text = str(problem)
    if "TorchScript" in text:
        return "it is TorchScript, a program"
    if "alloc" in text:
        return "it needs more memory than allowed"
    if type(problem).__name__ == "UnpicklingError":
        wanted = re.search(r"GLOBAL ([\w.]+)", text)
        return f"it would run code ({wanted[1].strip('.')})" if wanted else "it is damaged or holds no tensors"
    return f"it cannot be read ({text.strip().split(chr(10))[0]})"


def main(arguments: list[str]) -> int:
    """Be the child process: FILE OUT MEMORY_BYTES TIME_S; the last line on stderr says why it failed."""
    path, out, memory_bytes, time_s = arguments
    try:
        _child(Path(path), Path(out), int(memory_bytes), int(time_s))
    except MemoryError:
        return 2
    except Exception as problem:
        sys.stderr.write(f"\n{_reason(problem)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
