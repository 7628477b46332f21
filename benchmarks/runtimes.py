"""How many times as fast as torch ONNX Runtime, OpenVINO and 8 bits run MobileNetV2 and ResNet-18, at batch 1 and 32.

Torch runs float32 with channels-last maps. The protocol is that of `striate time`: all take turns, medians over the
calls of all rounds. Weights are random and images noise, which changes no time. About three minutes where nothing
else runs.

    python benchmarks/runtimes.py --machine epyc [--threads 1] [--rounds 3] > benchmarks/results/speed-runtimes.json
    python benchmarks/table.py
"""

import argparse
import json
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from striate.export.graph import Answering
from striate.export.latency import Latency, measure
from striate.export.onnx_file import write_onnx
from striate.export.quantise import quantise
from striate.model import zoo
from striate.task.classify import Classify

NETWORKS = {"mobilenet_v2": "MobileNetV2", "resnet18": "ResNet-18"}
ENGINES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "int8": "ONNX Runtime, 8 bits"}
NUM_CLASSES, NUM_CALIBRATION = 1000, 32


def latencies(name: str, size_px: int, batches: list[int], rounds: int) -> list[Latency]:
    """Return the latencies of a network at each batch size, engine by engine."""
    network = zoo.build(name, classes=NUM_CLASSES, size=size_px, seed=0)
    module = Answering(network, Classify("label", tuple(map(str, range(NUM_CLASSES))))).eval()
    with TemporaryDirectory() as folder:
        plain, small = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        images = np.random.default_rng(0).normal(size=(NUM_CALIBRATION, 3, size_px, size_px)).astype(np.float32)
        write_onnx(module, torch.from_numpy(images[:2]), plain, ["values", "probabilities"], {})
        quantise(plain, small, images)
        engines = ["eager", "onnxruntime", "openvino"]
        return measure(module, (3, size_px, size_px), batches=batches, engines=engines, also=[small], rounds=rounds)


def rows_of(name: str, found: list[Latency]) -> list[dict[str, object]]:
    """Return a row for each engine and batch size, the ratio to torch and the milliseconds."""
    by_engine = {(one.engine, one.batch): one for one in found}
    rows: list[dict[str, object]] = []
    for (engine, batch), one in by_engine.items():
        base = by_engine["eager", batch].median_ms
        if engine == "eager" or base is None or one.median_ms is None:
            continue
        what = f"{NETWORKS[name]}, batch of {batch}: {ENGINES[engine]}"
        note = f"{one.median_ms:.1f} ms, torch {base:.1f} ms"
        rows.append({"what": what, "value": round(base / one.median_ms, 2), "note": note})
    return rows


def main() -> None:
    """Measure, and print a document of benchmarks/results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", default="epyc", help="of benchmarks/results/machines.json")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", default="1,32")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    batches = [int(part) for part in given.batch.split(",")]
    rows = [row for name in NETWORKS for row in rows_of(name, latencies(name, given.size, batches, given.rounds))]
    document = {
        "section": "Speed",
        "title": "What runs a network fastest",
        "data": f"{given.size} px, {given.threads} thread{'s' * (given.threads > 1)}, float32 against torch eager with "
        "channels-last maps",
        "score": "times as fast",
        "unit": "x",
        "interval": "range",
        "machine": given.machine,
        "date": date.today().isoformat(),
        "command": f"python benchmarks/runtimes.py --threads {given.threads}",
        "rows": rows,
    }
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
