"""An image that is only the small copy of a run says so in the page; the dataset's own file does not."""

import json

import numpy as np
import pytest
from explore_site import Watched, serving
from PIL import Image

from striate.cli.app import run
from striate.explore.workspace import Workspace


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on class folders of 24 images, one of which has gone since."""
    root = tmp_path_factory.mktemp("copies")
    rng = np.random.default_rng(0)
    for number in range(24):
        path = root / "data" / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(path)
    settings = [word for one in ("train.epochs=1", "model.width=4") for word in ("--set", one)]
    words = [*settings, "--threads", "1", "--quiet", "--out", str(root / "run")]
    assert run(["train", str(root / "data"), *words]) == 0
    return root


def test_a_copy_is_said_to_be_one(folder, browser):
    kept = [name.split("/", 1)[1] for name in json.loads((folder / "run" / "pictures" / "index.json").read_text())]
    gone = kept[0]
    (folder / "data" / gone).unlink()
    with serving(Workspace.of_folder(folder / "run")) as site:
        (subject,) = site.workspace.subjects.values()
        entries = {one.title: one for one in site.workspace.shelf.of_run(subject.run)}
        assert {name: one.is_copy for name, one in entries.items()} == {name: name == gone for name in kept}
        page = Watched(browser, site)
        for name in (gone, kept[1]):
            opened = page.open(f"#view=flow&model={subject.id}&image={entries[name].id}")
            assert opened.locator("[data-copy-note]").count() == (name == gone)
        page.close()
