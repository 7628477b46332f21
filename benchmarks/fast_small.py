"""How long until `fast-small` is as good as Keras' CIFAR-10 example ever gets on the same images?

    python benchmarks/fast_small.py FOLDER --peer-python .bench/peers/bin/python

FOLDER has train/, val/ and test/ with class folders of 32x32 images. First the example trains (keras_cifar.py), then
Striate's `airbench` by the recipe `fast-small`, alone and with the same number of threads. Both clocks run from the
first training step and include validation after every epoch; opening the images is reported apart. Printed are both
curves (seconds, validation accuracy), the time at which each first reached the example's best, and the test accuracies.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from striate.base.rundir import RunDir

Curve = list[tuple[float, float]]  # (seconds, validation accuracy) after each epoch
HERE = Path(__file__).parent


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--peer-python", required=True, help="python of an environment with keras and tensorflow")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keras-epochs", type=int, default=100, help="100 is the example's")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--limit-train", type=int, default=0, help="train on this many images; 0: all")
    options = parser.parse_args()
    theirs, result = keras(options)
    ours, run = striate(options)
    goal = result["best_val"]
    reached_s = next((seconds for seconds, accuracy in ours if accuracy >= goal), None)
    report = {
        "keras": {"curve": theirs, **result},
        "striate": {"curve": ours, "reached_s": reached_s, **run},
        "ratio": round(result["reached_s"] / reached_s, 2) if reached_s else None,
    }
    print(json.dumps(report, indent=1))


def keras(options: argparse.Namespace) -> tuple[Curve, dict[str, Any]]:
    """Train the example in its own environment."""
    command = [options.peer_python, str(HERE / "keras_cifar.py"), options.data, f"--threads={options.threads}"]
    command += [f"--epochs={options.keras_epochs}", f"--limit-train={options.limit_train}"]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    *rows, result = [json.loads(line) for line in text.splitlines()]
    return [(row["time_s"], row["val"]) for row in rows], result


def striate(options: argparse.Namespace) -> tuple[Curve, dict[str, Any]]:
    """Train airbench by fast-small; test accuracy without and with views at test time."""
    program = str(Path(sys.executable).with_name("striate"))
    with TemporaryDirectory() as temporary:
        out = Path(temporary) / "run"
        command = [program, "train", options.data, "--model=airbench", "--recipe=fast-small", f"--out={out}", "--quiet"]
        command += [f"--threads={options.threads}", "--set", f"train.epochs={options.epochs}", "--set", "data.size=32"]
        command += ["--set", f"model.width={options.width}", "--set", "train.patience=0"]
        command += ["--limit", f"train={options.limit_train}"] if options.limit_train else []
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        whole_s = time.perf_counter() - start
        run = RunDir(out)
        views = [program, "evaluate", str(out), "--views=6", "--json", "--quiet", f"--threads={options.threads}"]
        viewed = json.loads(subprocess.run(views, check=True, stdout=subprocess.PIPE, text=True).stdout)
        curve = [(round(row["time_s"], 2), round(row["val"]["accuracy"], 4)) for row in run.history()]
        info = run.info()
        return curve, {
            "test_accuracy": run.scores()["test"]["accuracy"],
            "test_accuracy_6_views": viewed["scores"]["accuracy"],
            "whole_process_s": round(whole_s, 1),
            "images": info["dataset"]["counts"]["train"],
            "parameters": info["model"]["parameters"],
            "precision": info["precision"]["name"],
        }


if __name__ == "__main__":
    main()
