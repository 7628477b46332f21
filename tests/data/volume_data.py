"""Small volumes with label volumes in a folder, as scanners and the Medical Decathlon write them."""

import json
from pathlib import Path

import numpy as np

RAS = np.diag([1.0, 1.0, 2.0, 1.0])
LABELS = {"0": "background", "1": "shell", "2": "core"}


def ball(size_xyz, centre, radius):
    places = np.stack(np.meshgrid(*(np.arange(side) for side in size_xyz), indexing="ij"), -1)
    return np.linalg.norm(places - np.array(centre), axis=-1) <= radius


def case(rng, size_xyz=(12, 14, 10), scale=1.0):
    """A volume (x, y, z) float32 and its labels: a shell around a core, brighter than what is around them."""
    centre = np.array(size_xyz) / 2 + rng.uniform(-1, 1, 3)
    labels = ball(size_xyz, centre, 4).astype(np.uint8) + ball(size_xyz, centre, 2.5)
    values = scale * (50 * labels + rng.normal(0, 5, size_xyz) + 100)
    return values.astype(np.float32), labels.astype(np.uint8)


def decathlon(folder: Path, num=10, affine=RAS, size=(12, 14, 10)):
    """Write cases of different sizes and scales of values; return (values, labels) of each."""
    import nibabel

    rng, made = np.random.default_rng(0), {}
    for sub in ("imagesTr", "labelsTr"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    for number in range(num):
        sides = tuple(int(side + rng.integers(0, 4)) for side in size)
        values, labels = case(rng, sides, scale=10.0 ** (number % 3))
        name = f"case_{number:03d}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(values, affine), folder / "imagesTr" / name)
        nibabel.save(nibabel.Nifti1Image(labels, affine), folder / "labelsTr" / name)
        made[f"imagesTr/{name}"] = values, labels
    (folder / "dataset.json").write_text(json.dumps({"labels": LABELS}))
    return made
