"""Any number of channels and sixteen bits: read exactly, stored, augmented and normalised as brute force says."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from striate.base.errors import DataError, SettingsError
from striate.base.progress import Progress
from striate.data import open_dataset
from striate.data.augment import (
    STRENGTHS,
    Blur,
    Erase,
    Hue,
    Jpeg,
    Mixup,
    Noise,
    Perspective,
    Pipeline,
    Posterise,
    RandAugment,
    Resolution,
    Sharpness,
)
from striate.data.augment.apply import Normal, apply_cpu
from striate.data.augment.device import apply_torch
from striate.data.augment.suits import refuse_unsuited, suiting
from striate.data.bands import in_depth, shown_bands
from striate.data.decode import decode, decode_samples, header, read_bytes
from striate.data.geometry import Geometry, coloured
from striate.data.levels import FULL
from striate.data.loader import Loader
from striate.data.sources.arrays import from_arrays
from striate.data.store import open_store, statistics
from striate.predict.reading import read_image

QUIET = Progress("quiet")


def write_tiff(
    path: Path, image: np.ndarray, *, is_planar: bool = False, is_packed: bool = False, has_differences: bool = False,
    order: str = "<", names: tuple[str, ...] = (), is_rgb: bool = False,
) -> None:  # fmt: skip
    """A TIFF of (H, W, C) bands in strips of eight rows, by the specification (Adobe TIFF 6.0), nothing of ours."""
    height, width, count = image.shape
    stored = image.copy()
    if has_differences:
        stored[:, 1:] = image[:, 1:] - image[:, :-1]
    planes = [stored[..., band : band + 1] for band in range(count)] if is_planar else [stored]
    kind = np.dtype(f"{order}u{image.itemsize}")
    strips = [plane[top : top + 8].astype(kind).tobytes() for plane in planes for top in range(0, height, 8)]
    strips = [zlib.compress(strip) for strip in strips] if is_packed else strips
    places = np.cumsum([8, *map(len, strips)])[:-1].tolist()
    names_text = "".join(
        f'<Item name="DESCRIPTION" sample="{band}" role="description">{name}</Item>' for band, name in enumerate(names)
    )
    text = f"<GDALMetadata>{names_text}</GDALMetadata>\0".encode() if names else b""
    entries = {
        256: ("L", [width]), 257: ("L", [height]), 258: ("H", [8 * image.itemsize] * count),
        259: ("H", [8 if is_packed else 1]), 262: ("H", [2 if is_rgb else 1]), 273: ("L", places), 277: ("H", [count]),
        278: ("L", [8]), 279: ("L", list(map(len, strips))), 284: ("H", [2 if is_planar else 1]),
        317: ("H", [2 if has_differences else 1]), 338: ("H", [0] * (count - (3 if is_rgb else 1))),
        **({42112: ("s", [text])} if names else {}),
    }  # fmt: skip
    body = b"".join(strips)
    start = 8 + len(body) + len(body) % 2
    room, rows, values = start + 2 + 12 * len(entries) + 4, b"", b""
    for tag, (form, numbers) in sorted(entries.items()):
        packed = numbers[0] if form == "s" else struct.pack(f"{order}{len(numbers)}{form}", *numbers)
        code, length = {"H": 3, "L": 4, "s": 2}[form], len(packed) if form == "s" else len(numbers)
        inline = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack(f"{order}L", room + len(values))
        values += b"" if len(packed) <= 4 else packed + bytes(len(packed) % 2)
        rows += struct.pack(f"{order}HHL", tag, code, length) + inline
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}L", start)
    directory = struct.pack(f"{order}H", len(entries)) + rows + bytes(4) + values
    path.write_bytes(head + body + bytes(len(body) % 2) + directory)


def noise(channels: int, kind=np.uint8, hw=(24, 21), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(kind).max, (*hw, channels), kind, endpoint=True)


def smooth(channels: int, hw=(40, 56), seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 65536, (6, 7, channels)).astype(np.float32)
    parts = [cv2.resize(coarse[..., band], hw[::-1], interpolation=cv2.INTER_CUBIC) for band in range(channels)]
    return np.stack(parts, axis=2).clip(0, 65535).astype(np.uint16)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [2, 4, 5, 13])
@pytest.mark.parametrize(
    "layout",
    [{}, {"is_planar": True}, {"is_packed": True}, {"is_packed": True, "has_differences": True}, {"order": ">"},
     {"is_packed": True, "has_differences": True, "is_planar": True, "order": ">"}],
)  # fmt: skip
def test_a_tiff_of_bands_is_read_exactly(tmp_path, layout, channels, kind):
    image = noise(channels, kind)
    write_tiff(tmp_path / "a.tif", image, **layout)
    found, complaint = decode_samples(
        read_bytes(tmp_path / "a.tif"), 8 * image.itemsize, name="a.tif", channels=channels
    )  # fmt: skip
    assert complaint == ""
    np.testing.assert_array_equal(found, image)
    np.testing.assert_array_equal(decode(tmp_path / "a.tif"), in_depth(image, 8))
    first = decode_samples(read_bytes(tmp_path / "a.tif"), 8 * image.itemsize, name="a.tif", channels=2)[0]
    np.testing.assert_array_equal(first, image[..., :2])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [1, 5, 8, 32773, 32946])  # none, LZW, deflate, packbits, deflate's older number
def test_what_libtiff_writes_is_read_exactly(tmp_path, compression, kind):
    image, path = noise(4, kind, (70, 33)), tmp_path / "a.tif"
    assert cv2.imwrite(str(path), image[..., [2, 1, 0, 3]], [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    np.testing.assert_array_equal(decode_samples(read_bytes(path), 8 * image.itemsize, name="a", channels=4)[0], image)


def test_a_damaged_or_unknown_tiff_of_bands_is_refused_in_words(tmp_path):
    write_tiff(tmp_path / "a.tif", noise(5), is_packed=True)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(content[:8] + bytes(200) + content[208:])
    with pytest.raises(DataError):
        decode(tmp_path / "cut.tif", channels=5)
    with pytest.raises(DataError, match="5 channels, 7 are wanted"):
        decode(tmp_path / "a.tif", channels=7)
    (tmp_path / "cut.tif").write_bytes(content[:-60])
    with pytest.raises(DataError):
        decode(tmp_path / "cut.tif", channels=5)


def test_a_folder_of_bands_is_opened_with_their_number_and_names(tmp_path):
    names = ("B2", "B3", "B4", "B8", "B11")
    for number in range(8):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        write_tiff(tmp_path / "ab"[number % 2] / f"{number}.tif", noise(5, seed=number), names=names)
    dataset = open_dataset(tmp_path)
    assert dataset.channels == 5 and dataset.bands == names
    assert any("5 channels (B2, B3, B4, B8, B11); bands 1 to 3 are shown" in note for note in dataset.notes)
    np.testing.assert_array_equal(dataset.images.read(0), noise(5, seed=0))
    assert open_dataset(tmp_path, channels=3).channels == 3
    with pytest.raises(SettingsError, match="give 1 to 5"):
        open_dataset(tmp_path, channels=6)


def test_a_fourth_band_beside_rgb_is_said_and_read_when_asked_for(tmp_path):
    for number in range(8):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        write_tiff(tmp_path / "ab"[number % 2] / f"{number}.tif", noise(4, seed=number), is_rgb=True)
    plain = open_dataset(tmp_path)
    assert plain.channels == 3 and any("--channels 4 reads them" in note for note in plain.notes)
    np.testing.assert_array_equal(plain.images.read(0), noise(4)[..., :3])
    np.testing.assert_array_equal(open_dataset(tmp_path, channels=4).images.read(0), noise(4))


@pytest.mark.parametrize("channels", [2, 4])
def test_folders_of_bands_of_one_size_are_no_masks(tmp_path, channels):
    for number in range(8):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        write_tiff(tmp_path / "ab"[number % 2] / f"{number}.tif", noise(channels, np.uint16, seed=number))
    dataset = open_dataset(tmp_path)
    assert dataset.channels == channels and dataset.classes == ("a", "b")


@pytest.mark.parametrize("channels", [2, 4, 13])
def test_arrays_keep_their_bands_whichever_axis_they_are_on(channels):
    images = np.stack([noise(channels, seed=seed) for seed in range(4)])
    labels = np.array([0, 1, 0, 1])
    for given in (images, np.ascontiguousarray(images.transpose(0, 3, 1, 2))):
        dataset = from_arrays(given, labels)
        assert dataset.channels == channels
        np.testing.assert_array_equal(dataset.images.array, images)


def test_names_of_bands_must_be_as_many(tmp_path):
    images = np.stack([noise(4, seed=seed) for seed in range(4)])
    np.savez(tmp_path / "a.npz", images=images, labels=np.array([0, 1, 0, 1]), bands=np.array(["r", "g", "b"]))
    with pytest.raises(DataError, match="3 names of bands for 4 channels"):
        open_dataset(tmp_path / "a.npz")


def test_what_is_shown_of_bands_is_grey_or_the_first_three():
    assert [shown_bands(noise(channels)).shape[2] for channels in (1, 2, 3, 4, 13)] == [1, 1, 3, 3, 3]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("has", [1, 2, 3, 4, 13])
@pytest.mark.parametrize("wanted", [1, 2, 3, 4, 13])
def test_other_numbers_of_channels_are_grey_repeated_luma_or_the_first_bands(has, wanted, kind):
    image = noise(has, kind)
    if (wanted > has and (has, wanted) != (1, 3)) or (has, wanted) == (3, 2):
        with pytest.raises(DataError, match=f"an image of {has} channels?, {wanted} are wanted"):
            coloured(image, wanted)
    elif (has, wanted) == (3, 1):
        assert np.abs(coloured(image, 1)[..., 0] - image @ [0.299, 0.587, 0.114]).max() <= 2  # its weights have 14 bits
    else:
        np.testing.assert_array_equal(
            coloured(image, wanted), image[..., [0, 0, 0] if has == 1 < wanted else range(wanted)]
        )


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_sixteen_bits_are_stored_and_normalised_as_float64_says(channels):
    deep = np.stack([smooth(channels, seed=seed) for seed in range(12)])
    dataset = from_arrays(deep, np.arange(12) % 2)
    dataset = dataset.with_splits({"train": np.arange(8), "val": np.arange(8, 10), "test": np.arange(10, 12)})
    store = open_store(dataset, Geometry((40, 56), channels=channels, depth=16), QUIET)
    np.testing.assert_array_equal(store.images, deep)
    mean, std = statistics(store, np.arange(8))
    whole = deep[:8].reshape(-1, channels) / 65535
    np.testing.assert_allclose(mean, whole.mean(0), rtol=1e-6)
    np.testing.assert_allclose(std, whole.std(0), rtol=1e-6)
    loader = Loader(store, dataset, "test", mean=mean, std=std, batch_size=2)
    images = next(iter(loader.batches(0))).images.permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(images, (deep[10:] / 65535 - mean) / std, atol=2e-5)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_resident_store_of_sixteen_bits_gives_the_batches_of_a_cpu(device):
    deep = np.stack([smooth(5, seed=seed) for seed in range(6)])
    dataset = from_arrays(deep, np.arange(6) % 2).with_splits({"train": np.arange(6)})
    store = open_store(dataset, Geometry((40, 56), channels=5, depth=16), QUIET)
    options = {"mean": [0.5] * 5, "std": [0.25] * 5, "batch_size": 4, "shuffle": True}
    there, resident = (
        Loader(store, dataset, "train", device=device, **options),
        torch.tensor(store.images, device=device),
    )
    for batch in Loader(store, dataset, "train", **options).batches(0):
        plan = there.pipeline.matrices(np.zeros((len(batch), 0)), (40, 56), (40, 56), np.zeros((len(batch), 5)))
        other = there._on_device(resident, batch.index, plan)
        torch.testing.assert_close(other.cpu(), batch.images, atol=1e-5, rtol=0)


def test_a_stored_image_of_sixteen_bits_is_what_torch_makes_of_its_numbers():
    deep = smooth(4, (90, 70))
    stored = Geometry((30, 30), "squash", channels=4, depth=16).to_store(deep)
    numbers = torch.from_numpy(deep.astype(np.float64)).permute(2, 0, 1)[None]
    theirs = torch.nn.functional.interpolate(numbers, (30, 30), mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    assert stored.dtype == np.uint16 and np.abs(stored - theirs.numpy()).max() <= 1
    flat = Geometry((20, 10), "letterbox", channels=4, depth=16).to_store(np.zeros((20, 5, 4), np.uint16))
    assert set(np.unique(flat)) == {0, 128 * 257}


def test_eight_bits_in_sixteen_and_back_are_themselves():
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    np.testing.assert_array_equal(in_depth(in_depth(every, 16), 8), every)
    assert in_depth(every, 16).max() == 65535


def test_sixteen_bits_of_files_keep_levels_alpha_and_luma(tmp_path):
    deep = noise(4, np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), deep[..., [2, 1, 0, 3]])
    data, opaque = (tmp_path / "a.png").read_bytes(), deep[..., 3:] / 65535
    expected = deep[..., :3] * opaque + 65535 * (1 - opaque)
    found = decode_samples(data, 16, name="a.png", channels=3)[0]
    assert found.dtype == np.uint16 and np.abs(found - expected).max() <= 1
    grey = decode_samples(data, 16, name="a.png", channels=1)[0][..., 0]
    assert np.abs(grey - expected @ [0.299, 0.587, 0.114]).max() <= 2
    cv2.imwrite(str(tmp_path / "b.png"), deep[..., 0])
    stretched = decode_samples((tmp_path / "b.png").read_bytes(), 16, name="b.png", levels=(1000, 30_000))[0][..., 0]
    wanted = (deep[..., 0].astype(float).clip(1000, 30_000) - 1000) / 29_000 * 65535
    assert np.abs(stretched - wanted).max() <= 1


@pytest.mark.parametrize(
    ("channels", "kind"), [(2, np.uint8), (4, np.uint8), (13, np.uint8), (3, np.uint16), (13, np.uint16)]
)
@pytest.mark.parametrize(
    "ops",
    [STRENGTHS["medium"], STRENGTHS["strong"], (Perspective(p=1), Erase(p=1)), (Mixup(),), (Blur(p=1),),
     (Resolution(p=1), Sharpness()), (Noise(p=1),)],
)  # fmt: skip
def test_a_cpu_a_gpu_and_each_band_alone_agree(ops, channels, kind):
    images = np.stack([smooth(channels, seed=seed) for seed in range(6)])
    images = images if kind == np.uint16 else (images >> 8).astype(np.uint8)
    pipeline = Pipeline(suiting(ops, channels, 16 if kind == np.uint16 else 8))
    means = images.mean((1, 2)) / (257 if kind == np.uint16 else 1)
    plan = pipeline.matrices(pipeline.draw(6, 0, 0), (40, 56), (36, 48), means)
    mean, std = [0.5] * channels, [0.25] * channels
    ours = apply_cpu(images, plan, normal=Normal.of(mean, std, (36, 48)))
    other = apply_torch(torch.from_numpy(images), plan, torch.tensor(mean), torch.tensor(std)).permute(0, 2, 3, 1)
    assert np.quantile(np.abs(ours - other.numpy()) * 255 * 0.25, 0.99) <= 2.5
    if kind == np.uint16:  # and within a level of what eight bits give, but finer
        eight = apply_cpu(in_depth(images, 8), plan, normal=Normal.of(mean, std, (36, 48)))
        assert np.quantile(np.abs(ours - eight) * 255 * 0.25, 0.99) <= 3
        assert plan.mix is not None or len(np.unique(ours)) > 3 * len(np.unique(eight))


def test_operations_on_colours_and_on_whole_levels_ask_for_them():
    hue, posterise, policy, jpeg = Hue(), Posterise(), RandAugment(), Jpeg()
    assert suiting([hue, posterise, policy, jpeg], 3, 8) == (hue, posterise, policy, jpeg)
    assert suiting([hue, posterise, policy, jpeg], 4, 8) == (posterise,)
    assert suiting([hue, posterise, policy, jpeg], 3, 16) == (hue,)
    with pytest.raises(SettingsError, match="leave out posterise, randaugment and jpeg"):
        refuse_unsuited([posterise, policy, jpeg], 1, 16)


def test_the_header_tells_bands(tmp_path):
    write_tiff(tmp_path / "a.tif", noise(13), names=tuple(f"B{band}" for band in range(13)))
    probe = header(tmp_path / "a.tif")
    assert (probe.channels, probe.mode, probe.size_hw) == (13, "13 bands", (24, 21)) and probe.band_names[12] == "B12"


def test_a_run_of_fewer_bands_says_which_it_reads(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(8):
            write_tiff(tmp_path / "set" / name / f"{number}.tif", noise(2, seed=number + 9 * (name == "b")))
    assert any("read as band 1 of 2" in note for note in open_dataset(tmp_path / "set", channels=1).notes)
    doubts = read_image(tmp_path / "set" / "a" / "0.tif", "", Geometry((24, 21), channels=1), FULL, None)[1]
    assert [one.what for one in doubts] == ["read is band 1 of 2, as the run takes no more"]
    assert not read_image(tmp_path / "set" / "a" / "0.tif", "", Geometry((24, 21), channels=2), FULL, None)[1]
