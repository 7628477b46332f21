"""Volumes with label volumes: how they are read, how they lie, and what is done to their values."""

import sys

import numpy as np
import pytest

from striate.base.errors import DataError, SettingsError
from striate.data import open_dataset
from striate.data.check.check import check
from striate.data.geometry import Geometry
from striate.data.loader import Loader
from striate.data.sources.volume_files import labels_of, nifti_of, shape_of, values_of
from striate.data.sources.volume_images import levels_of
from striate.data.store import open_store, statistics
from striate.data.volume_geometry import VolumeGeometry

from .volume_data import RAS, case, decathlon

nibabel = pytest.importorskip("nibabel")


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


def test_the_decathlon_is_read_in_slices_from_feet_to_head(tmp_path):
    made = decathlon(tmp_path / "set")
    data = open_dataset(tmp_path / "set", task="segment")
    assert data.target().names == ("background", "shell", "core") and len(data) == 10
    assert sorted(len(part) for part in data.splits.values()) == [1, 2, 7]
    for index, name in enumerate(data.ids):
        values, labels = made[name]
        assert np.array_equal(data.target().read(index), labels.transpose(2, 1, 0))
        wanted = levels_of(values.transpose(2, 1, 0)[..., None])
        assert np.array_equal(data.images.read_samples(index, None, 16), wanted)
    assert any("voxels of 2 x 1 x 1 mm" in note for note in data.notes)
    assert not [finding for finding in check(data).items if "images" not in finding.text and finding.severity != "note"]


@pytest.mark.parametrize("axes", ["RAS", "LPS", "PIR", "SRA"])
def test_volumes_are_turned_to_one_orientation_and_labels_written_back_as_the_file_lies(tmp_path, axes):
    turns = nibabel.orientations
    values, labels = case(np.random.default_rng(1), (5, 6, 7))
    canonical = nibabel.Nifti1Image(values, RAS)
    turned = canonical.as_reoriented(turns.ornt_transform(turns.axcodes2ornt("RAS"), turns.axcodes2ornt(axes)))
    nibabel.save(turned, tmp_path / "a.nii.gz")
    assert "".join(nibabel.aff2axcodes(turned.affine)) == axes
    assert np.allclose(values_of(tmp_path / "a.nii.gz")[..., 0], values.transpose(2, 1, 0))
    found = shape_of(tmp_path / "a.nii.gz")
    assert found.size == (7, 6, 5) and found.spacing_mm == (2, 1, 1) and np.allclose(found.affine, RAS)
    nibabel.save(nifti_of(labels.transpose(2, 1, 0), tmp_path / "a.nii.gz"), tmp_path / "b.nii.gz")
    back = nibabel.load(tmp_path / "b.nii.gz")
    assert np.allclose(back.affine, turned.affine) and back.shape == turned.shape
    assert np.array_equal(nibabel.as_closest_canonical(back).get_fdata(), labels)
    assert np.array_equal(labels_of(tmp_path / "b.nii.gz"), labels.transpose(2, 1, 0))


def test_a_volume_has_the_same_levels_at_any_scale_of_its_values():
    values, _ = case(np.random.default_rng(2))
    first, other = (levels_of(scaled[..., None]) for scaled in (values, 37 * values + 1000))
    assert np.abs(first.astype(int) - other).max() <= 16  # of 65,535, from float32
    assert (first == 0).mean() == pytest.approx(0.005, abs=0.002) and first.max() == 65535


def test_a_box_holds_the_volume_in_its_middle_and_gives_it_back():
    rng, geometry = np.random.default_rng(3), VolumeGeometry((8, 8, 8), channels=2, depth=16)
    volume = rng.integers(0, 65535, (5, 12, 8, 2)).astype(np.uint16)
    stored = geometry.to_store(volume)
    assert stored.shape == (8, 8, 8, 2) and np.array_equal(stored[1:6], volume[:, 2:10])
    assert (stored[0] == 128 * 257).all()
    labels = rng.integers(0, 3, (5, 12, 8)).astype(np.uint8)
    way = geometry.way_back(5, 12, 8)
    back = way.mask(geometry.mask_to_store(labels))
    assert np.array_equal(back[way.is_seen], labels[way.is_seen]) and way.is_seen.mean() == pytest.approx(8 / 12)
    assert (back[~way.is_seen] == 255).all()
    assert Geometry.from_json(geometry.to_json()) == geometry


def test_batches_hold_whole_volumes_and_no_voxel_of_the_padding_has_a_class(tmp_path):
    made = decathlon(tmp_path / "set")
    data = open_dataset(tmp_path / "set", task="segment")
    assert data.usual.size_hw == (16, 32, 16)
    geometry = VolumeGeometry(data.usual.size_hw, channels=1, depth=16)
    store = open_store(data, geometry)
    mean, std = statistics(store, data.splits["train"])
    loader = Loader(store, data, "train", mean=mean, std=std, batch_size=2)
    seen = 0
    for batch in loader.batches(0):
        assert batch.images.shape[1:] == (1, 16, 32, 16) and batch.images.dtype.is_floating_point
        for image, mask, index in zip(batch.images, batch.targets["mask"], batch.index, strict=True):
            labels = made[data.ids[index]][1].transpose(2, 1, 0)
            way = geometry.way_back(*labels.shape)
            assert np.array_equal(way.mask(mask.numpy().astype(np.uint8)), labels)
            assert (mask == 255).sum() == mask.numel() - labels.size
            levels = levels_of(made[data.ids[index]][0].transpose(2, 1, 0)[..., None])
            wanted = (geometry.to_store(levels)[..., 0] / 65535 - mean[0]) / std[0]
            assert np.allclose(image[0].numpy(), wanted, atol=1e-4)
            seen += 1
    assert seen == len(data.splits["train"])


def test_labels_that_do_not_lie_as_their_volume_are_found(tmp_path):
    decathlon(tmp_path / "set")
    folder = tmp_path / "set" / "labelsTr"
    labels = nibabel.load(folder / "case_001.nii.gz")
    nibabel.save(nibabel.Nifti1Image(labels.get_fdata()[1:].astype(np.uint8), RAS), folder / "case_001.nii.gz")
    moved = RAS.copy()
    moved[0, 3] = 5
    other = nibabel.load(folder / "case_002.nii.gz").get_fdata().astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(other, moved), folder / "case_002.nii.gz")
    (folder / "case_003.nii.gz").write_bytes(b"no volume")
    with pytest.raises(DataError, match="cannot be read"):
        labels_of(folder / "case_003.nii.gz")
    (folder / "case_003.nii.gz").unlink()
    data = open_dataset(tmp_path / "set", task="segment")
    found = check(data)
    assert found.items[0].ids == ("imagesTr/case_001.nii.gz", "imagesTr/case_002.nii.gz")
    assert "labels are" in found.items[0].reasons[0] and "affines" in found.items[0].reasons[1]
    assert "1 volume without labels" in data.left_out[0].reason and data.left_out[0].names == ("case_003.nii.gz",)


def test_numbers_that_are_no_listed_class_are_named(tmp_path):
    decathlon(tmp_path / "set")
    path = tmp_path / "set" / "labelsTr" / "case_004.nii.gz"
    labels = nibabel.load(path).get_fdata().astype(np.uint8)
    labels[:3] = 7
    nibabel.save(nibabel.Nifti1Image(labels, RAS), path)
    found = [one for one in check(open_dataset(tmp_path / "set", task="segment")).items if one.kind == "unknown_labels"]
    assert [one.ids for one in found] == [("imagesTr/case_004.nii.gz",)]
    assert f"({(labels == 7).mean():.0%} of it)" in found[0].text and found[0].severity == "warning"
    (tmp_path / "set" / "dataset.json").write_text('{"labels": ["background", "shell", "core"]}')
    with pytest.raises(DataError, match="'labels' is no object"):
        open_dataset(tmp_path / "set", task="segment")


def test_arrays_and_folders_of_frames_are_volumes_too(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(4)
    for number in range(8):
        values, labels = case(rng, (6, 7, 8))
        for sub, array in (("images", values), ("labels", labels)):
            (tmp_path / "arrays" / sub).mkdir(parents=True, exist_ok=True)
            np.save(tmp_path / "arrays" / sub / f"{number}.npy", array)
        for sub, array in (("volumes", (values / 2).astype(np.uint8)), ("labels", labels)):
            folder = tmp_path / "frames" / sub / f"case{number}"
            folder.mkdir(parents=True)
            for at, frame in enumerate(array):
                Image.fromarray(frame).save(folder / f"{at}.png")
    arrays, frames = (open_dataset(tmp_path / name, task="segment") for name in ("arrays", "frames"))
    for data in (arrays, frames):
        assert data.target().names == ("background", "1", "2") and data.usual.size_hw == (16, 16, 16)
        assert np.array_equal(np.bincount(data.target().read(7).ravel()), np.bincount(labels.ravel()))
        assert data.images.read_samples(7, None, 16).shape == (6, 7, 8, 1)
    assert np.array_equal(frames.target().read(7), labels)


def test_without_nibabel_the_error_says_what_to_install(tmp_path, monkeypatch):
    decathlon(tmp_path / "set", 3)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(DataError, match=r"striate\[volumes\]"):
        open_dataset(tmp_path / "set", task="segment")


def test_volumes_are_never_resampled(tmp_path):
    from striate.run.geometry import choose_geometry
    from striate.run.recipe import Recipe

    decathlon(tmp_path / "set")
    data = open_dataset(tmp_path / "set", task="segment")
    cube = choose_geometry(data, Recipe.model_validate({"data": {"size": 24}}))
    assert isinstance(cube, VolumeGeometry) and cube.size_hw == (24, 24, 24) and cube.text == "24x24x24"
    with pytest.raises(SettingsError, match="never resampled"):
        choose_geometry(data, Recipe.model_validate({"data": {"fit": "squash"}}))


@pytest.mark.parametrize("content", [b"PK\x03\x04" + b"x" * 200, None])
def test_a_broken_archive_is_no_bug(tmp_path, content):
    path = tmp_path / "case.npz"
    if content is None:
        np.savez_compressed(path, a=np.random.default_rng(0).normal(size=(16, 16, 16)))
        whole = bytearray(path.read_bytes())
        whole[500:3000] = b"z" * 2500
        content = bytes(whole)
    path.write_bytes(content)
    with pytest.raises(DataError, match="volume cannot be read"):
        values_of(path)


@pytest.mark.parametrize(
    ("names", "text"), [("", r"0 arrays in a file \(none\)"), ("ab", r"2 arrays in a file \(a, b\)")]
)
def test_an_archive_holds_one_array(tmp_path, names, text):
    np.savez(tmp_path / "case.npz", **{name: np.zeros((4, 4, 4)) for name in names})
    with pytest.raises(DataError, match=text):
        values_of(tmp_path / "case.npz")


@pytest.mark.parametrize("number", [0.0, np.nan])
def test_an_affine_that_says_nothing_is_refused(tmp_path, number):
    image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4))
    image.set_qform(None, 0)
    nibabel.save(image, tmp_path / "case.nii")
    content = bytearray((tmp_path / "case.nii").read_bytes())
    content[280:328] = np.full(12, number, np.float32).tobytes()  # srow_x, srow_y, srow_z of the NIfTI-1 header
    (tmp_path / "case.nii").write_bytes(content)
    with pytest.raises(DataError, match="affine"):
        shape_of(tmp_path / "case.nii")


def test_labels_without_a_volume_are_said(tmp_path):
    decathlon(tmp_path / "set")
    gone = sorted((tmp_path / "set" / "imagesTr").iterdir())[0]
    gone.unlink()
    (left_out,) = open_dataset(tmp_path / "set", task="segment").left_out
    assert left_out.names == (gone.name,) and "1 label volume without its volume" in left_out.text


def test_an_array_under_the_name_of_an_archive_is_read(tmp_path):
    values = np.arange(60.0).reshape(3, 4, 5)
    np.save(tmp_path / "case.npy", values)
    assert np.array_equal(values_of((tmp_path / "case.npy").rename(tmp_path / "case.npz"))[..., 0], values)
