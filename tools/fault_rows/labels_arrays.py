"""B13: what arrays of images and labels can say wrongly."""

import io
import json
import zipfile

import numpy as np

from .bench import Bench, expect
from .sheet import Row

CLASS = np.arange(48) % 3
PIXELS = np.random.default_rng(0).integers(0, 256, (48, 16, 16, 3), dtype=np.uint8)
GOOD = {"x_train": PIXELS[:30], "y_train": CLASS[:30], "x_test": PIXELS[30:], "y_test": CLASS[30:]}


def arrays(bench: Bench) -> str:
    folder = bench.folder
    bad = {
        "sizes": ({"x_test": PIXELS[30:, :12, :12]}, "x_test"),
        "grey": ({"x_test": PIXELS[30:, ..., 0]}, "x_test"),
        "columns": ({"y_test": CLASS[30:, None]}, "y_test"),
        "onehot": ({"y_test": np.eye(3)[CLASS[30:]]}, "y_test"),
        "crossed": ({"y_train": CLASS[30:], "y_test": CLASS[:30]}, "y_train"),
        "untrained": ({"y_test": CLASS[30:] + 1}, "'3'"),
    }
    for name, (changed, says) in bad.items():
        np.savez(folder / f"{name}.npz", **(GOOD | changed))
        bench.refuses(3, "check", f"{name}.npz", "--out", "no", names=[f"{name}.npz", says])
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**15,)})
    with zipfile.ZipFile(folder / "huge.npz", "w") as archive:
        for name in ("x.npy", "y.npy"):
            archive.writestr(name, header.getvalue())
    done = bench.refuses(3, "check", "huge.npz", "--out", "no", names=["huge.npz", "array x"])
    expect(done.peak_mb < 100, f"a header of 8e15 bytes took {done.peak_mb:.0f} MB")
    good = {"ids": np.array([7, 2_000_000_000, 90_210])[CLASS], "floats": np.eye(3, dtype=np.float32)[CLASS]}
    for name, labels in good.items():
        np.savez(folder / f"{name}.npz", x=PIXELS, y=labels)
        done = bench.works("check", f"{name}.npz", "--out", name, "--json")
        classes = list(json.loads(done.out)["dataset"]["classes"])
        expect(len(classes) == 3, f"{name}: classes {classes[:9]}")
        expect(done.peak_mb < 500, f"{name} took {done.peak_mb:.0f} MB")
    return f"{len(bad) + 1} refused by array, labels up to 2e9 and one-hot floats are 3 classes"


ROWS = (Row("B13", "arrays: unlike splits, crossed, huge header, ids, one-hot", arrays),)
