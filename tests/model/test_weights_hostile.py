"""Weights files made by an enemy: refused in one line, nothing in them runs, nothing is half loaded."""

import io
import json
import os
import pickle
import struct
import time
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from striate.base.errors import ModelError
from striate.model import zoo
from striate.model.import_weights import import_weights
from striate.model.weights import load


@pytest.fixture(scope="module")
def network():
    return zoo.build("mlp", classes=3, size=8, depth=1, width=8, seed=0)


class Payload:
    """Runs a command when it is read."""

    def __init__(self, canary) -> None:
        self.command = f"touch {canary}"

    def __reduce__(self):
        return os.system, (self.command,)


def plain(content, path) -> None:
    path.write_bytes(pickle.dumps(content))


def zipped(content, path) -> None:
    torch.save(content, path)


def legacy(content, path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def refused(network, path, canary) -> ModelError:
    """The error of loading; nothing ran and nothing was loaded."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ModelError) as caught:
        load(network, path)
    assert not canary.exists()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert caught.value.where == str(path) and len(caught.value.line) <= 240
    return caught.value


def test_code_in_a_weights_file_does_not_run(network, tmp_path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "weights.pth"
    zipped({"state_dict": {"a": torch.zeros(2), "b": Payload(canary)}}, path)
    problem = refused(network, path, canary)
    assert problem.what in {f"weights refused: it would run code ({name}.system)" for name in ("posix", "nt")}


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".pt", ".ckpt", ".bin", ".th"])
@pytest.mark.parametrize("write", [plain, zipped, legacy])
def test_code_does_not_run_in_any_layout_under_any_suffix(suffix, write, network, tmp_path) -> None:
    canary, path = tmp_path / "canary", tmp_path / f"weights{suffix}"
    write({"state_dict": {"a": torch.zeros(2), "b": Payload(canary)}}, path)
    assert "refused" in refused(network, path, canary).what


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_payload_under_another_suffix_does_not_run(suffix, network, tmp_path) -> None:
    canary, path = tmp_path / "canary", tmp_path / f"weights{suffix}"
    path.write_bytes(pickle.dumps(Payload(canary)))
    with pytest.raises(ModelError, match="cannot read weights"):
        load(network, path)
    assert not canary.exists()


def test_a_payload_inside_npz_does_not_run(network, tmp_path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "weights.npz"
    np.savez(path, a=np.array([Payload(canary)], dtype=object))
    with pytest.raises(ModelError, match="Object arrays"):
        load(network, path)
    assert not canary.exists()


@pytest.mark.slow
def test_a_whole_module_and_torchscript_are_refused(network, tmp_path) -> None:
    path = tmp_path / "module.pt"
    torch.save(nn.Linear(2, 2), path)
    with pytest.raises(ModelError, match=r"would run code \(torch.nn"):
        load(network, path)
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:  # the layout of TorchScript
        archive.writestr("script/constants.pkl", pickle.dumps(()))
        archive.writestr("script/data.pkl", pickle.dumps({}))
        archive.writestr("script/code/__torch__.py", "")
        archive.writestr("script/version", "3\n")
        archive.writestr("script/byteorder", "little")
    with pytest.raises(ModelError, match="TorchScript"):
        load(network, tmp_path / "script.pt")


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", pickle.dumps([1, 2]), pickle.dumps({"a": 1})])
def test_files_without_tensors_are_refused(content, network, tmp_path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    assert "refused" in refused(network, path, tmp_path / "canary").what


@pytest.mark.slow
def test_a_list_of_tensors_and_an_empty_table_are_refused(network, tmp_path) -> None:
    path = tmp_path / "weights.pth"
    for content, reason in (([torch.zeros(2)], "one list, not named tensors"), ({"epoch": 3}, "no tensors")):
        torch.save(content, path)
        with pytest.raises(ModelError, match=reason):
            load(network, path)
    torch.save({"a": torch.zeros(3, 3).to_sparse()}, path)
    with pytest.raises(ModelError, match="sparse"):
        load(network, path)


def test_memory_and_time_have_limits(tmp_path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(40_000_000)}, path)
    with pytest.raises(ModelError, match="memory"):
        import_weights(path, tmp_path / "out.safetensors", memory_bytes=20_000_000)
    assert not (tmp_path / "out.safetensors").exists()


def test_tensors_keep_their_order_and_shared_ones_are_written_twice(tmp_path) -> None:
    path, shared = tmp_path / "weights.pth", torch.arange(6.0)
    torch.save({"z": shared, "a": shared[2:], "m": torch.ones(2, dtype=torch.float16)}, path)
    out = import_weights(path, tmp_path / "out.safetensors")
    size = struct.unpack("<Q", out.read_bytes()[:8])[0]
    head = json.loads(out.read_bytes()[8 : 8 + size])
    assert json.loads(head["__metadata__"]["order"]) == ["z", "a", "m"]
    assert head["a"]["shape"] == [4] and head["m"]["dtype"] == "F16"


def header(content: dict, body: bytes = b"") -> bytes:
    text = json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text + body


ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
HOSTILE = {
    "header of 2**40 bytes": struct.pack("<Q", 1 << 40) + b"{}",
    "truncated": header({"a": ONE}, b"1234"),
    "trailing bytes": header({"a": ONE}, b"12345678PK\x03\x04"),
    "overlap": header({"a": ONE, "b": ONE}, b"12345678"),
    "a name twice": struct.pack("<Q", 120)
    + (json.dumps({"a": ONE})[:-1] + ", " + json.dumps({"a": ONE})[1:]).ljust(120).encode()
    + b"12345678",
    "million tensors": None,  # is made by its test: 20 MB
    "no JSON": struct.pack("<Q", 4) + b"nope",
    "empty": b"",
    "order is no list": header({"__metadata__": {"order": '{"a": 1}'}, "a": ONE}, b"12345678"),
    "order is no JSON": header({"__metadata__": {"order": "[1,"}, "a": ONE}, b"12345678"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_safetensors_are_refused_quickly(kind, network, tmp_path) -> None:
    path = tmp_path / "weights.safetensors"
    many = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    content = HOSTILE[kind]
    path.write_bytes(header({f"t{i}": many for i in range(200_000)}) if content is None else content)
    start = time.process_time()
    with pytest.raises(ModelError):
        load(network, path)
    assert time.process_time() - start < 2


def test_a_zip_bomb_is_refused_before_it_is_unpacked(network, tmp_path) -> None:
    path, stream = tmp_path / "weights.npz", io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (1 << 28,)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as member:
        member.write(stream.getvalue())
        for _ in range(300):
            member.write(bytes(1 << 20))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(ModelError, match="bytes of weights, but this network can take"):
        load(network, path)


def test_an_array_that_claims_more_than_it_holds_is_refused(network, tmp_path) -> None:
    path, stream = tmp_path / "weights.npz", io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (1 << 50,)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", stream.getvalue() + b"1234")
    with pytest.raises(ModelError, match="cannot read weights"):
        load(network, path)


@pytest.mark.parametrize("name", ["weights.txt", "weights", "weights.onnx", "weights.pickle"])
def test_other_kinds_of_files_and_missing_ones_are_refused(name, network, tmp_path) -> None:
    path = tmp_path / name
    with pytest.raises(ModelError, match="no such file"):
        load(network, path)
    path.write_bytes(b"x")
    with pytest.raises(ModelError, match="not read from files of the kind"):
        load(network, path)


def test_text_in_npz_is_refused(network, tmp_path) -> None:
    path = tmp_path / "weights.npz"
    np.savez(path, a=np.array(["x"]))
    with pytest.raises(ModelError, match="cannot read weights"):
        load(network, path)
