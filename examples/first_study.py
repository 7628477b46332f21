"""A study in five lines: which remedy against overfitting works best on these images?"""

import sys

import striate as st

IS_QUICK = "--quick" in sys.argv
data = st.open("toy:shapes?n=80&size=16" if IS_QUICK else "toy:shapes?n=400&size=32")
recipes = ["train.epochs=1"] if IS_QUICK else []
study = st.study(data, st.ladder(changes=recipes), seeds=2)
print(study.verdict)
print(study.report())
