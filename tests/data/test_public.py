"""Every public set that is listed opens from a tiny copy in the layout that torchvision itself keeps."""

import json
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pictures import encoded, photo
from PIL import Image

from striate.base import torchvision
from striate.data import open_dataset
from striate.data.check.check import prescan
from striate.data.sources.public import PUBLIC

NUM = 12  # images of each class and split
RNG = np.random.default_rng(0)


def put(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def picture(path: Path) -> Path:
    kind = {".ppm": "PPM", ".png": "PNG"}.get(path.suffix, "JPEG")
    return put(path, encoded(photo(zlib.crc32(path.name.encode()), (24, 32)), kind))


def idx(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + b"".join(side.to_bytes(4, "big") for side in values.shape) + values.tobytes()


def mnist_like(name: str) -> Callable[[Path], None]:
    def build(root: Path) -> None:
        for split in ("train", "t10k"):
            images = RNG.integers(0, 256, (2 * NUM, 28, 28), dtype=np.uint8)
            put(root / name / "raw" / f"{split}-images-idx3-ubyte", idx(images))
            put(root / name / "raw" / f"{split}-labels-idx1-ubyte", idx(np.arange(2 * NUM, dtype=np.uint8) % 2))

    return build


def cifar(root: Path, folder: str, batches: dict[str, int], meta: tuple[str, str, list[str]], key: str) -> None:
    for name, count in batches.items():
        labels = [index % 2 for index in range(count)]
        rows = RNG.integers(0, 256, (count, 3072), dtype=np.uint8)
        put(root / folder / name, pickle.dumps({"data": rows, key: labels}))
    put(root / folder / meta[0], pickle.dumps({meta[1]: meta[2]}))


def cifar10(root: Path) -> None:
    batches = {**{f"data_batch_{number}": 2 * NUM for number in range(1, 6)}, "test_batch": 2 * NUM}
    cifar(root, "cifar-10-batches-py", batches, ("batches.meta", "label_names", ["plane", "car"]), "labels")


def cifar100(root: Path) -> None:
    batches = {"train": 2 * NUM, "test": 2 * NUM}
    cifar(root, "cifar-100-python", batches, ("meta", "fine_label_names", ["apple", "fish"]), "fine_labels")


def svhn(root: Path) -> None:
    from scipy.io import savemat

    for split in ("train", "test"):
        images = RNG.integers(0, 256, (32, 32, 3, 2 * NUM), dtype=np.uint8)
        savemat(root / f"{split}_32x32.mat", {"X": images, "y": np.arange(2 * NUM)[:, None] % 2 + 9})


def stl10(root: Path) -> None:
    for split in ("train", "test", "unlabeled"):
        images = RNG.integers(0, 256, (2 * NUM, 3, 96, 96), dtype=np.uint8)
        put(root / "stl10_binary" / f"{split}_X.bin", images.tobytes())
        put(root / "stl10_binary" / f"{split}_y.bin", (np.arange(2 * NUM) % 2 + 1).astype(np.uint8).tobytes())
    put(root / "stl10_binary" / "class_names.txt", "airplane\nbird\n")


def flowers102(root: Path) -> None:
    from scipy.io import savemat

    ids = np.arange(1, 6 * NUM + 1)
    for number in ids:
        picture(root / "flowers-102" / "jpg" / f"image_{number:05d}.jpg")
    parts = dict(zip(("trnid", "valid", "tstid"), np.split(ids, 3), strict=True))
    savemat(root / "flowers-102" / "setid.mat", parts)
    savemat(root / "flowers-102" / "imagelabels.mat", {"labels": ids % 2 + 1})


def oxford_pets(root: Path) -> None:
    base = root / "oxford-iiit-pet"
    for split in ("trainval", "test"):
        names = [(f"{breed}_{split}{at}", label) for label, breed in ((1, "Bengal"), (2, "pug")) for at in range(NUM)]
        for name, _ in names:
            picture(base / "images" / f"{name}.jpg")
        lines = "".join(f"{name} {label} {label} 1\n" for name, label in names)
        put(base / "annotations" / f"{split}.txt", lines)


def food101(root: Path) -> None:
    for split in ("train", "test"):
        names = {food: [f"{food}/{split}{at}" for at in range(NUM)] for food in ("apple_pie", "waffles")}
        for name in (name for part in names.values() for name in part):
            picture(root / "food-101" / "images" / f"{name}.jpg")
        put(root / "food-101" / "meta" / f"{split}.json", json.dumps(names))


def dtd(root: Path) -> None:
    for split in ("train", "val", "test"):
        names = [f"{kind}/{kind}_{split}{at}.jpg" for kind in ("banded", "woven") for at in range(NUM)]
        for name in names:
            picture(root / "dtd" / "dtd" / "images" / name)
        put(root / "dtd" / "dtd" / "labels" / f"{split}1.txt", "\n".join(names) + "\n")


def aircraft(root: Path) -> None:
    base = root / "fgvc-aircraft-2013b" / "data"
    put(base / "variants.txt", "A330-200\nCessna 172\n")
    for split in ("train", "val", "test"):
        names = [(f"{split}{at}", ("A330-200", "Cessna 172")[at % 2]) for at in range(2 * NUM)]
        for name, _ in names:
            picture(base / "images" / f"{name}.jpg")
        put(base / f"images_variant_{split}.txt", "".join(f"{name} {variant}\n" for name, variant in names))


def gtsrb(root: Path) -> None:
    base, lines = root / "gtsrb", ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
    for at in range(2 * NUM):
        picture(base / "GTSRB" / "Training" / f"{at % 2:05d}" / f"{at:05d}.ppm")
        picture(base / "GTSRB" / "Final_Test" / "Images" / f"{at:05d}.ppm")
        lines.append(f"{at:05d}.ppm;32;24;5;5;20;20;{at % 2}")
    put(base / "GT-final_test.csv", "\n".join(lines) + "\n")


def imagenette(root: Path) -> None:
    for split in ("train", "val"):
        for wnid in ("n01440764", "n02102040"):
            for at in range(NUM):
                picture(root / "imagenette2" / split / wnid / f"{wnid}_{split}{at}.JPEG")


def eurosat(root: Path) -> None:
    for kind in ("Forest", "River"):
        for at in range(3 * NUM):
            picture(root / "eurosat" / "2750" / kind / f"{kind}_{at}.jpg")


COPIES: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "mnist": (mnist_like("MNIST"), ("0 - zero", "1 - one")),
    "fashion-mnist": (mnist_like("FashionMNIST"), ("T-shirt/top", "Trouser")),
    "kmnist": (mnist_like("KMNIST"), ("o", "ki")),
    "cifar10": (cifar10, ("plane", "car")),
    "cifar100": (cifar100, ("apple", "fish")),
    "svhn": (svhn, ("0", "9")),
    "stl10": (stl10, ("airplane", "bird")),
    "flowers102": (flowers102, ("pink primrose", "hard-leaved pocket orchid")),
    "oxford-pets": (oxford_pets, ("Bengal", "Pug")),
    "food101": (food101, ("apple_pie", "waffles")),
    "dtd": (dtd, ("banded", "woven")),
    "aircraft": (aircraft, ("A330-200", "Cessna 172")),
    "gtsrb": (gtsrb, ("0", "1")),
    "imagenette": (imagenette, ("tench", "English springer")),
    "eurosat": (eurosat, ("Forest", "River")),
}


@pytest.fixture
def any_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four sets torchvision compares checksums, which no tiny copy has."""
    for name in ("cifar", "svhn", "stl10", "flowers102"):
        module = torchvision.load(f"torchvision.datasets.{name}")
        monkeypatch.setattr(module, "check_integrity", lambda path, *_: Path(path).is_file())


@pytest.mark.parametrize("name", PUBLIC)
def test_a_listed_set_opens_and_is_read_whole(name: str, tmp_path: Path, any_content: None) -> None:
    build, classes = COPIES[name]
    build(tmp_path)
    dataset = open_dataset(name, root=tmp_path)
    used = np.unique(dataset.target().values)
    assert tuple(dataset.classes[at] for at in used) == classes
    assert set(dataset.splits) == {"train", "val", "test"}
    assert not len(prescan(dataset).bad)
    image = dataset.images.read(int(dataset.splits["test"][0]))
    assert image.dtype == np.uint8 and image.shape[2] == dataset.channels and image.std() > 5
    for split in ("train", "test"):
        assert set(dataset.target().values[dataset.splits[split]]) == set(used)


def test_the_colours_of_a_set_in_planes_are_right(tmp_path: Path, any_content: None) -> None:
    """SVHN and STL-10 keep one colour behind the other; STL-10 its columns first."""
    stl10(tmp_path)
    raw = np.fromfile(tmp_path / "stl10_binary" / "train_X.bin", np.uint8).reshape(-1, 3, 96, 96)
    dataset = open_dataset("stl10", root=tmp_path)
    assert np.array_equal(dataset.images.array[: 2 * NUM], raw.transpose(0, 3, 2, 1))


def test_gtsrb_is_read_as_its_files_are(tmp_path: Path) -> None:
    gtsrb(tmp_path)
    dataset = open_dataset("gtsrb", root=tmp_path)
    path = dataset.images.path(3)
    assert path.suffix == ".ppm" and np.array_equal(dataset.images.read(3), np.asarray(Image.open(path)))


def test_names_go_with_the_labels_that_are_there(tmp_path: Path) -> None:
    """Of a part of the pets torchvision lists the breeds that are there, and keeps the labels of all."""
    oxford_pets(tmp_path)
    for split in ("trainval", "test"):
        path = tmp_path / "oxford-iiit-pet" / "annotations" / f"{split}.txt"
        path.write_text(path.read_text().replace(" 2 2 1", " 6 2 1"))
    dataset = open_dataset("oxford-pets", root=tmp_path)
    names = [dataset.classes[label] for label in dataset.target().values]
    assert all(name.lower() in sample.lower() for name, sample in zip(names, dataset.ids, strict=True))
