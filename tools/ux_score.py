"""Measure the page in a browser: a line for each figure of merit, then all as JSON. Exit code 1 where one fails.

    python tools/ux_score.py [--quick] [NAME...]

Needs Chromium (`scripts/browser` installs it, STRIATE_CHROMIUM names another); networks with fixed weights, no data.
"""

import json
import os
import sys
import time
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fixtures"))

import torch
from explore_figures import FIGURES
from explore_site import Stage, browsing


def main(arguments: list[str]) -> int:
    """Run the figures whose names contain one of the arguments; all without."""
    is_quick = "--quick" in arguments
    wanted = [text for text in arguments if not text.startswith("--")]
    names = [name for name in FIGURES if not wanted or any(text in name for text in wanted)]
    torch.set_num_threads(1)
    rows = []
    with browsing() as browser, closing(Stage(browser)) as stage:
        for name in names:
            figure, start = FIGURES[name], time.perf_counter()
            value = figure.run(stage, is_quick)
            is_met = value <= figure.limit
            time_s = time.perf_counter() - start
            print(
                f"{'ok  ' if is_met else 'FAIL'}  {name:<44} {value:8.3g} {figure.unit:<3} (at most {figure.limit:g})"
            )
            rows.append({"name": name, "value": value, "limit": figure.limit, "unit": figure.unit, "time_s": time_s})
    load = os.getloadavg()[0]
    print(json.dumps({"cpus": os.cpu_count(), "load": load, "quick": is_quick, "figures": rows}))
    return int(any(row["value"] > row["limit"] for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
