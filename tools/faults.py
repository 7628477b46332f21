"""Provoke every row of the fault matrix that exists so far, and say which hold.

    python tools/faults.py                 every row: a line each, the totals, exit 1 when one fails
    python tools/faults.py --only A,F3     some groups or rows
    python tools/faults.py --json          one document
    python tools/faults.py --prove         break the product on purpose: the row or test in charge must notice
    python tools/faults.py --prove --only tests    builds with a wrong method only, which tests are in charge of

No network and no GPU; a few minutes on two cores.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fault_rows.sheet import Row

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: one thread, and nothing that a fork would lose
sys.path.insert(0, str(Path(__file__).parent))


def main() -> int:
    """Run what was asked for and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="groups or rows, comma-separated: A,F3")
    parser.add_argument("--slow", action="store_true", help="slow rows too, which otherwise run when they are named")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--prove", action="store_true", help="run rows and tests against builds broken on purpose")
    parser.add_argument("--debug", action="store_true", help="the traceback of a row that breaks")
    parser.add_argument("--keep", type=Path, help="keep every row's files below this folder")
    options = parser.parse_args()
    from fault_rows.matrix import load

    wanted = [name.strip() for name in options.only.split(",") if name.strip()]
    groups = [row for row in load() if not wanted or row.id in wanted or row.id[0] in wanted]
    rows = [row for row in groups if options.slow or not row.is_slow or row.id in wanted]
    with_tests = not wanted or "tests" in wanted
    if not rows and not (options.prove and with_tests):
        parser.error(f"no row is called {options.only}")
    with tempfile.TemporaryDirectory(prefix="striate-faults-") as temporary:
        root = (options.keep or Path(temporary)).resolve()
        os.environ["STRIATE_CACHE"] = str(root / "cache")
        return prove(rows, root, with_tests=with_tests) if options.prove else provoke(rows, root, options)


def provoke(rows: list["Row"], root: Path, options: argparse.Namespace) -> int:
    """Provoke every row, show what came of it, and return the exit code."""
    from fault_rows.sheet import carry_out, totals

    start_s, results = time.monotonic(), []
    for row in rows:
        results.append(carry_out(row, root / row.id, is_debug=options.debug, is_kept=bool(options.keep)))
        if not options.json:
            print(results[-1], flush=True)
    groups, time_s = totals(results), time.monotonic() - start_s
    if options.json:
        found = [result.to_json() for result in results]
        print(json.dumps({"schema": 1, "rows": found, "groups": groups, "time_s": round(time_s, 1)}, indent=1))
    else:
        for name, group in groups.items():
            clear = f", {group['clear_messages']} of {group['messages']} messages clear" if group["messages"] else ""
            skipped = f", {group['skipped']} skipped" if group["skipped"] else ""
            print(f"{name}: {group['passed']} of {group['rows']} rows hold{skipped}{clear}")
        print(f"in {time_s:.0f} s")
    return 1 if any(result.status == "FAIL" for result in results) else 0


def prove(rows: list["Row"], root: Path, *, with_tests: bool) -> int:
    """Run what is in charge against each build that is broken on purpose; return 1 when one passes unnoticed."""
    from fault_rows.broken import BROKEN
    from fault_rows.sheet import carry_out

    by_id, unnoticed = {row.id: row for row in rows}, 0
    for number, (what, (name, broken)) in enumerate(BROKEN.items()):
        if name not in by_id:
            continue
        with broken():
            result = carry_out(by_id[name], root / f"broken{number}")
        unnoticed += result.status == "pass"
        print(f"{name:<4} {'MISSED' if result.status == 'pass' else 'caught'}  {what}  ({result.text})", flush=True)
    return 1 if unnoticed + (prove_tests() if with_tests else 0) else 0


def prove_tests() -> int:
    """Run the tests in charge against the builds that they are meant for; return how many are not caught."""
    from fault_rows.broken_method import broken_method, outcome_of

    whole: dict[str, int] = {}
    unnoticed = 0
    for what, (test, broken) in broken_method().items():
        name = test.partition("[")[0]  # all its cases at once
        if name not in whole:  # a test that fails anyway catches nothing
            whole[name] = outcome_of(name)
        with broken():
            is_caught = whole[name] == 0 and outcome_of(test) == 1
        unnoticed += not is_caught
        print(f"test {'caught' if is_caught else 'MISSED'}  {what}  ({test.partition('::')[2]})", flush=True)
    return unnoticed


if __name__ == "__main__":
    sys.exit(main())
