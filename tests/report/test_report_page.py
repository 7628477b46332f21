"""What every report promises: one file, nothing from outside, nothing run, nothing leaked, whatever the names are."""

import base64
import hashlib
import json
import re
import shlex
import subprocess
import time
from collections.abc import Sequence
from itertools import cycle, pairwise
from pathlib import Path

import pytest
from PIL import Image
from report_pages import Element, parse
from report_runs import write_run
from report_studies import write_study

from striate.base.errors import ModelError
from striate.base.rundir import RunDir, StudyDir
from striate.base.text import shown
from striate.report import report_run, report_study
from striate.report.privacy import without_folders

KINDS = ("label", "tags", "angle", "values", "study")
PAYLOADS = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    '"onerror="alert(1)',
    "'><img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "</style><svg onload=alert(1)>",
    "a\u2028b\u2029c",
    "--><!--<b>",
    "{{ 7*7 }}{% raw %}",
    "&lt;b&gt;&amp;&#60;i&#62;",
    "]]></title><textarea>",
    "\x1b[31m\u202e$\\frac{1}{0}$ \U0001f98a",
)


def report(path: Path) -> Element:
    is_study = (path / "study.json").exists()
    written = report_study(StudyDir(path)) if is_study else report_run(RunDir(path))
    assert written == path / "report.html"
    return parse(written)


@pytest.fixture(scope="module", params=KINDS)
def page(request, folder):
    return report(folder(request.param))


def test_ids_are_unique_and_every_link_leads_somewhere(page):
    ids = [one.attributes["id"] for one in page.walk() if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    links = [one.attributes[key] for one in page.walk() for key in ("href", "src") if key in one.attributes]
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    for one in page.walk():
        for name in re.findall(r"url\(#([^)]+)\)", " ".join(one.attributes.values())):
            assert name in ids


def test_nothing_comes_from_outside(page):
    for one in page.walk():
        for key in ("href", "src", "action", "data", "poster", "srcset", "xlink:href"):
            assert one.attributes.get(key, "#").startswith(("#", "data:image/jpeg;base64,"))
        assert one.tag not in {"link", "iframe", "object", "embed", "form", "base"}
    style = page.all("style")[0].children[0]
    assert "@import" not in style
    assert "url(" not in style


def test_only_the_own_style_and_script_are_allowed(page):
    policy = next(
        one.attributes["content"] for one in page.all("meta") if "content-security-policy" in str(one).lower()
    )
    assert policy.startswith("default-src 'none'")
    for tag in ("style", "script"):
        (element,) = page.all(tag)
        digest = hashlib.sha256("".join(element.children).encode()).digest()
        assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    for one in page.walk():
        assert "style" not in one.attributes
        assert not any(name.startswith("on") for name in one.attributes)


def test_the_policy_comes_before_anything_it_should_stop(page):
    (head,) = page.all("head")
    first = [one for one in head.walk() if one.tag != "head"][:2]
    assert first[1].attributes["http-equiv"] == "Content-Security-Policy"


def test_every_picture_and_chart_has_a_text(page):
    assert all(one.attributes.get("alt") for one in page.all("img"))
    for one in page.all("svg"):
        assert one.attributes.get("aria-hidden") == "true" or one.attributes.get("aria-label")
    assert page.all("svg", "plot")


def test_charts_carry_no_colour_of_their_own(page):
    for plot in page.all("svg", "plot"):
        for one in plot.walk():
            assert not any("#0" in value for key, value in one.attributes.items() if key not in ("href", "clip-path"))
        assert any(one.tag == "text" for one in plot.walk())


def test_headings_do_not_skip_a_level(page):
    levels = [int(one.tag[1]) for one in page.walk() if re.fullmatch(r"h\d", one.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_folders_of_the_machine_are_not_told(page):
    text = page.text
    assert "/home/" not in text
    assert "teacher" not in text
    assert re.search(r"striate (train|study) shapes ", text)


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("striate train /home/ann/birds", "striate train birds"),
        ("striate train '/home/ann b/birds' -o /tmp/x/", "striate train 'birds' -o x"),
        ("--out=/data/runs/1 --set a=b/c", "--out=1 --set a=b/c"),
        ("C:\\Users\\ann\\birds", "birds"),
        ("\\\\server\\share\\birds", "birds"),
        ("~/birds and/or https://a.org/b/c", "birds and/or https://a.org/b/c"),
        ("cats/1.jpg = dogs/2.jpg", "cats/1.jpg = dogs/2.jpg"),
        ("found in /srv/data/x.jpg, /srv/data/y.jpg (/srv/z)", "found in x.jpg, y.jpg (z)"),
    ],
)
def test_absolute_paths_keep_only_their_last_part(told, kept):
    assert without_folders({"text": [told]}) == {"text": [kept]}


def test_a_source_with_blanks_keeps_only_its_last_part():
    assert without_folders({"where": "/home/ann b/my birds/"}) == {"where": "my birds"}


def run_with(path: Path, texts: Sequence[str], names: tuple[str, ...], kind: str) -> Element:
    """Write a run whose free texts are `texts`, over and over, and return its report."""
    run = write_run(path, kind, names=names, num_pictures=12, images={"val": 40, "test": 40})
    info, text = json.loads((path / "run.json").read_text()), cycle(texts)
    info["name"], info["recipe_name"], info["created"] = next(text), next(text), next(text)
    info["precision"]["name"], info["model"]["name"], info["device"]["name"] = next(text), next(text), next(text)
    info["dataset"] |= {"name": next(text), "fingerprint": next(text), "notes": [next(text)]}
    info["dataset"]["options"] = {next(text): next(text)}
    info["dataset"]["findings"] = [{"kind": next(text), "severity": next(text), "text": next(text)}]
    info["recipe"], info["versions"] = {next(text): {next(text): next(text)}}, {next(text): next(text)}
    info["command"] = shlex.join(["striate", "train", next(text)])
    row = {"block": next(text), "name": next(text), "options": {next(text): next(text)}, "inputs": [next(text)]}
    info["model"]["blueprint"]["rows"][0] |= row
    (path / "run.json").write_text(json.dumps(info))
    report_run(run)
    return parse(run.report)


def skeleton(page: Element) -> list[tuple[str, tuple[str, ...]]]:
    """Return the elements of a page without the paths of its charts, which follow the numbers."""
    return [(one.tag, tuple(sorted(one.attributes))) for one in page.walk() if one.tag not in {"path", "use", "defs"}]


@pytest.mark.parametrize("kind", ["label", "tags"])
def test_hostile_names_are_text_and_nothing_else(tmp_path, kind):
    plain = tuple(f"name {k:02d}" for k in range(12))
    expected = skeleton(run_with(tmp_path / "plain", plain, plain, kind))
    for start in range(0, len(PAYLOADS), 4):
        page = run_with(tmp_path / f"{start}", PAYLOADS[start:] + PAYLOADS[:start], PAYLOADS, kind)
        assert skeleton(page) == expected
        for payload in PAYLOADS:
            assert " ".join(shown(payload).split()) in page.text


def test_hostile_names_in_a_study(folder):
    def made(path: Path, texts: Sequence[str]) -> Element:
        info = json.loads((path / "study.json").read_text())
        verdict = json.loads((path / "verdict.json").read_text())
        for row, other, text in zip(info["variants"], verdict["variants"], texts, strict=True):
            row |= {"text": text, "model": text, "recipe": {text: {"a": row["name"]}}}
            other["text"] = text
        info["name"], verdict["sentences"] = texts[0], list(texts)
        (path / "study.json").write_text(json.dumps(info))
        (path / "verdict.json").write_text(json.dumps(verdict))
        return report(path)

    expected = skeleton(made(folder("study"), ("a", "b", "c", "d")))
    for start in range(0, len(PAYLOADS), 4):
        page = made(folder("study"), PAYLOADS[start : start + 4])
        assert skeleton(page) == expected
        for payload in PAYLOADS[start : start + 4]:
            assert " ".join(shown(payload).split()) in page.text


def test_a_variant_named_like_a_path_reads_nothing_outside_the_study(folder):
    path = folder("study")
    info = json.loads((path / "study.json").read_text())
    outside = path.parent / "outside-seed0"
    write_run(outside, images={"val": 30, "test": 30}, num_pictures=2, name="SECRET")
    info["variants"][0]["name"] = "../../outside"
    (path / "study.json").write_text(json.dumps(info))
    assert "outside-seed0" not in report(path).text


@pytest.mark.parametrize(
    "name",
    ["../run.json", "/etc/passwd", "..", "", "a\\..\\b.jpg", "x\0.jpg", 7, "text.jpg", "link.jpg", "frameless.jpg"],
)
def test_a_picture_index_cannot_reach_other_files(folder, name):
    path = folder("label")
    (path / "pictures" / "text.jpg").write_text("root:x:0:0")
    (path / "pictures" / "frameless.jpg").write_bytes(b"\xff\xd8\xff\xda\x00\x02\xff\xd9")
    (path / "pictures" / "link.jpg").symlink_to(path / "pictures" / "test-0000.jpg")
    index = json.loads((path / "pictures" / "index.json").read_text())
    (path / "pictures" / "index.json").write_text(json.dumps(dict.fromkeys(index, name)))
    assert not report(path).all("img")


def test_pictures_lose_their_metadata(folder):
    path = folder("label")
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    exif.get_ifd(0x8825)[2] = (48.0, 12.0, 30.0)
    for picture in (path / "pictures").glob("*.jpg"):
        with Image.open(picture) as opened:
            opened.load()
            opened.save(picture, "JPEG", exif=exif, comment=b"taken at home")
        assert b"taken at home" in picture.read_bytes()
    pictures = report(path).all("img")
    assert len(pictures) > 50
    for picture in pictures:
        content = base64.b64decode(picture.attributes["src"].split(",", 1)[1])
        assert b"taken at home" not in content
        assert b"Exif" not in content
        (path / "one.jpg").write_bytes(content)
        with Image.open(path / "one.jpg") as opened:
            opened.load()
            assert opened.size == (int(picture.attributes["width"]), int(picture.attributes["height"]))


def test_the_same_folder_gives_the_same_bytes(folder):
    path = folder("label")
    first = report_run(RunDir(path)).read_bytes()
    assert report_run(RunDir(path)).read_bytes() == first


@pytest.mark.parametrize("kind", ["label", "study"])
def test_a_folder_that_moved_gives_the_same_report(folder, kind):
    path = folder(kind)
    before = report(path).text
    moved = path.rename(path.with_name("elsewhere"))
    (moved / "report.html").unlink()
    assert report(moved).text == before


def test_what_is_no_run_folder_is_refused(tmp_path, folder):
    with pytest.raises(ModelError, match="not a run folder"):
        report_run(RunDir(tmp_path))
    with pytest.raises(ModelError, match="not a study folder"):
        report_study(StudyDir(tmp_path))
    path = folder("label")
    info = json.loads((path / "run.json").read_text()) | {"schema": 99}
    (path / "run.json").write_text(json.dumps(info))
    with pytest.raises(ModelError, match="newer"):
        report_run(RunDir(path))


def test_what_a_killed_report_left_is_removed(folder):
    path = folder("label")
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = path / f".report.html.{dead.pid}.tmp"
    left.write_text("<html>")
    report_run(RunDir(path))
    assert not left.exists()


def test_a_report_is_made_in_seconds(folder):
    path = folder("label")
    start = time.perf_counter()
    report_run(RunDir(path))
    assert time.perf_counter() - start < 3


def test_many_classes_and_images_stay_small(tmp_path):
    names = tuple(f"class {k:04d}" for k in range(300))
    run = write_run(tmp_path / "big", names=names, images={"val": 10, "test": 900}, num_pictures=400)
    page = parse(report_run(run))
    assert run.report.stat().st_size < 8_000_000
    assert len(page.all("img")) <= 300
    assert not page.all("table", "matrix")
    assert "300 classes are too many for a matrix" in page.text
    assert "the 40 pairs most often confused, of " in page.text
    assert "at most 300" in page.text


@pytest.mark.slow
def test_a_thousand_classes_and_fifty_thousand_images(tmp_path):
    names = tuple(f"class {k:04d}" for k in range(1000))
    run = write_run(tmp_path / "big", names=names, images={"val": 10, "test": 50_000}, num_pictures=600)
    report_run(run)
    assert run.report.stat().st_size < 8_000_000


def test_a_study_of_one_seed_says_what_it_cannot_say(tmp_path):
    page = report(write_study(tmp_path / "one", seeds=(0,), num_pictures=5).path)
    assert "needs at least two seeds" in page.get("hard").text


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def mix(a: str, b: str, share: float) -> str:
    parts = [share * int(a[k : k + 2], 16) + (1 - share) * int(b[k : k + 2], 16) for k in (1, 3, 5)]
    return "#" + "".join(f"{round(part):02x}" for part in parts)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_is_enough(page, theme):
    style = page.all("style")[0].children[0]
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6});", part)) for part in style.split("prefers-color-scheme")[:2])
    colours = light if theme == "light" else light | dark
    for name in ("ink", "muted", "train", "val", "test", "good", "bad"):
        for ground in ("paper", "tint"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    assert contrast(colours["ink"], colours["mark"]) >= 4.5
    levels = dict(re.findall(r"\.h(\d+) \{ --t: (\d+)%; \}", style.split("/* dark */")[theme == "dark"]))
    assert len(levels) == 11
    for level, share in levels.items():
        cell = mix(colours["heat"], colours["tint"], int(share) / 100)
        ink = colours["on-heat"] if int(level) >= 8 else colours["ink"]
        assert contrast(ink, cell) >= 4.5, (level, contrast(ink, cell))
