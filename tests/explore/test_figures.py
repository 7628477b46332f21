"""The figures of merit that do not depend on the machine's speed, with few examples; `tools/ux_score.py` has all."""

import pytest
from explore_figures import FIGURES, TIMED


@pytest.mark.parametrize("name", sorted(FIGURES.keys() - TIMED))
def test_figure(stage, name):
    assert FIGURES[name].run(stage, True) <= FIGURES[name].limit
