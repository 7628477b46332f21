"""The prediction server answers what `predict` answers, in batches, and refuses what is not for it."""

import asyncio
import base64
import contextlib
import http.client
import io
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import uvicorn
from PIL import Image
from torch import nn

from striate.base.errors import ModelError
from striate.data.geometry import Geometry
from striate.data.levels import FULL
from striate.predict import Predictor
from striate.predict.series import SeriesPredictor
from striate.run.execute import train
from striate.run.recipe import named
from striate.serve.answerer import Answerer
from striate.serve.app import create_app
from striate.serve.batcher import Batcher
from striate.task.classify import Classify
from striate.web.guard import MAX_BODY_BYTES, Busy
from striate.web.listen import next_free

TOKEN = "a-token"
NOT_OURS = (b"{", b"[]", b'{"images": []}', b'{"image": 1}', b'{"image": "%"}')


@pytest.fixture
def run(tiny, quiet, tmp_path):
    recipe = named("regularized").changed(["train.epochs=1", "model.width=4", "model.depth=1"])
    return train(tiny, "bipyramid", recipe, target="label", out=tmp_path / "run", progress=quiet)


@contextlib.contextmanager
def serving(answerer, token=None):
    """Yield the port of a server in a thread of this process."""
    with next_free(20000) as listener:
        port = listener.getsockname()[1]
        app = create_app(answerer, [f"127.0.0.1:{port}"], token)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield port
        finally:
            server.should_exit = True
            thread.join(20)


def ask(port, path="/predict", body=None, **headers):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET" if body is None else "POST", path, body, headers)
        reply = connection.getresponse()
        return reply.status, reply.read()


def files(num=6):
    rng, found = np.random.default_rng(0), []
    for _ in range(num):
        content = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (24, 30, 3), np.uint8)).save(content, "PNG")
        found.append(content.getvalue())
    return found


def test_it_answers_as_predict_does(run, tmp_path):
    contents = files()
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.png").write_bytes(content)
    wanted = [one.probabilities for one in Predictor.load(run)([tmp_path / f"{n}.png" for n in range(len(contents))])]
    for uses_onnx in (True, False):
        answerer = Answerer(run, threads=1, uses_onnx=uses_onnx)
        assert answerer.engine == ("onnxruntime" if uses_onnx else "torch")
        with serving(answerer) as port, ThreadPoolExecutor(6) as pool:
            replies = list(pool.map(lambda content, at=port: ask(at, body=content), contents))
            assert [status for status, _ in replies] == [200] * 6
            for (_, reply), one in zip(replies, wanted, strict=True):
                assert json.loads(reply)["probabilities"] == pytest.approx(one, abs=1e-4)
            texts = [base64.b64encode(content).decode() for content in contents]
            several = json.dumps({"images": texts}).encode()
            for headers in ({"Content-Type": "application/json"}, {}):
                reply = json.loads(ask(port, body=several, **headers)[1])
                assert [one["probabilities"] for one in reply["predictions"]] == [
                    pytest.approx(one, abs=1e-4) for one in wanted
                ]
            assert json.loads(ask(port, "/health")[1]) == {"status": "ok"}
            assert json.loads(ask(port, "/info")[1])["names"] == ["top", "middle", "bottom"]


def test_what_is_not_for_it_is_refused_in_a_line(run):
    good = files(1)[0]
    with serving(Answerer(run, uses_onnx=False), TOKEN) as port:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        json_ = {"Content-Type": "application/json"}
        cases = [
            (401, {}, good),
            (401, {"Authorization": "Bearer wrong"}, good),
            (403, {**bearer, "Host": "evil.example"}, good),
            (403, {**bearer, "Origin": "http://evil.example"}, good),
            (422, bearer, b"hello"),
            (422, bearer, good[:60]),
            (422, bearer, b""),
            (415, {**bearer, "Content-Type": "multipart/form-data; boundary=x"}, b"--x"),
            (413, {**bearer, "Content-Length": str(MAX_BODY_BYTES + 1)}, b"x"),
            *(
                (400, {**bearer, **json_}, body)
                for body in (b"{", b"[]", b'{"images": []}', b'{"image": 1}', b'{"image": "%"}')
            ),
            (404, bearer, None),
        ]
        for status, headers, body in cases:
            found, reply = ask(port, "/nothing" if body is None else "/predict", body, **headers)
            error = json.loads(reply)["error"]
            assert (found, bool(error["what"] and error["fix"])) == (status, True), (status, headers, body, reply)
            assert str(run.path).encode() not in reply
        assert json.loads(ask(port, "/predict", **bearer)[1])["error"]["fix"] == "use POST"
        assert ask(port, "/health")[0] == 200 and ask(port, "/")[0] == 200  # nothing of the run is in these
        assert ask(port, "/info")[0] == 401
        assert ask(port, body=good, **bearer)[0] == 200


def test_garbage_on_the_socket_does_not_end_it(run):
    with serving(Answerer(run, uses_onnx=False)) as port:
        for garbage in (b"\0\xff" * 50, b"POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"GET"):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(garbage)
        assert ask(port, body=files(1)[0])[0] == 200


def test_what_waits_is_answered_in_one_pass_and_errors_reach_all_it_was_made_of():
    passes = []

    def call(items):
        passes.append(list(items))
        time.sleep(0.05)
        if "bad" in items:
            raise ValueError("bad")
        return [item.upper() for item in items]

    async def scenario():
        batcher = Batcher(call, max_batch=3, max_waiting=5)
        first = asyncio.create_task(batcher("a"))
        await asyncio.sleep(0.01)
        rest = [asyncio.create_task(batcher(item)) for item in "bcdef"]
        await asyncio.sleep(0.01)
        with pytest.raises(Busy, match="5 images wait"):
            await batcher("g")
        assert [await one for one in (first, *rest)] == list("ABCDEF")
        assert passes == [["a"], ["b", "c", "d"], ["e", "f"]]
        with pytest.raises(ValueError, match="bad"):
            await batcher("bad")
        assert await batcher("h") == "H"  # and goes on
        batcher.close()

    with ThreadPoolExecutor(1) as pool:  # other tests' browsers leave a loop in this thread
        pool.submit(lambda: asyncio.run(scenario())).result()


@pytest.mark.parametrize(("channels", "depth", "levels"), [(1, 8, FULL), (3, 8, (0, 4095)), (1, 16, (100, 4095))])
def test_deep_and_coloured_files_are_read_as_predict_reads_them(tmp_path, channels, depth, levels):
    rng = np.random.default_rng(1)
    pixels = {
        "deep.png": Image.fromarray(rng.integers(0, 4096, (24, 30), np.uint16)),
        "colour.jpg": Image.fromarray(rng.integers(0, 255, (24, 30, 3), np.uint8)),
    }
    network = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 3))
    geometry = Geometry((16, 16), channels=channels, depth=depth)
    task = Classify("y", ("a", "b", "c"))
    answerer = object.__new__(Answerer)
    answerer.predictor = Predictor(network, task, geometry, [0.0] * channels, [0.01] * channels, levels=levels)
    for name, image in pixels.items():
        image.save(tmp_path / name)
        served = answerer([answerer.decoded((tmp_path / name).read_bytes(), "image 0")])[0]
        assert served.probabilities == answerer.predictor(tmp_path / name)[0].probabilities


def test_runs_that_take_no_images_are_refused_before_anything_listens(monkeypatch, tmp_path):
    monkeypatch.setattr(Predictor, "load", lambda run: object.__new__(SeriesPredictor))
    with pytest.raises(ModelError, match="a run of series: the server takes images"):
        Answerer(tmp_path)
