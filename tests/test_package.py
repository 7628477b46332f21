"""What is handed out: a wheel with everything in it, and metadata that say what the program says."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import striate

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_version_is_one() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert striate.__version__ == PROJECT["version"] == citation["version"]
    assert f"## [{PROJECT['version']}] - {citation['date-released']}" in changelog


def test_the_table_of_extras_is_that_of_the_package() -> None:
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    listed = [line.split("`")[1] for line in page.split("## Extras")[1].split("\n## ")[0].splitlines() if "| `" in line]
    assert set(listed) == set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.stem)
def test_what_the_forge_reads_is_yaml_and_names_files_that_are_there(path: Path) -> None:
    assert yaml.safe_load(path.read_text(encoding="utf-8"))
    for word in path.read_text(encoding="utf-8").split():
        if word.startswith("scripts/"):
            assert (ROOT / word).is_file(), word


@pytest.mark.slow
def test_a_wheel_holds_all_that_the_source_holds(tmp_path: Path) -> None:
    source = tmp_path / "source"
    files = subprocess.run(
        ["git", "ls-files", "src", "README.md", "LICENSE", "pyproject.toml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in files.stdout.split():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(tmp_path),
        str(source),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("striate-*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert {name.removeprefix("src/") for name in files.stdout.split() if name.startswith("src/")} <= packed
    assert {Path(name).suffix for name in packed} >= {".py", ".html", ".css", ".js", ".txt", ".typed"}
