"""I1 to I4: hostile names, numbers that are none, requests and leaks in a report."""

import io
import json
import re
import shutil
import socket
import subprocess
import threading
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image

from .bench import Bench, expect
from .pictures import SMALL, encoded, pixels, put, write_tree
from .sheet import Row

HOST = "striate.invalid"
ACT = "document.body.id='pwned'"
PAYLOADS = (
    f"<script>{ACT}</script>",
    f"</script><script>{ACT}</script>",
    f'"onerror="{ACT}',
    f"'><img src=x onerror={ACT}>",
    f"javascript:{ACT}",
    f"</style><svg onload={ACT}>",
    f"<img src=http://{HOST}/a.png>",
    "a\u2028b\u2029c",
    "--><!--<b>",
    "{{ 7*7 }}{% raw %}",
    "&lt;b&gt;&#60;i&#62;",
    "]]></title><textarea>",
)


class _Page(HTMLParser):
    """What a page is made of: tags, attributes, texts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.text += " " + data

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""


RUN_REPORT = re.compile(r"runs/[A-Za-z0-9._+-]+/report\.html")


def _check_page(path: Path) -> _Page:
    """Fail when a page asks for anything from outside or runs anything but its own script."""
    page = _Page(path.read_text(encoding="utf-8"))
    for tag, name, value in page.attributes:
        expect(not name.startswith("on"), f"<{tag} {name}=...>")
        if name in ("src", "href", "action", "data", "srcset", "xlink:href"):
            is_inner = value.startswith(("#", "data:image/jpeg;base64,"))
            is_run = tag == "a" and RUN_REPORT.fullmatch(value) and (path.parent / value).is_file()  # of a study's run
            expect(is_inner or is_run, f"<{tag} {name}={value[:60]!r}>")
        if name == "style":
            expect("url(" not in value, f"<{tag} style={value[:60]!r}>")
    for tag in ("iframe", "object", "embed", "link", "base", "form", "video", "audio"):
        expect(tag not in page.tags, f"a <{tag}>")
    expect(page.tags.count("script") <= 1, f"{page.tags.count('script')} scripts")
    policy = next((v for _, n, v in page.attributes if n == "content" and "default-src" in v), "")
    expect("default-src 'none'" in policy and "unsafe" not in policy, f"content policy {policy!r}")
    return page


def _browse(bench: Bench, path: Path) -> str:
    """Open a page in a browser whose every request goes to us; return what it says of itself."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        return "no browser here: parsed only"
    asked: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_listen, args=(server, asked), daemon=True).start()
    port = server.getsockname()[1]
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
    flags += ("--disable-component-update", "--disable-sync", f"--proxy-server=127.0.0.1:{port}", "--dump-dom")
    flags += (f"--user-data-dir={bench.folder / 'browser'}",)
    done = subprocess.run([browser, *flags, path.as_uri()], capture_output=True, timeout=180, check=False)
    server.close()
    dom = done.stdout.decode("utf-8", "replace")
    shutil.rmtree(bench.folder / "browser", ignore_errors=True)
    expect("</html>" in dom, f"the browser gives nothing back ({done.returncode})")
    expect('id="pwned"' not in dom, "a payload ran")
    expect(not any(HOST.encode() in line for line in asked), f"a request left the page: {asked[:2]}")
    pages = [line for line in asked if b"google" not in line and b"gstatic" not in line]
    expect(not pages, f"requests: {pages[:2]}")
    given, shown = (_Page(text).tags for text in (path.read_text(encoding="utf-8"), dom))
    extra = sorted(set(shown) - set(given))
    expect(not set(extra) - {"tbody", "button"}, f"nodes that are not in the file: {extra}")
    return "in a browser too"


def _listen(server: socket.socket, asked: list[bytes]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(2)
            try:
                asked.append(connection.recv(4096).split(b"\r\n")[0])
            except OSError:
                asked.append(b"?")


def scripts(bench: Bench) -> str:
    """Payloads as class names, file names, run name and image comments."""
    exif = Image.Exif()
    exif[0x010E], exif[0x9286] = PAYLOADS[0], PAYLOADS[1]
    rows = []
    for index in range(60):
        name = f"{PAYLOADS[index % 12].replace('/', '|')} {index}.jpg"
        put(bench.folder / name, encoded(pixels(name), "JPEG", exif=exif, comment=PAYLOADS[2].encode()))
        rows.append([_cell(name), _cell(PAYLOADS[index % 5])])
    write_rows = ["path,label", *(",".join(row) for row in rows)]
    put(bench.folder / "table.csv", "\n".join(write_rows) + "\n")
    run = "'><img src=x onerror=1>"
    bench.works("train", "table.csv", *SMALL, "--out", run)
    path = bench.folder / run / "report.html"
    text = " ".join(_check_page(path).text.split())
    for payload in PAYLOADS[:5]:
        expect(" ".join(payload.split()) in text, f"not shown literally: {payload}")
    how = _browse(bench, path)
    (bench.folder / "study.toml").write_text(
        'data = "table.csv"\nseeds = 1\nset = ["train.epochs=1"]\n'
        f"[[variant]]\nname = 'a'\ntext = '''{PAYLOADS[1]}'''\n[[variant]]\nname = 'b'\nmodel = 'mlp'\n"
    )
    bench.works("study", "study.toml", "--out", "study", "-q")
    page = _check_page(bench.folder / "study" / "report.html")
    expect(PAYLOADS[1] in page.text, "a variant's text is not shown literally")
    _browse(bench, bench.folder / "study" / "report.html")
    return f"{len(PAYLOADS)} payloads, {how}"


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def no_numbers(bench: Bench) -> str:
    data = write_tree(bench.folder / "data")
    bench.works("train", data, *SMALL, "--set", "train.epochs=5", "--set", "train.patience=0", "--out", "run")
    run = bench.folder / "run"
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    history[1]["val"]["loss"] = history[2]["train"]["accuracy"] = float("nan")
    history[3]["val"] = {"loss": None, "accuracy": float("inf")}
    (run / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history))
    scores = json.loads((run / "scores.json").read_text())
    scores["test"] |= {"accuracy": float("nan"), "loss": float("-inf"), "ece": None}
    scores["test"]["intervals"]["accuracy"] = [float("nan"), None]
    (run / "scores.json").write_text(json.dumps(scores))
    (run / "SHA256SUMS").unlink()  # what an owner who edits files is told to do
    bench.works("report", "run", may_change=["run/report.html"])
    page = _check_page(run / "report.html")
    expect("n/a" in page.text, "what is no number is not shown as n/a")
    numbers = " ".join(value for tag, name, value in page.attributes if name in ("d", "points", "x", "y", "cx", "cy"))
    expect(not re.search(r"nan|inf", numbers, re.IGNORECASE), "a curve goes through what is no number")
    expect(not re.search(r"\b(nan|inf(inity)?)\b", page.text, re.IGNORECASE), "nan is shown to the reader")
    return _browse(bench, run / "report.html")


def outside(bench: Bench) -> str:
    bench.works("study", "toy:shapes?n=100&size=16", "--seeds", 1, "--set", "train.epochs=1", "--out", "study", "-q")
    paths = [bench.folder / "study" / "report.html", *sorted((bench.folder / "study" / "runs").glob("*/report.html"))]
    for run in sorted((bench.folder / "study" / "runs").iterdir()):
        bench.works("report", run, may_change=[str(run.relative_to(bench.folder))])
        paths.append(run / "report.html")
    for path in paths:
        _check_page(path)
    how = {_browse(bench, path) for path in paths[:2]}
    return f"{len(paths)} pages, 0 requests, {how.pop()}"


def privacy(bench: Bench) -> str:
    exif = Image.Exif()
    exif[0x010F], exif[0x010E] = "SecretCamera", "SecretPlace"
    exif.get_ifd(0x8825).update({1: "N", 2: (47.0, 22.0, 0.0), 3: "E", 4: (8.0, 32.0, 0.0)})
    for band, name in enumerate(("cat", "dog")):
        for index in range(14):
            picture = encoded(pixels(f"{name}{index}", band=band), "JPEG", exif=exif, comment=b"SecretNote")
            put(bench.folder / "data" / name / f"{index}.jpg", picture)
    data = bench.folder / "data"
    expect(b"SecretPlace" in (data / "cat" / "0.jpg").read_bytes(), "the planted EXIF is not there")
    bench.works("train", data, *SMALL, "--out", bench.folder / "run")
    report = (bench.folder / "run" / "report.html").read_bytes()
    pictures = list((bench.folder / "run" / "pictures").glob("*.jpg"))
    expect(pictures, "no images were kept")
    for path in pictures:
        expect(not Image.open(io.BytesIO(path.read_bytes())).getexif(), f"{path.name} carries EXIF")
    for content in (report, *(path.read_bytes() for path in pictures)):
        expect(b"Secret" not in content and b"Exif" not in content, "metadata of an image leaked")
    for path in (str(bench.folder), str(Path.home())):
        expect(path.encode() not in report or path == "/", f"{path} stands in the report")
    with (bench.folder / "run" / "predictions.csv").open() as file:
        expect(str(bench.folder) not in file.read(), "an absolute path stands in predictions.csv")
    return f"{len(pictures)} images without metadata, relative paths only"


ROWS = (
    Row("I1", "script in class, file, run and variant names, EXIF", scripts),
    Row("I2", "NaN and infinity in metrics", no_numbers),
    Row("I3", "external references", outside),
    Row("I4", "GPS, comments, absolute paths", privacy),
)
