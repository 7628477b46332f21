"""J1 to J8 for `striate serve`: a server that answers to images, asked badly."""

import http.client
import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from .bench import Bench, expect
from .page import TRAVERSALS, Served, _connects, _png, serving
from .pictures import SMALL, encoded, pixels, put
from .sheet import Row

PORT = 18890
SERVE = ("serve", "run", "--engine", "torch", "--threads", "1")


def _trained(bench: Bench) -> Path:
    for name in ("a", "b"):
        for number in range(8):
            put(bench.folder / "data" / name / f"{number}.png", encoded(pixels(f"{name}{number}")))
    bench.works("train", "data", *SMALL, "--out", "run")
    return bench.folder / "run"


@contextmanager
def _answering(bench: Bench, *more: str, before: Callable[[], object] | None = None) -> Iterator[Served]:
    _trained(bench)
    with serving(bench, *SERVE, *more, before=before) as served:
        yield served


def _ask(served: Served, body: bytes, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    return served.ask("/predict", "POST", body, **headers)


def strangers(bench: Bench) -> str:
    with _answering(bench) as served:
        for path in TRAVERSALS:
            status, content, _ = served.ask(path)
            expect(status in {404, 405} and b"root:" not in content, f"{path}: {status}")
        for host in ("evil.example", "127.0.0.1", f"127.0.0.1:{served.port}.evil.example"):
            expect(served.ask("/", host=host)[0] == 403, f"the host {host} is let in")
        for origin in ("http://evil.example", "null"):
            expect(_ask(served, _png(), Origin=origin)[0] == 403, f"a page of {origin} is let in")
        expect(_ask(served, _png())[0] == 200, "a good image is not answered")
    return f"{len(TRAVERSALS)} paths"


def tokens(bench: Bench) -> None:
    _trained(bench)
    running = bench.start(*SERVE, "--host", "0.0.0.0", "--port", str(PORT))
    running.until(lambda: _connects(PORT), "listening")
    served = Served(running, PORT)
    expect("#token=" in running._text("err"), "no token is printed")
    expect("//0.0.0.0" not in running._text("err"), "the address is one that nobody can ask for")
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        expect(_ask(served, _png(), **headers)[0] == 401, "an image without the token is answered")
    expect(served.ask("/info")[0] == 401, "what the run is can be read without the token")
    running.send(signal.SIGINT)
    running.wait()


def bodies(bench: Bench) -> str:
    def impatient() -> None:
        from striate.web import guard

        guard.BODY_TIME_S = 5.0

    with _answering(bench, before=impatient) as served:
        _ask(served, _png())
        before_mb = served.memory_mb
        head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n{{}}\r\n\r\n"
        chunk = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
        wrong = {
            "Content-Length: 67108864": (413, []),
            "Transfer-Encoding: chunked": (413, [chunk] * 40),
            "Content-Length: 1000": (408, [b"abc"]),
            "Content-Length: abc": (400, []),
        }
        for line, (status, parts) in wrong.items():
            reply = served.raw(head.format(line).encode(), *parts)
            expect(f" {status} ".encode() in reply, f"{line}: {reply[:60]!r}, not {status}")
        expect(_ask(served, _png())[0] == 200, "the server does not answer any more")
        grown_mb = served.memory_mb - before_mb
        expect(grown_mb < 60, f"memory grew by {grown_mb:.0f} MB")
    return f"memory grew by {max(0.0, grown_mb):.0f} MB"


def images(bench: Bench) -> None:
    huge = bytearray(_png())
    huge[16:24] = (60_000).to_bytes(4, "big") * 2  # the header says 60,000 x 60,000
    with _answering(bench) as served:
        for name, body in {"text": b"hello", "cut": _png(300)[:90], "empty": b"", "bomb": bytes(huge)}.items():
            status, content, _ = _ask(served, body)
            expect(status in {413, 422} and json.loads(content)["error"]["what"], f"{name}: {status}")
            expect(str(bench.folder) not in content.decode(), f"{name}: a path is said")


def parallel(bench: Bench) -> None:
    some = [encoded(pixels(f"p{number}")) for number in range(5)]
    with _answering(bench) as served:
        alone = [json.loads(_ask(served, one)[1])["probabilities"] for one in some]
        with ThreadPoolExecutor(50) as pool:
            wrong = pool.submit(_ask, served, b"no image")
            found = list(pool.map(lambda number: _ask(served, some[number % 5]), range(50)))
        expect(wrong.result()[0] == 422, "what is no image is not refused")
        for number, (status, content, headers) in enumerate(found):
            expect(status == 200 or (status == 503 and "retry-after" in headers), f"answer {number} is {status}")
            if status == 200:
                shares = json.loads(content)["probabilities"]
                gap = max(abs(shares[name] - value) for name, value in alone[number % 5].items())
                expect(gap < 1e-4, f"answer {number} is another than alone, by {gap:.2g}")


def ends(bench: Bench) -> None:
    _trained(bench)
    running = bench.start(*SERVE, "--port", str(PORT))
    running.until(lambda: _connects(PORT), "listening")
    bench.refuses(5, *SERVE, "--port", str(PORT), names=[str(PORT), f"--port {PORT + 1}"])
    body = _png()
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", PORT), timeout=20) as connection:
        connection.sendall(head + body[:20])
        time.sleep(0.3)
        running.send(signal.SIGTERM)
        time.sleep(0.3)
        connection.sendall(body[20:])
        expect(b" 200 " in connection.recv(100), "the request at work is not answered")
    outcome = running.wait()
    expect(outcome.code == 143, f"exit {outcome.code} after SIGTERM, not 143")
    expect("Traceback" not in outcome.err, "a traceback")
    expect(outcome.last.startswith("Stopped by SIGTERM"), f"said at the end: {outcome.last}")


def bug(bench: Bench) -> None:
    def broken() -> None:
        from striate.serve.answerer import Answerer

        Answerer.__call__ = lambda *arguments: 1 / 0  # type: ignore[assignment, method-assign, return-value]

    with _answering(bench, before=broken) as served:
        status, content, _ = _ask(served, _png())
        said, text = json.loads(content)["error"], content.decode()
        expect(status == 500 and said["id"] in said["what"], f"{status}: {content[:100]!r}")
        expect("Error" not in text and ".py" not in text and "/" not in text, "a stack or a path is said")
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
        connection.request("GET", "/health")
        expect(connection.getresponse().status == 200, "the server does not answer any more")
        connection.close()


ROWS = (
    Row("J1b", "serve: paths that lead out, other hosts and pages (J1, J2)", strangers),
    Row("J3b", "serve: other addresses without the token", tokens),
    Row("J4b", "serve: bodies too large, slow, wrong", bodies),
    Row("J5b", "serve: images that are none", images),
    Row("J6b", "serve: fifty requests at once", parallel),
    Row("J7b", "serve: a busy port, SIGTERM during a request", ends),
    Row("J8b", "serve: a bug", bug),
)
