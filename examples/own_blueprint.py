"""A network of one's own is a table of rows; skips are rows that name what they take."""

import sys

import striate as st
from striate.model.table import render

mine = st.Blueprint(
    "mine",
    (
        st.Row("conv", 32, options={"norm": "batch", "activation": "relu"}, name="stem"),
        st.Row("max_pool", stride=2, name="smaller"),
        st.Row("conv", 32, options={"norm": "batch"}, name="branch"),
        st.Row("add", inputs=("smaller", "branch"), name="skip"),
        st.Row("basic", 64, repeat=2, stride=2, name="stage"),
        st.Row("global_pool", name="pool"),
        st.Row("linear", name="outputs"),
    ),
)
print(render(st.walk(mine, size_hw=(32, 32), outputs=5)))
if "--quick" not in sys.argv:
    run = st.train("toy:shapes", mine, recipe="augmented")
    print(run)
