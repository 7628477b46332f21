"""Provoke every row of the fault matrix that exists so far, and say which hold.

    python tools/faults.py                 every row: a line each, the totals, exit 1 when one fails
    python tools/faults.py --only A,F3     some groups or rows
    python tools/faults.py --json          one document

No network and no GPU; about five minutes on two cores.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: one thread, and nothing that a fork would lose
sys.path.insert(0, str(Path(__file__).parent))


def main() -> int:
    """Run the rows that were asked for and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="groups or rows, comma-separated: A,F3")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--debug", action="store_true", help="the traceback of a row that breaks")
    parser.add_argument("--keep", type=Path, help="keep every row's files below this folder")
    options = parser.parse_args()
    from fault_rows.matrix import load
    from fault_rows.sheet import carry_out, totals

    wanted = [name.strip() for name in options.only.split(",") if name.strip()]
    rows = [row for row in load() if not wanted or row.id in wanted or row.id[0] in wanted]
    if not rows:
        parser.error(f"no row is called {options.only}")
    start_s, results = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="striate-faults-") as temporary:
        root = (options.keep or Path(temporary)).resolve()
        os.environ["STRIATE_CACHE"] = str(root / "cache")
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


if __name__ == "__main__":
    sys.exit(main())
