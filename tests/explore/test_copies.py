"""An image that is only the small copy of a run says so in the page; the dataset's own file does not."""

import json

from explore_states import RUN


def test_a_copy_is_said_to_be_one(large):
    space = large.site.workspace
    run = space.subjects[RUN].run
    kept = [name.split("/", 1)[1] for name in json.loads((run.pictures / "index.json").read_text())]
    entries = {one.title: one for one in space.shelf.of_run(run)}
    (gone,) = [name for name in kept if entries[name].is_copy]
    assert not (run.path.parent / "data" / gone).exists() and len(entries) == len(kept) > 1
    for name in (gone, next(name for name in kept if name != gone)):
        page = large.open(f"#view=flow&model={RUN}&image={entries[name].id}")
        assert page.locator("[data-copy-note]").count() == (name == gone)
