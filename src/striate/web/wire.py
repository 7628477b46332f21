"""What the server sends: JSON documents, and arrays behind a JSON head."""

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.responses import Response

from striate.base.files import to_json

ALIGN = 8  # bytes: where an array begins, so that the browser can lay a typed array over it


def document(content: Any, status: int = 200) -> Response:
    """Return a JSON document; what is not finite becomes null."""
    return Response(to_json(content), status, media_type="application/json")


def packed(head: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Response:
    """Return arrays behind a JSON document, see `pack`."""
    return Response(pack(head, arrays), media_type="application/octet-stream")


def pack(head: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return bytes: the length of the head (uint32, little endian), the head, then the arrays.

    The head's "arrays" says of each its name, dtype, shape, and where it begins behind the head, padded to 8 bytes.

    Args:
        arrays: uint8, int32, float32 or float64.

    Example:
        >>> head, arrays = unpack(pack({"a": 1}, {"x": np.arange(3, dtype=np.int32)}))
        >>> head["a"], arrays["x"].tolist()
        (1, [0, 1, 2])
    """
    places, parts, offset = [], [], 0
    for name, array in arrays.items():
        content = np.ascontiguousarray(array).tobytes()
        content += b"\0" * (-len(content) % ALIGN)
        places.append({"name": name, "dtype": array.dtype.name, "shape": list(array.shape), "offset": offset})
        parts.append(content)
        offset += len(content)
    text = to_json({**head, "arrays": places}).encode()
    text += b" " * (-(len(text) + 4) % ALIGN)
    return b"".join([struct.pack("<I", len(text)), text, *parts])


def unpack(content: bytes) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Return what `pack` made bytes of."""
    (length,) = struct.unpack_from("<I", content)
    head = json.loads(content[4 : 4 + length])
    found = {}
    for place in head.pop("arrays"):
        count = int(np.prod(place["shape"]))
        array = np.frombuffer(content, place["dtype"], count, 4 + length + place["offset"])
        found[place["name"]] = array.reshape(place["shape"])
    return head, found
