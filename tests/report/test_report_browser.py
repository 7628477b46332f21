"""Reports in a real browser: the script may run, nothing else does, and hostile names make no element."""

import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from report_pages import Element, parse
from report_runs import write_run
from test_report_page import PAYLOADS, run_with

from striate.report import report_run

BROWSER = os.environ.get("STRIATE_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome") or ""
QUIET = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not BROWSER, reason="no browser (set STRIATE_BROWSER)")]


def opened(page: Path, tmp_path: Path) -> Element:
    """Return the page's elements after the browser ran it; any message on its console fails."""
    options = (
        "--headless",
        "--no-sandbox",
        *QUIET,
        "--enable-logging=stderr",
        f"--user-data-dir={tmp_path / 'profile'}",
    )
    command = [BROWSER, *options, "--virtual-time-budget=2000", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    (tmp_path / "dom.html").write_text(done.stdout)
    return parse(tmp_path / "dom.html")


def test_the_policy_lets_the_own_script_run(folder, tmp_path):
    page = opened(report_run(write_run(tmp_path / "run", num_pictures=20)), tmp_path)
    assert len(page.get("classes").all("button")) == 5


def test_hostile_names_make_no_element(tmp_path):
    plain = run_with(tmp_path / "plain", PAYLOADS, tuple(f"name {k:02d}" for k in range(12)), "label")
    expected = Counter(one.tag for one in plain.walk()) + Counter(button=5)
    run_with(tmp_path / "hostile", PAYLOADS, PAYLOADS, "label")
    found = Counter(one.tag for one in opened(tmp_path / "hostile" / "report.html", tmp_path).walk())
    assert {tag: count for tag, count in found.items() if tag not in {"path", "use", "defs"}} == {
        tag: count for tag, count in expected.items() if tag not in {"path", "use", "defs"}
    }
