"""Requests a second and latency of `striate serve` beside a plain FastAPI handler with torch, at 1, 8 and 32 clients.

Both answer to the same JPEG files with the same network on the same number of threads, each in a process of its own.
They take turns, round by round; the ratio of a round is of neighbours, which a loaded machine slows alike.

    python benchmarks/serve_load.py RUN IMAGES --machine epyc > benchmarks/results/speed-serve.json
    python benchmarks/table.py

Nine loads of an arm, 5 s each, and two starts: two minutes where nothing else runs (--seconds, --rounds).
"""

import argparse
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from datetime import date
from pathlib import Path
from statistics import median

PLAIN = """
import io, sys
import torch, uvicorn
from fastapi import FastAPI, Request
from PIL import Image
from striate.predict import Predictor

torch.set_num_threads(int(sys.argv[3]))
predictor, app = Predictor.load(sys.argv[1]), FastAPI()
network, (height, width) = predictor.network, predictor.geometry.size_hw
mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (predictor.mean, predictor.std))

@app.post("/predict")
async def predict(request: Request):
    image = Image.open(io.BytesIO(await request.body())).convert("RGB").resize((width, height))
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(height, width, 3).permute(2, 0, 1)
    with torch.inference_mode():
        shares = network(((pixels / 255 - mean) / std)[None]).softmax(1)[0]
    return dict(zip(predictor.task.names, shares.tolist()))

@app.get("/health")
def health():
    return {"status": "ok"}

uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
"""


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def started(arm: str, run: str, threads: int) -> tuple[subprocess.Popen[bytes], int]:
    """Return a server of an arm that answers, and its port."""
    port = free_port()
    ours = ["-m", "striate", "serve", run, "--port", str(port), "--threads", str(threads)]
    words = ours if arm == "striate" else ["-c", PLAIN, run, str(port), str(threads)]
    process = subprocess.Popen([sys.executable, *words], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            ask(http.client.HTTPConnection("127.0.0.1", port, timeout=5), "GET", "/health", None)
            return process, port
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"the server of {arm} ended with {process.returncode}")


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None) -> None:
    """Send a request and read its answer."""
    connection.request(method, path, body, {"Content-Type": "application/octet-stream"} if body else {})
    reply = connection.getresponse()
    reply.read()
    if reply.status != 200:
        raise SystemExit(f"{path} is answered by {reply.status}")


def load(port: int, files: list[bytes], num: int, seconds: float) -> tuple[float, float]:
    """Return requests a second and the 99th percentile of their milliseconds, of so many clients at once."""
    times_ms: list[float] = []
    end_s = time.monotonic() + seconds

    def client(number: int) -> None:
        connection, turn = http.client.HTTPConnection("127.0.0.1", port, timeout=120), number
        while time.monotonic() < end_s:
            start_s = time.monotonic()
            ask(connection, "POST", "/predict", files[turn % len(files)])
            times_ms.append(1000 * (time.monotonic() - start_s))
            turn += num

    start_s, threads = time.monotonic(), [threading.Thread(target=client, args=(number,)) for number in range(num)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rank = sorted(times_ms)
    return len(rank) / (time.monotonic() - start_s), rank[min(len(rank) - 1, int(0.99 * len(rank)))]


def row_of(num: int, found: dict[str, list[tuple[float, float]]]) -> dict[str, object]:
    """Return the row of so many clients: the median ratio of neighbouring rounds, its range, and both arms' medians."""
    rates = [mine / other for (mine, _), (other, _) in zip(found["striate"], found["plain"], strict=True)]
    (mine, mine_ms), (other, other_ms) = (
        [median(values) for values in zip(*found[arm], strict=True)] for arm in ("striate", "plain")
    )
    return {
        "what": f"{num} client{'s' * (num > 1)}",
        "value": round(median(rates), 2),
        "interval": [round(min(rates), 2), round(max(rates), 2)],
        "note": f"{mine:.0f} against {other:.0f} requests a second; 99 of 100 answered within {mine_ms:.0f} against "
        f"{other_ms:.0f} ms",
    }


def document(rows: list[dict[str, object]], given: argparse.Namespace) -> dict[str, object]:
    """Return the measurement as benchmarks/results holds it."""
    return {
        "section": "Speed",
        "title": "A server",
        "data": f"requests a second of JPEG files, {given.threads} thread{'s' * (given.threads > 1)}, against FastAPI "
        "with Pillow and the same network in torch",
        "score": "times as many",
        "unit": "x",
        "interval": "range",
        "machine": given.machine,
        "date": date.today().isoformat(),
        "command": "python benchmarks/serve_load.py RUN IMAGES",
        "rows": rows,
    }


def main() -> None:
    """Measure both, and print a document of benchmarks/results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("images", type=Path)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--machine", default="epyc", help="of benchmarks/results/machines.json")
    given = parser.parse_args()
    files = [path.read_bytes() for path in sorted(given.images.rglob("*.jpg"))[:64]]
    servers = {arm: started(arm, given.run, given.threads) for arm in ("striate", "plain")}
    try:
        for _, port in servers.values():
            load(port, files, 2, 1.0)  # what is made at the first request
        rows: list[dict[str, object]] = []
        for num in (1, 8, 32):
            found: dict[str, list[tuple[float, float]]] = {arm: [] for arm in servers}
            for _ in range(given.rounds):
                for arm, (_, port) in servers.items():
                    found[arm].append(load(port, files, num, given.seconds))
            rows.append(row_of(num, found))
        print(json.dumps(document(rows, given), indent=1))
    finally:
        for process, _ in servers.values():
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
