"""A study in five lines: which remedy against overfitting works best on these images?"""

import sys

import striate as st

data = st.open("toy:shapes?n=400&size=32")
recipes = ["train.epochs=3"] if "--quick" in sys.argv else []
study = st.study(data, st.ladder(changes=recipes), seeds=2)
print(study.verdict)
print(study.report())
