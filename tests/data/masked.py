"""Small folders of images with masks, in the layouts that people have."""

from pathlib import Path

import numpy as np
from pictures import photo
from PIL import Image

SIZE_HW = (48, 64)
PALETTE = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]], np.uint8)


def areas(seed: int, levels: int = 4) -> np.ndarray:
    """Return numbers in areas (H, W), as a mask has them."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(SIZE_HW, np.uint8)
    for level in range(1, levels):
        top, left = rng.integers(0, 24, 2)
        mask[top : top + 20, left : left + 26] = level
    return mask


def put_photos(folder: Path, names: list[str], first_seed: int = 0, grey: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        picture = photo(first_seed + number, SIZE_HW)
        (picture.convert("L") if grey else picture).save(folder / name)


def put_masks(folder: Path, names: list[str], how: str = "L", quality: int = 90) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        mask = areas(number, 2 if how == "binary" else 4)
        if how == "RGB":
            picture = Image.fromarray(PALETTE[mask])
        elif how == "P":
            picture = Image.fromarray(mask)
            picture.putpalette(PALETTE.tobytes())
        elif how == "16":
            picture = Image.fromarray(mask.astype(np.uint16))
        else:
            picture = Image.fromarray(mask * 255 if how == "binary" else mask)
        picture.save(folder / name, **({"quality": quality} if name.endswith("jpg") else {}))


def numbered(suffix: str, count: int = 6) -> list[str]:
    return [f"{index:03d}{suffix}" for index in range(count)]


def camvid(root: Path) -> None:
    for split in ("train", "val", "test"):
        put_photos(root / split, numbered(".jpg"))
        put_masks(root / f"{split}annot", numbered(".png"))


def in_splits(root: Path) -> None:
    for split in ("train", "val"):
        put_photos(root / split / "images", numbered(".png"))
        put_masks(root / split / "masks", numbered(".png"), "P")


def colours(root: Path) -> None:
    put_photos(root / "701_StillsRaw_full", numbered(".png"))
    put_masks(root / "LabeledApproved_full", numbered("_L.png"), "RGB")


def carvana(root: Path) -> None:
    put_photos(root / "train", numbered(".jpg"))
    put_masks(root / "train_masks", numbered("_mask.gif"), "binary")


def jpeg_masks(root: Path) -> None:
    put_photos(root / "images", numbered(".jpg"))
    put_masks(root / "masks", numbered(".jpg"), "binary")


def medical(root: Path) -> None:
    put_photos(root / "x", numbered(".png"), grey=True)
    put_masks(root / "y", numbered(".png"), "binary")


def instances(root: Path) -> None:
    put_photos(root / "images", numbered(".png"))
    put_masks(root / "instances", numbered(".png"), "16")


def cityscapes(root: Path) -> None:
    for city in ("aachen", "bremen"):
        names = [f"{city}_{index:06d}_000019" for index in range(4)]
        put_photos(root / "leftImg8bit" / "train" / city, [f"{name}_leftImg8bit.png" for name in names])
        for kind, how in (("color", "RGB"), ("labelIds", "L")):
            put_masks(root / "gtFine" / "train" / city, [f"{name}_gtFine_{kind}.png" for name in names], how)


def among_the_classes(root: Path) -> None:
    for seed, name in enumerate(("benign", "malignant")):
        put_photos(root / name, [f"{name} ({index}).png" for index in range(6)], 10 * seed, grey=True)
        put_masks(root / name, [f"{name} ({index})_mask.png" for index in range(6)], "binary")


def beside_the_classes(root: Path) -> None:
    for seed, name in enumerate(("cat", "dog")):
        put_photos(root / name, [f"{name}{index}.jpg" for index in range(6)], 10 * seed)
        put_masks(root / "masks", [f"{name}{index}.png" for index in range(6)])


def a_folder_a_sample(root: Path) -> None:
    for number in range(4):
        put_photos(root / f"sample{number}" / "images", [f"sample{number}.png"], number)
        put_masks(root / f"sample{number}" / "masks", [f"{number}{index}ab.png" for index in range(3)], "binary")
