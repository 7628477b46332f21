"""The pages: links lead somewhere on the forge, the site has every page, tables are what was measured."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from markdown.extensions.toc import slugify

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def text_of(path: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text_of(path), re.MULTILINE)
    return {slugify(re.sub(r"[`*]", "", one), "-") for one in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_links_and_images_lead_to_files_and_headings(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(path)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        place = (path.parent / name).resolve() if name else path
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), target


def pages_of(part: object) -> set[str]:
    if isinstance(part, str):
        return {part}
    return set().union(*(pages_of(one) for one in (part.values() if isinstance(part, dict) else part)))


def test_the_site_names_pages_that_are_there() -> None:
    made = {"index.md", "contributing.md", "changelog.md", "log.md", "examples.md"}
    nav = pages_of(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert {name for name in nav if not name.startswith("reference/")} - made <= {path.name for path in PAGES}


def test_benchmarks_and_readme_say_what_the_results_say() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "table.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_asks_no_other_host(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    environment = dict(os.environ, NO_MKDOCS_2_WARNING="1")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    for page in tmp_path.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        assert not re.findall(r"<(?:script|img|iframe)[^>]*src=\"(?:https?:)?//", html), page
        assert not re.findall(r"<link[^>]*rel=\"(?:stylesheet|preconnect|preload)\"[^>]*href=\"(?:https?:)?//", html), (
            page
        )
    commands = (tmp_path / "reference" / "commands.html").read_text(encoding="utf-8")
    settings = (tmp_path / "reference" / "settings.html").read_text(encoding="utf-8")
    python = (tmp_path / "reference" / "python.html").read_text(encoding="utf-8")
    assert "--keep-checkpoints" in commands and "train.label_smoothing" in settings
    assert all(f"st.{name}" in python for name in ("open", "train", "study", "Run", "zoo"))
