"""Pascal VOC as strangers have it: names, lists and XML that other tools and other systems write."""

import codecs
from pathlib import Path

import pytest
from test_boxed import SIDES, numbered, put_voc, thing

from striate.base.errors import DataError
from striate.data import open_dataset


def each(root: Path, folder: str, change) -> None:
    """Give every file of a folder a new path and new bytes."""
    for file in sorted((root / folder).iterdir()):
        path, content = change(file, file.read_bytes())
        file.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def of_text(change):
    return lambda root: each(root, "Annotations", lambda file, text: (file, change(text.decode())))


def of_path(change, folder="Annotations"):
    return lambda root: each(root, folder, lambda file, content: (change(file), content))


def of_list(change):
    return lambda root: each(root, "ImageSets/Main", lambda file, text: (file, change(text.decode()).encode()))


def in_spaces(root: Path) -> None:
    for folder in ("JPEGImages", "Annotations"):
        of_path(lambda file: file.with_name(f"ein Hüt {file.name}"), folder)(root)
    of_list(lambda text: "".join(f"ein Hüt {name} -1\n" for name in text.split()))(root)


def in_names_of_their_own(root: Path) -> None:
    def change(file: Path, text: bytes) -> tuple[Path, bytes]:
        name = f"<annotation><filename> C:\\photos\\{file.stem}.png</filename>"
        return file.with_stem(f"note {9 - int(file.stem)}"), text.replace(b"<annotation>", name.encode())

    each(root, "Annotations", change)


def in_both_cases(root: Path) -> None:
    of_path(lambda file: file.with_name(f"img_{file.name}"), "JPEGImages")(root)
    of_path(lambda file: file.with_name(f"IMG_{file.name}"))(root)
    of_list(lambda text: "".join(f"img_{name}\n" for name in text.split()))(root)


STRANGE = {
    "a namespace": of_text(lambda text: text.replace("<annotation>", '<annotation xmlns="urn:voc">').encode()),
    "UTF-16": of_text(lambda text: f'<?xml version="1.0" encoding="utf-16"?>{text}'.encode("utf-16")),
    "a mark of UTF-8": of_text(lambda text: codecs.BOM_UTF8 + text.encode()),
    "exponents": of_text(lambda text: text.replace("<ymax>40<", "<ymax>+4.0e1<").encode()),
    "suffixes of both cases": of_path(lambda file: file.with_suffix(".XML") if "3" in file.stem else file),
    "names of their own": in_names_of_their_own,
    "names of both cases": in_both_cases,
    "the image's suffix before its own": of_path(lambda file: file.with_suffix(".jpg.xml")),
    "blanks and marks in names": in_spaces,
    "lists of files": of_list(lambda text: "".join(f"data/JPEGImages/{name}.jpg\n" for name in text.split())),
    "lists with a mark of UTF-8": of_list(lambda text: f"\ufeff{text}".replace("\n", "\r\n")),
    "lists without a folder": of_path(lambda file: file.parent.parent / file.name, "ImageSets/Main"),
}


@pytest.mark.parametrize("change", STRANGE.values(), ids=STRANGE)
def test_they_are_read_like_any_other(tmp_path, change):
    put_voc(tmp_path, [thing("hat", sides) for sides in SIDES])
    change(tmp_path)
    data = open_dataset(tmp_path)
    places = {Path(name).stem[-3:]: at for at, name in enumerate(data.ids)}
    assert sorted(places) == [Path(name).stem for name in numbered(".jpg")] and not data.left_out
    for number, (left, top, right, bottom) in enumerate(SIDES):
        at = places[f"{number:03d}"]
        boxes = data.target("box").take([at])
        assert boxes.xyxy.tolist() == [[left - 1, top - 1, right, bottom]] and boxes.names == ("hat",)
    assert {Path(data.ids[at]).stem[-3:] for at in data.splits["val"]} == {"004", "005"}


def test_sets_beside_each_other_keep_their_files_and_lists(tmp_path):
    for name in ("2007", "2012"):
        put_voc(tmp_path / name, [thing("hat", sides) for sides in SIDES])
    data = open_dataset(tmp_path)
    assert sorted(data.ids) == sorted(f"{name}/JPEGImages/{n}" for name in ("2007", "2012") for n in numbered(".jpg"))
    assert data.splits["val"].tolist() == [4, 5, 10, 11]


def test_most_images_may_be_background(tmp_path):
    size = "<size><width>64</width><height>48</height></size>"
    put_voc(tmp_path, [size] * 5 + [size + thing("hat", SIDES[5])])
    data = open_dataset(tmp_path)
    assert len(data.ids) == 6 and len(data.target("box").xyxy) == 1


def test_entities_in_utf_16_are_refused(tmp_path):
    put_voc(tmp_path, [thing("hat", sides) for sides in SIDES])
    bomb = '<!DOCTYPE a [<!ENTITY n "hat">]>'
    of_text(lambda text: f"{bomb}{text.replace('hat', '&n;')}".encode("utf-16"))(tmp_path)
    with pytest.raises(DataError, match="declares entities"):
        open_dataset(tmp_path)
