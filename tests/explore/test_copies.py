"""An image that is only the small copy of a run says so in the page; the dataset's own file does not."""

import json

from explore_states import RUN


def test_a_copy_is_said_to_be_one(large):
    space = large.site.workspace
    run = space.subjects[RUN].run
    gone, kept, *_ = [key.partition("/")[2] for key in json.loads((run.pictures / "index.json").read_text())]
    path, aside = run.path.parent / "data" / gone, run.path.parent / "aside.png"
    path.rename(aside)
    try:
        entries = {one.title: one for one in space.shelf.of_run(run)}
        assert {name for name, one in entries.items() if one.is_copy} == {gone} and len(entries) > 2
        for name in (gone, kept):
            large.page.reload()
            page = large.open(f"#view=flow&model={RUN}&image={entries[name].id}")
            assert page.locator("[data-copy-note]").count() == (name == gone)
    finally:
        aside.rename(path)
        large.page.reload()
