"""What is refused of a study file and of a task's own settings, and where the line says it is."""

import pytest

from striate.base.errors import SettingsError
from striate.studies.plan import read_plan
from striate.task.segment import Segment
from striate.task.table import options_of


@pytest.mark.parametrize("name", ["task", "limit", "per_class"])
def test_how_data_are_opened_belongs_below_options(tmp_path, name):
    path = tmp_path / "study.toml"
    path.write_text(f'data = "toy:shapes"\n{name} = "segment"\n[[variant]]\nname = "a"\n')
    with pytest.raises(SettingsError, match="says how the data are opened") as caught:
        read_plan(path)
    assert caught.value.where == f"{path}: {name}" and "[options]" in caught.value.fix


@pytest.mark.parametrize(
    ("values", "where"),
    [({"loss": "dicee"}, "task.loss"), ({"gamma": -1}, "task.gamma"), ({"gama": 1}, "task.gama")],
)
def test_a_refused_setting_of_a_task_is_named_as_it_is_typed(values, where):
    with pytest.raises(SettingsError) as caught:
        options_of(Segment, values)
    assert caught.value.where == where
    with pytest.raises(SettingsError) as caught:
        options_of(Segment, values, "variant plain: ")
    assert caught.value.where == f"variant plain: {where}"
