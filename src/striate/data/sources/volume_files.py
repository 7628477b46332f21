"""Volumes in files: NIfTI, `.npy`, `.npz`, or a folder with a frame for each depth.

A volume is (D, H, W, C): from feet to head, from back to front, from left to right, where the file says how it lies;
else the file's own axes.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.base.text import plural

from ..decode import decode_samples, read_bytes
from .names import natural_key

Array = npt.NDArray[Any]
NIFTI, ARRAYS = (".nii", ".nii.gz"), (".npy", ".npz")
FRAMES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
MAX_SIDE = 2048


@dataclass(frozen=True)
class Shape:
    """What is known of a volume without its values.

    Args:
        size: (D, H, W) voxels.
        channels: numbers a voxel.
        spacing_mm: between voxels along D, H and W; None where the file does not say.
        affine: (4, 4), from voxels (W, H, D) to millimetres; None likewise.
    """

    size: tuple[int, int, int]
    channels: int = 1
    spacing_mm: tuple[float, float, float] | None = None
    affine: tuple[tuple[float, ...], ...] | None = None


@dataclass(frozen=True)
class Format:
    """How volumes of a kind of file are read: `shape` by their header, `values` (D, H, W, C) whole."""

    shape: Callable[[Path], Shape]
    values: Callable[[Path], Array]


def suffix_of(path: Path) -> str:
    """Return the ending of a volume's file; "" of a folder, or of a file that is none.

    Example:
        >>> suffix_of(Path("a/case.1.NII.GZ"))
        '.nii.gz'
    """
    name = path.name.lower()
    return next((ending for ending in (*NIFTI[::-1], *ARRAYS) if name.endswith(ending)), "")


def stem_of(path: Path) -> str:
    """Return the name of a case: its file's without the ending.

    Example:
        >>> stem_of(Path("imagesTr/case.1.nii.gz"))
        'case.1'
    """
    return path.name[: len(path.name) - len(suffix_of(path))]


def shape_of(path: Path) -> Shape:
    """Return what a volume's header says.

    Raises:
        DataError: it cannot be read, or is no volume.
    """
    found = _format(path).shape(path)
    if not all(1 <= side <= MAX_SIDE for side in found.size):
        size = "x".join(map(str, found.size))
        raise DataError(f"a volume of {size} voxels", where=path, fix=f"use sides of 1 to {MAX_SIDE}")
    return found


def values_of(path: Path) -> Array:
    """Return a volume (D, H, W, C) in the type of its file.

    Raises:
        DataError: it cannot be read, or holds numbers that are not finite.
    """
    values = _format(path).values(path)
    if not np.isfinite(values).all():
        raise DataError("a volume holds numbers that are not finite", where=path, fix="replace them, or remove it")
    return values


def labels_of(path: Path) -> npt.NDArray[np.uint8]:
    """Return a label volume (D, H, W): the number of a class for each voxel, as it stands in the file.

    Raises:
        DataError: it cannot be read, or holds something else than whole numbers of 0 to 255.
    """
    values = _frames(path, 8) if path.is_dir() else values_of(path)
    if values.shape[3] > 1 or values.min() < 0 or values.max() > 255 or (values != np.rint(values)).any():
        raise DataError("a label volume holds no class numbers", where=path, fix="save whole numbers of 0 to 255")
    return np.ascontiguousarray(values[..., 0].astype(np.uint8))


def _format(path: Path) -> Format:
    return FORMATS["frames" if path.is_dir() else suffix_of(path)]


def _nibabel(path: Path) -> Any:
    """The library, or an error that says how to get it."""
    try:
        import nibabel
    except ImportError as problem:
        fix = 'install it: pip install "striate[volumes]"'
        raise DataError("NIfTI files need nibabel, which is not installed", where=path, fix=fix) from problem
    return nibabel


def nifti(path: Path) -> Any:
    """Return an opened NIfTI file, as it lies in the file.

    Raises:
        DataError: nibabel is not installed, or the file cannot be read.
    """
    library = _nibabel(path)
    try:
        return library.load(path)
    except Exception as problem:  # nibabel has errors of its own for each way a header can be broken
        raise _unreadable(path, problem) from problem


def _unreadable(path: Path, problem: Exception) -> DataError:
    said = str(problem).strip().split("\n")[0] or type(problem).__name__
    return DataError(f"volume cannot be read ({said})", where=path, fix="replace or remove it")


def _turns(image: Any, path: Path) -> Array:
    """How the axes of a file lie: (3, 2), which of left-right, back-front, feet-head each is, and -1 if turned."""
    affine = np.asarray(image.affine)
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        fix = "write the file again with the voxels' sides in millimetres in its affine"
        raise DataError("the affine of a NIfTI file does not say how it lies", where=path, fix=fix)
    return np.asarray(_nibabel(path).io_orientation(affine))


def _nifti_shape(path: Path) -> Shape:
    image = nifti(path)
    if not 3 <= len(image.shape) <= 4 or (len(image.shape) == 4 and image.shape[3] > 512):
        what = f"a NIfTI file of shape {'x'.join(map(str, image.shape))}"
        raise DataError(what, where=path, fix="use volumes of three axes, or four where the last is the channel")
    turns = _turns(image, path)
    order = np.argsort(turns[:, 0])  # the file's axis that becomes x, y, z
    x, y, z = (int(image.shape[axis]) for axis in order)
    spacing = tuple(float(image.header.get_zooms()[axis]) for axis in order[::-1])
    affine = image.affine @ _nibabel(path).orientations.inv_ornt_aff(turns, image.shape[:3])
    rows = tuple(tuple(float(one) for one in row) for row in affine)
    channels = int(image.shape[3]) if len(image.shape) == 4 else 1
    return Shape((z, y, x), channels, (spacing[0], spacing[1], spacing[2]), rows)


def _nifti_values(path: Path) -> Array:
    image = nifti(path)
    try:
        values = np.asanyarray(image.dataobj)
    except Exception as problem:  # a file that ends too early
        raise _unreadable(path, problem) from problem
    turned: Array = _nibabel(path).orientations.apply_orientation(values, _turns(image, path))
    return turned.reshape(*turned.shape[:3], -1).transpose(2, 1, 0, 3)


def nifti_of(labels: npt.NDArray[np.uint8], like: Path) -> Any:
    """Return a label volume (D, H, W) as a NIfTI image that lies as another file does, with its affine.

    Raises:
        DataError: that file cannot be read, or is of another size.
    """
    library, source = _nibabel(like), nifti(like)
    turns = library.orientations
    back = turns.ornt_transform(turns.axcodes2ornt("RAS"), _turns(source, like))
    values: Array = turns.apply_orientation(labels.transpose(2, 1, 0), back)
    if values.shape != source.shape[:3]:
        raise DataError("labels of another size than the volume", where=like, fix="predict this volume")
    made = library.Nifti1Image(np.ascontiguousarray(values, np.uint8), source.affine)
    made.header.set_xyzt_units("mm")
    return made


def _array(path: Path) -> Array:
    try:
        found = _only(path) if suffix_of(path) == ".npz" else np.load(path, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as problem:
        raise _unreadable(path, problem) from problem
    if found.ndim not in (3, 4) or found.dtype.kind not in "buif":
        what = f"an array {'x'.join(map(str, found.shape))} of {found.dtype}"
        raise DataError(what, where=path, fix="save numbers (D, H, W) or (D, H, W, C)")
    return np.asarray(found if found.ndim == 4 else found[..., None])


def _only(path: Path) -> Array:
    """The one array of an archive; the file is opened here, as numpy leaves a broken one open."""
    with path.open("rb") as file:
        arrays = np.load(file, allow_pickle=False)
        if isinstance(arrays, np.ndarray):  # a .npy file of another name
            return arrays
        names = arrays.files
        if len(names) != 1:
            what = f"{plural(len(names), 'array')} in a file ({', '.join(names[:4]) or 'none'})"
            raise DataError(what, where=path, fix="save one array (D, H, W) or (D, H, W, C) a file")
        return np.asarray(arrays[names[0]])


def _array_shape(path: Path) -> Shape:
    depth, height, width, channels = _array(path).shape
    return Shape((depth, height, width), channels)


def frame_files(folder: Path) -> list[Path]:
    """Return the frames of a volume in their order: that of the numbers in their names."""
    files = (path for path in folder.iterdir() if path.suffix.lower() in FRAMES and not path.name.startswith("."))
    return sorted(files, key=lambda path: natural_key(path.name))


def _frame(path: Path, depth: int = 16) -> Array:
    return decode_samples(read_bytes(path), depth, name=str(path), channels=1)[0]


def _frames_shape(folder: Path) -> Shape:
    files = frame_files(folder)
    if not files:
        raise DataError("a folder without frames", where=folder, fix="remove it")
    height, width, channels = _frame(files[0]).shape
    return Shape((len(files), height, width), channels)


def _frames(folder: Path, depth: int = 16) -> Array:
    frames = [_frame(path, depth) for path in frame_files(folder)]
    if len(sizes := {frame.shape for frame in frames}) > 1:
        said = " and ".join("x".join(map(str, size[:2])) for size in sorted(sizes)[:2])
        raise DataError(f"frames of different sizes ({said})", where=folder, fix="use frames of one size")
    return np.stack(frames)


FORMATS = {
    **dict.fromkeys(NIFTI, Format(_nifti_shape, _nifti_values)),
    **dict.fromkeys(ARRAYS, Format(_array_shape, _array)),
    "frames": Format(_frames_shape, _frames),
}
