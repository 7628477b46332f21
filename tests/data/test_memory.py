"""Datasets of what a program holds: arrays, tables and PyTorch datasets say what the same images in a folder say."""

import numpy as np
import pytest
import torch
from PIL import Image

import striate as st
from striate.base.errors import DataError, SettingsError

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 8, 10, 3), np.uint8)
NAMES = np.array(["cat", "dog"] * 20)


def pixels_of(data: object) -> np.ndarray:
    return np.stack([data.images.read(index) for index in range(len(data))])


@pytest.mark.parametrize(
    "images",
    [PIXELS, list(PIXELS), PIXELS.transpose(0, 3, 1, 2), torch.from_numpy(PIXELS), PIXELS / 255],
    ids=["last", "list", "first", "tensor", "floats"],
)
def test_arrays_are_images(images):
    data = st.from_arrays(images, NAMES)
    np.testing.assert_array_equal(pixels_of(data), PIXELS)
    assert data.classes == ("cat", "dog") and data.target().values.tolist() == [0, 1] * 20
    assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 28, "val": 6, "test": 6}
    assert sorted(np.concatenate(list(data.splits.values())).tolist()) == list(range(40))


def test_splits_of_their_own_stay_and_the_rest_is_taken_from_train():
    data = st.from_arrays(PIXELS, NAMES, test=(PIXELS[:6], NAMES[:6]))
    assert data.splits["test"].tolist() == list(range(40, 46)) and data.made_splits == ("val",)
    with pytest.raises(DataError, match="class 'owl' is in test but not in train"):
        st.from_arrays(PIXELS, NAMES, test=(PIXELS[:1], ["owl"]))
    with pytest.raises(DataError, match="40 images but 39 labels"):
        st.from_arrays(PIXELS, NAMES[:39])


def test_numbers_and_tags_are_read_as_in_files():
    numbers = st.from_arrays(PIXELS, np.linspace(0.5, 2, 80).reshape(40, 2))
    assert numbers.target().kind == "value" and numbers.target().values.shape == (40, 2)
    assert st.from_arrays(PIXELS, np.arange(40), task="regress").target().kind == "value"
    tags = np.random.default_rng(1).integers(0, 2, (40, 3))
    assert st.from_arrays(PIXELS, tags, classes=("a", "b", "c")).target().values.tolist() == tags.tolist()


@pytest.fixture
def folder(tmp_path):
    for number, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(tmp_path / f"{number:02}.png")
    return tmp_path


def tables(columns):
    frame = type("Frame", (), {"columns": list(columns), "__getitem__": lambda self, key: columns[key]})()
    return {
        "columns": columns,
        "rows": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
        "frame": frame,
    }


@pytest.mark.parametrize("kind", ["columns", "rows", "frame"])
def test_a_table_in_memory_is_the_same_table_in_a_file(folder, kind):
    columns = {
        "path": [f"{n:02}.png" for n in range(40)],
        "label": NAMES.tolist(),
        "weight": [n / 4 for n in range(40)],
    }
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    (folder / "t.csv").write_text("\n".join(lines))
    file, made = st.open(folder / "t.csv"), st.from_table(tables(columns)[kind], root=folder)
    assert made.ids == file.ids and made.where == "" and made.classes == file.classes
    assert made.target("weight").values.tolist() == file.target("weight").values.tolist()
    assert {k: v.tolist() for k, v in made.splits.items()} == {k: v.tolist() for k, v in file.splits.items()}
    assert st.from_table(columns, root=folder, target="weight").target().kind == "value"


def test_a_cell_that_does_not_fit_is_named_by_its_row(folder):
    with pytest.raises(DataError, match="table:2"):
        st.from_table({"path": ["00.png", "none.png"], "label": ["a", "b"]}, root=folder)
    with pytest.raises(SettingsError, match="list is no table"):
        st.from_table([3])


class Items(torch.utils.data.Dataset):
    """Images of several sizes and kinds."""

    classes = ("cat", "dog")

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index):
        pixels = PIXELS[index][: 8 - index % 2]
        kinds = (Image.fromarray(pixels), pixels, torch.from_numpy(pixels).permute(2, 0, 1), pixels / 255)
        return kinds[index % 4], torch.tensor(index % 2)


def test_a_torch_dataset_is_read_item_by_item():
    data = st.from_dataset(Items(), test=Items())
    assert data.classes == ("cat", "dog") and data.channels == 3 and len(data) == 80
    assert [data.ids[0], data.ids[-1]] == ["train/0", "test/39"] and data.splits["test"].tolist() == list(range(40, 80))
    for index in range(80):
        np.testing.assert_array_equal(data.images.read(index), PIXELS[index % 40][: 8 - index % 2])
    assert data.target().values.tolist() == [0, 1] * 40
    with pytest.raises(DataError, match="has no items"):
        st.from_dataset(iter(()))
    with pytest.raises(DataError, match="return \\(image, label\\)"):
        st.from_dataset([PIXELS[0]] * 4)


def test_a_run_of_arrays_has_what_any_run_has(tmp_path):
    run = st.train(st.from_dataset(Items()), "mlp", epochs=1, out=tmp_path / "r")
    assert run.scores["test"]["num_images"] == 6 and run.info["dataset"]["where"] == ""
