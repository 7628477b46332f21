"""The server answers its own page on this machine, and nobody else; what is wrong it says, and lives on."""

import contextlib
import http.client
import io
import json
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from explore_site import serving, small_workspace
from PIL import Image

from striate.data.geometry import Geometry
from striate.data.volume_geometry import VolumeGeometry
from striate.explore.workspace import Subject, Workspace
from striate.predict import Predictor
from striate.predict.volumes import VolumePredictor
from striate.task.restore.ways import Denoise
from striate.task.segment import Segment
from striate.web import guard
from striate.web.guard import MAX_BODY_BYTES
from striate.web.wire import unpack

SECRET = "root:"
OUTSIDE = "etc/passwd"
TRAVERSALS = [
    prefix + up * 8 + OUTSIDE.replace("/", slash)
    for prefix in ("/static/", "/api/images/", "/")
    for up, slash in (
        ("../", "/"), ("..%2f", "%2f"), ("%2e%2e/", "/"), ("%2e%2e%2f", "%2f"), ("%252e%252e%252f", "%252f"),
        ("..\\", "\\"), ("..%5c", "%5c"), ("....//", "/"), ("..%c0%af", "%c0%af"), ("..%00/", "/"),
    )
]  # fmt: skip


def ask(site, path, method="GET", body=None, host=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", f"127.0.0.1:{site.port}" if host is None else host)
    for key, value in headers.items():
        connection.putheader(key.replace("_", "-"), value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    assert not any(key.lower().startswith("access-control") for key, _ in reply.getheaders())
    return reply, content


def png(side=20, mode="RGB"):
    content = io.BytesIO()
    Image.fromarray(np.arange(side * side, dtype=np.uint8).reshape(side, side)).convert(mode).save(content, "PNG")
    return content.getvalue()


def send(site, body, name="a.png", **headers):
    return ask(site, f"/api/images?name={name}", "POST", body, Origin=site.url.rstrip("/"), **headers)


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_leads_out(site, path):
    reply, content = ask(site, path)
    assert reply.status in {404, 405}
    assert SECRET not in content.decode("utf-8", "replace")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", ""])
def test_another_host_is_refused(site, host):
    assert ask(site, "/", host=host.format(port=site.port))[0].status == 403


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {}])
def test_another_origin_is_refused(site, headers):
    assert ask(site, "/api/images?name=a.png", "POST", png(), **headers)[0].status == 403


def test_each_answer_has_the_policy(site):
    for path in ("/", "/static/style.css", "/api/models", "/nothing"):
        headers = dict(ask(site, path)[0].getheaders())
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert headers["x-content-type-options"] == "nosniff"


def test_bodies_over_the_cap_are_refused_before_they_come(site):
    connection = socket.create_connection(("127.0.0.1", site.port), timeout=20)
    head = f"POST /api/images?name=a.png HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\nOrigin: {site.url.rstrip('/')}\r\n"
    connection.sendall(f"{head}Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode())
    assert b" 413 " in connection.recv(200)
    connection.close()


def test_chunks_over_the_cap_are_refused(site):
    connection = socket.create_connection(("127.0.0.1", site.port), timeout=20)
    head = f"POST /api/images?name=a.png HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\nOrigin: {site.url.rstrip('/')}\r\n"
    connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for _ in range((MAX_BODY_BYTES >> 20) + 2):
            connection.sendall(chunk)
    with contextlib.suppress(ConnectionResetError):
        assert b" 413 " in connection.recv(200)
    connection.close()
    assert ask(site, "/api/models")[0].status == 200


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        ("Content-Length: 1000", b"abc", 408),
        ("Transfer-Encoding: chunked", b"3\r\nabc\r\n", 408),
        ("Transfer-Encoding: chunked", b"zz\r\nabc\r\n", 400),
        ("Content-Length: abc", b"", 400),
    ],
)
def test_bodies_that_are_slow_or_no_bodies_are_answered(site, monkeypatch, head, body, status):
    monkeypatch.setattr(guard, "BODY_TIME_S", 0.2)
    connection = socket.create_connection(("127.0.0.1", site.port), timeout=20)
    start = f"POST /api/images?name=a.png HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\nOrigin: {site.url.rstrip('/')}\r\n"
    connection.sendall(f"{start}{head}\r\n\r\n".encode() + body)
    assert f" {status} ".encode() in connection.recv(200)
    connection.close()
    assert ask(site, "/api/models")[0].status == 200


@contextlib.contextmanager
def kept_from_hanging(server):
    try:
        yield
    finally:
        server.kill()


@pytest.mark.slow  # a process of its own; row J7 of tools/faults.py has it, too
def test_sigterm_lets_the_request_at_work_end():
    words = [sys.executable, "-m", "striate", "explore", "--playground", "--no-browser"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as server, kept_from_hanging(server):
        port = urlsplit(server.stderr.readline().split("  ")[0]).port
        body, host = png(), f"127.0.0.1:{port}"
        head = f"POST /api/images?name=a.png HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:30])
            time.sleep(0.2)
            server.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            connection.sendall(body[30:])
            assert b" 201 " in connection.recv(200)
        assert server.wait(20) == 143
        assert "Traceback" not in server.stderr.read()


@pytest.mark.parametrize(
    ("body", "name"),
    [(b"", "a.png"), (b"hello", "a.png"), (png()[:60], "a.png"), (b"\x89PNG\r\n\x1a\n" + b"\0" * 99, "a.png")],
)
def test_what_is_no_image_is_said_to_be_none(site, body, name):
    reply, content = send(site, body, name)
    said = json.loads(content)["error"]
    assert reply.status == 422
    assert said["what"]
    assert "/tmp" not in content.decode()


def test_an_image_whose_file_has_gone_is_no_bug():
    space = small_workspace()
    with serving(space) as site:
        id_ = json.loads(send(site, png(), "gone.png")[1])["id"]
        space.shelf.find(id_).path.unlink()
        model, *_ = space.subjects.values()
        for path in (f"/api/images/{id_}/thumbnail", f"/api/predict?model={model.id}&image={id_}"):
            reply, content = ask(site, path)
            said = json.loads(content)["error"]
            assert reply.status == 422 and said["fix"]


def test_an_image_is_kept_by_id_and_shown_without_its_metadata(site):
    image, content = Image.fromarray(np.zeros((40, 30, 3), np.uint8)), io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    image.save(content, "JPEG", exif=exif)
    entry = json.loads(send(site, content.getvalue(), "..%2f..%2fx.jpg")[1])
    reply, thumbnail = ask(site, f"/api/images/{entry['id']}/thumbnail")
    assert reply.status == 200
    assert b"secret" in content.getvalue()
    assert b"secret" not in thumbnail
    assert max(Image.open(io.BytesIO(thumbnail)).size) <= 96


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/models/nope", 404),
        ("/api/pass?model=plain&image=nope", 404),
        ("/api/pass?model=nope&image=rings", 404),
        ("/api/pass?image=rings", 400),
        ("/api/maps?model=plain&image=rings&op=999", 404),
        ("/api/maps?model=plain&image=rings&op=x", 400),
        ("/api/maps?model=plain&image=rings&op=0&sort=colour", 400),
        ("/api/channel?model=plain&image=rings&op=0&channel=99", 404),
        ("/api/probe?model=plain&image=rings&op=0&channel=0&y=99&x=0", 404),
        ("/api/probe?model=plain&image=rings&op=0&channel=0&y=-1&x=0", 400),
        ("/api/images/rings/thumbnail?side=100000", 400),
        ("/nothing", 404),
    ],
)
def test_wrong_questions_are_answered(site, path, status):
    reply, content = ask(site, path)
    assert reply.status == status
    assert json.loads(content)["error"]["what"]


def test_a_bug_has_a_number_and_no_path(site, monkeypatch):
    monkeypatch.setattr(site.workspace.shelf, "of_run", None)
    monkeypatch.setattr(type(site.workspace.shelf), "uploads", property(lambda shelf: 1 / 0))
    reply, content = ask(site, "/api/images?model=plain")
    said = json.loads(content)["error"]
    assert reply.status == 500
    assert said["id"] in said["what"]
    assert "Error" not in content.decode() and ".py" not in content.decode()


def test_parallel_questions_get_the_answers_of_serial_ones(site):
    paths = [f"/api/probe?model=residual&image=rings&op={op}&channel=0&y=1&x=2" for op in range(7)] * 7
    serial = [unpack(ask(site, path)[1]) for path in paths[:7]]
    with ThreadPoolExecutor(12) as pool:
        parallel = [unpack(content) for _, content in pool.map(lambda path: ask(site, path), paths)]
    for place, (head, arrays) in enumerate(parallel):
        assert head == serial[place % 7][0]
        assert all(np.array_equal(array, serial[place % 7][1][name]) for name, array in arrays.items())


def test_a_full_queue_says_so(site):
    worker = site.server.config.app.app.state.desk.reads
    kept, worker.max_waiting = worker.max_waiting, 0
    try:
        reply, _ = ask(site, "/api/maps?model=residual&image=rings&op=0")
    finally:
        worker.max_waiting = kept
    assert reply.status == 503
    assert reply.getheader("Retry-After") == "1"


def test_predictions_are_those_of_the_library(site):
    head, arrays = unpack(ask(site, "/api/predict?model=plain&image=stripes")[1])
    entry = site.workspace.shelf.find("stripes")
    expected = site.workspace.subjects["plain"].load()([entry.path])[0].to_json()
    assert head["prediction"] == expected | {"id": "stripes"}
    assert arrays["own"].shape == (3, 128, 128)
    assert arrays["fitted"].shape == (3, 16, 16)


def test_a_port_that_is_busy_is_said_with_the_next(site):
    from striate.base.errors import ResourceError
    from striate.web.listen import bound

    with pytest.raises(ResourceError, match="busy") as caught:
        bound(site.port)
    assert "--port" in caught.value.fix


def test_it_listens_on_loopback_only(site):
    assert site.listener.getsockname()[0] == "127.0.0.1"


EXPLAINED = ("answer?", "why?method=gradient&", "occlusion?patch=3&stride=3&fill=mean&")
MAPS = ("pass?", "seen?", "attack?", "predict?", *EXPLAINED)


@pytest.mark.parametrize(("kind", "says"), [("volume", "takes volumes"), ("restore", "answers with an image")])
def test_what_a_view_cannot_show_is_one_line_and_no_bug(kind, says):
    if kind == "volume":
        network, geometry = torch.nn.Conv3d(1, 2, 1), VolumeGeometry((4, 8, 8), channels=1)
        predictor = VolumePredictor(network, Segment("mask", ("background", "organ")), geometry, (0.0,), (1.0,))
    else:
        geometry = Geometry((16, 16), "squash", margin=1.0, channels=3)
        numbers = (0.0,) * 3, (1.0,) * 3
        task = Denoise("image", ("r", "g", "b"), mean=numbers[0], std=numbers[1])
        predictor = Predictor(torch.nn.Conv2d(3, 3, 1), task, geometry, *numbers)
    space = Workspace.of([Subject("m", "m", lambda: predictor, about="fixed weights")], "test")
    with serving(space) as site:
        for name in MAPS if kind == "volume" else EXPLAINED:
            reply, content = ask(site, f"/api/{name}model=m&image=rings&target=")
            said = json.loads(content.splitlines()[-1])["error"]["what"]
            assert reply.status < 500 and says in said
