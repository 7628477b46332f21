"""Text files that a person wrote: a byte order mark is passed over, another encoding is named."""

import codecs

import pytest

from striate.base.errors import DataError, SettingsError
from striate.base.settings import read_toml
from striate.data import open_dataset
from striate.model.blueprint import Blueprint
from striate.studies.plan import read_plan

PLAN = '[[rows]]\nblock = "global_pool"\n[[rows]]\nblock = "linear"\n'
STUDY = 'data = "toy:shapes"\n[[variant]]\nname = "a"\n'
READERS = {"recipe": (read_toml, "x = 1\n"), "blueprint": (Blueprint.from_toml, PLAN), "study": (read_plan, STUDY)}
MARKS = {
    "utf-16": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


@pytest.mark.parametrize("kind", READERS)
def test_a_byte_order_mark_is_passed_over(tmp_path, kind):
    read, text = READERS[kind]
    plain, marked = tmp_path / "plain" / "a.toml", tmp_path / "marked" / "a.toml"
    for path, mark in ((plain, b""), (marked, codecs.BOM_UTF8)):
        path.parent.mkdir()
        path.write_bytes(mark + text.encode())
    assert read(marked) == read(plain)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("encoding", [*MARKS, "utf-16-le"])
def test_another_encoding_is_named(tmp_path, kind, encoding):
    read, text = READERS[kind]
    path = tmp_path / "a.toml"
    mark = MARKS.get(encoding, b"")
    content = text.encode(encoding)
    path.write_bytes(content if content.startswith(mark) else mark + content)
    with pytest.raises(SettingsError, match=encoding[:6].upper()) as caught:
        read(path)
    assert "save it as UTF-8" in str(caught.value)


def test_tables_too(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes("path,label\na.png,cat\n".encode("utf-16"))
    with pytest.raises(DataError, match="UTF-16"):
        open_dataset(path)
    path.write_bytes(b"path,label\na.png,caf\xe9\n")
    with pytest.raises(DataError, match=r"labels\.csv:2"):
        open_dataset(path)
