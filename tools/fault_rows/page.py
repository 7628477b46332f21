"""J1 to J8 for the page of `striate explore`: a server of this machine, asked badly."""

import http.client
import io
import json
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from PIL import Image

from .bench import Bench, Running, expect
from .sheet import Row

ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/")
NETWORK = ("explore", "lenet5", "--no-browser", "--threads", "1")
UPS = ("../", "..%2f", "%2e%2e/", "%2e%2e%2f", "%252e%252e%252f", "..\\", "..%5c", "....//", "..%c0%af", "..%00/")
TRAVERSALS = [start + up * 8 + "etc/passwd" for start in ("/static/", "/api/images/", "/") for up in UPS]
MIB = 1 << 20


class Served:
    """A server on its way."""

    def __init__(self, running: Running, port: int) -> None:
        self.running, self.port = running, port

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, host: str = "", **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        """Return status, body and headers of an answer; no answer may let other pages in."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host or f"127.0.0.1:{self.port}")
        for key, value in headers.items():
            connection.putheader(key.replace("_", "-"), value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        reply = connection.getresponse()
        content, found = reply.read(), {key.lower(): value for key, value in reply.getheaders()}
        connection.close()
        expect(not any(key.startswith("access-control") for key in found), "a CORS header")
        return reply.status, content, found

    def send(self, body: bytes, name: str = "a.png") -> tuple[int, bytes, dict[str, str]]:
        """Send an image as the page does."""
        return self.ask(f"/api/images?name={name}", "POST", body, Origin=f"http://127.0.0.1:{self.port}")

    def head(self, more: str) -> bytes:
        """The head of a request that sends an image."""
        at = f"127.0.0.1:{self.port}"
        return f"POST /api/images?name=a.png HTTP/1.1\r\nHost: {at}\r\nOrigin: http://{at}\r\n{more}\r\n\r\n".encode()

    def raw(self, *parts: bytes, wait_s: float = 30) -> bytes:
        """Return the first line that answers bytes sent as they are."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait_s) as connection:
            with suppress(BrokenPipeError, ConnectionResetError):
                for part in parts:
                    connection.sendall(part)
            with suppress(ConnectionResetError):
                return connection.recv(300).partition(b"\r\n")[0]
        return b""

    @property
    def memory_mb(self) -> float:
        """What the server has in memory now."""
        return int(Path(f"/proc/{self.running.pid}/statm").read_text().split()[1]) * 4096 / 1e6

    def is_alive(self) -> None:
        """Fail unless it answers."""
        expect(self.ask("/api/models")[0] == 200, "the server does not answer any more")


@contextmanager
def serving(bench: Bench, *argv: object, before: Callable[[], object] | None = None) -> Iterator[Served]:
    """A server for this block, ended by Ctrl-C."""
    running = bench.start(*argv, before=before)
    port = lambda: ADDRESS.search(running._text("err") + running._text("out"))  # noqa: E731
    running.until(port, "the address")
    found = port()
    assert found is not None
    served = Served(running, int(found[1]))
    running.until(lambda: _connects(served.port), "listening")
    try:
        yield served
    finally:
        with suppress(ProcessLookupError):
            running.send(signal.SIGINT)
        running.wait()


def _connects(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _png(side: int = 20, mode: str = "RGB") -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.zeros((side, side), np.uint8)).convert(mode).save(content, "PNG")
    return content.getvalue()


def traversal(bench: Bench) -> str:
    with serving(bench, *NETWORK) as served:
        for path in TRAVERSALS:
            status, content, _ = served.ask(path)
            expect(status in {404, 405} and b"root:" not in content, f"{path}: {status}")
        served.is_alive()
    return f"{len(TRAVERSALS)} paths"


def foreign(bench: Bench) -> None:
    with serving(bench, *NETWORK) as served:
        for host in ("evil.example", "127.0.0.1", f"127.0.0.1:{served.port}.evil.example"):
            expect(served.ask("/", host=host)[0] == 403, f"the host {host} is let in")
        for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {}):
            status = served.ask("/api/images?name=a.png", "POST", _png(), **headers)[0]
            expect(status == 403, f"a POST from {headers or 'nowhere'} is let in")


def outside(bench: Bench) -> None:
    others = [info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    with serving(bench, *NETWORK) as served:
        for address in {str(one) for one in others if not str(one).startswith("127.")}:
            with suppress(OSError), socket.create_connection((address, served.port), timeout=2):
                expect(False, f"it listens on {address}")
    bench.refuses(2, *NETWORK, "--host", "0.0.0.0", names=["--host"])  # the page has no such option


def bodies(bench: Bench) -> str:
    def impatient() -> None:
        from striate.web import guard

        guard.BODY_TIME_S = 1.0

    with serving(bench, *NETWORK, before=impatient) as served:
        status = served.send(_png())[0]
        expect(status == 201, f"an image is not taken: {status}")
        before_mb = served.memory_mb
        large, chunk = f"Content-Length: {64 * MIB}", b"100000\r\n" + b"x" * MIB + b"\r\n"
        wrong = {
            "too large": (413, [served.head(large)]),
            "too large in chunks": (413, [served.head("Transfer-Encoding: chunked"), *([chunk] * 40)]),
            "slow": (408, [served.head("Content-Length: 1000"), b"abc"]),
            "slow in chunks": (408, [served.head("Transfer-Encoding: chunked"), b"3\r\nabc\r\n"]),
            "chunks that are none": (400, [served.head("Transfer-Encoding: chunked"), b"zz\r\nabc\r\n"]),
            "a length that is none": (400, [served.head("Content-Length: abc")]),
        }
        for name, (status, parts) in wrong.items():
            line = served.raw(*parts)
            expect(f" {status} ".encode() in line, f"{name}: {line[:60]!r}, not {status}")
        for _ in range(200):
            served.ask("/api/pass?model=nope&image=nope")
        served.is_alive()
        grown_mb = served.memory_mb - before_mb
        expect(grown_mb < 50, f"memory grew by {grown_mb:.0f} MB")
    return f"memory grew by {max(0.0, grown_mb):.0f} MB"


def images(bench: Bench) -> None:
    deep = io.BytesIO()
    Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20)).save(deep, "PNG")
    huge = bytearray(_png())
    huge[16:24] = (60_000).to_bytes(4, "big") * 2  # the header says 60,000 x 60,000
    with serving(bench, *NETWORK) as served:
        for name, body in {"text": b"hello", "cut": _png(300)[:90], "empty": b"", "bomb": bytes(huge)}.items():
            status, content, _ = served.send(body)
            said = json.loads(content)["error"]
            expect(status in {413, 422} and said["what"], f"{name}: {status}")
            expect("/tmp" not in content.decode(), f"{name}: a path is said")
        expect(served.send(deep.getvalue())[0] in {201, 422}, "16 bits are neither taken nor refused")
        exif, content = Image.Exif(), io.BytesIO()
        exif[0x0112] = 6  # lies on its side
        Image.fromarray(np.zeros((10, 30, 3), np.uint8)).save(content, "JPEG", exif=exif)
        entry = json.loads(served.send(content.getvalue(), "a.jpg")[1])
        shown = Image.open(io.BytesIO(served.ask(f"/api/images/{entry['id']}/thumbnail")[1]))
        expect(shown.height > shown.width, "an image is not turned upright")


def parallel(bench: Bench) -> None:
    path = "/api/probe?image=rings&op={}&channel=0&y=1&x=2&model="
    with serving(bench, *NETWORK) as served:
        model = json.loads(served.ask("/api/models")[1])["models"][0]["id"]
        serial = [served.ask(path.format(op) + model)[1] for op in range(5)]
        with ThreadPoolExecutor(50) as pool:
            wrong = pool.submit(served.send, b"no image")
            found = list(pool.map(lambda op: served.ask(path.format(op % 5) + model), range(50)))
        expect(wrong.result()[0] == 422, "what is no image is not refused")
        for op, (status, content, headers) in enumerate(found):
            expect(status in {200, 503}, f"answer {op} is {status}")
            expect(status == 503 or content == serial[op % 5], f"answer {op} is another than alone")
            expect(status == 200 or "retry-after" in headers, "503 without Retry-After")


def ends(bench: Bench) -> None:
    running = bench.start(*NETWORK, "--port", "18790")
    running.until(lambda: _connects(18790), "listening")
    busy = bench.refuses(5, *NETWORK, "--port", "18790", names=["18790", "--port 18791"])
    expect(busy.code == 5, "a busy port")
    served, body = Served(running, 18790), _png()
    with socket.create_connection(("127.0.0.1", 18790), timeout=20) as connection:
        connection.sendall(served.head(f"Content-Length: {len(body)}") + body[:20])
        time.sleep(0.3)
        running.send(signal.SIGTERM)
        time.sleep(0.3)
        connection.sendall(body[20:])
        expect(b" 201 " in connection.recv(100), "the request at work is not answered")
    outcome = running.wait()
    expect(outcome.code == 143, f"exit {outcome.code} after SIGTERM, not 143")
    expect("Traceback" not in outcome.err, "a traceback")


def bug(bench: Bench) -> None:
    def broken() -> None:
        from striate.explore.shelf import Shelf

        Shelf.thumbnail = lambda *arguments: 1 / 0  # type: ignore[assignment, method-assign, return-value]

    with serving(bench, *NETWORK, before=broken) as served:
        status, content, _ = served.ask("/api/images/rings/thumbnail")
        said = json.loads(content)["error"]
        expect(status == 500 and said["id"] in said["what"], f"{status}: {content[:100]!r}")
        text = content.decode()
        expect("Error" not in text and ".py" not in text and "/" not in text, "a stack or a path is said")
        served.is_alive()


ROWS = (
    Row("J1", "explore: paths that lead out", traversal),
    Row("J2", "explore: other hosts and pages", foreign),
    Row("J3", "explore: other addresses of this machine", outside),
    Row("J4", "explore: bodies too large, slow, wrong", bodies),
    Row("J5", "explore: images that are none", images),
    Row("J6", "explore: fifty requests at once", parallel),
    Row("J7", "explore: a busy port, SIGTERM during a request", ends),
    Row("J8", "explore: a bug", bug),
)
