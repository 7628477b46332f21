"""Regression by the same call: the angle of a shape, as sine and cosine, so that 359 and 1 degree are neighbours."""

import sys

import striate as st

where = "toy:shapes?n=100&size=32" if "--quick" in sys.argv else "toy:shapes"
recipe = st.recipe("regularized").changed(["train.epochs=2"] if "--quick" in sys.argv else [])
run = st.train(st.open(where, target="angle"), "bipyramid", recipe)
scores = run.scores["test"]
print(f"mean error {scores['mean_error_deg']:.1f} degrees, {scores['within_10_deg']:.0%} within 10 degrees")
