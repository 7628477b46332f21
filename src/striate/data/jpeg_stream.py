"""The parts of a JPEG file, and damage that its decoder does not notice: lost scans, and zeros in place of pixels."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_IN_SCANS = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")  # 0xff is followed by a zero inside pixels
_SCAN, _END, _TABLES = 0xDA, 0xD9, 0xC4
_METADATA = {0xFE, *range(0xE0, 0xF0)} - {0xEE}  # Adobe's segment says which colours the numbers are
_WITH_LENGTH = {*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE}
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_ZEROS = bytes(16)  # as pixels, 40 coefficients of -1 in a row


@dataclass(frozen=True)
class Stream:
    """A JPEG as its segments before the pixels, (kind, content), and `scans`, all from the first scan on."""

    segments: tuple[tuple[int, bytes], ...]
    scans: bytes

    @property
    def frame(self) -> tuple[int, bytes]:
        """Kind and content of the segment that begins a frame; (0, b"") without one."""
        return next((segment for segment in self.segments if segment[0] in _FRAMES), (0, b""))

    @property
    def components(self) -> bytes:
        """The number of each colour."""
        return self.frame[1][6::3]

    @property
    def is_progressive(self) -> bool:
        """Whether the image is refined scan by scan."""
        return self.frame[0] in _PROGRESSIVE

    def bare(self) -> bytes:
        """Return the file without what pixels do not need: metadata, stray bytes between segments of its header."""
        kept = ((kind, content) for kind, content in self.segments if kind not in _METADATA)
        head = (bytes((0xFF, kind)) + (len(content) + 2).to_bytes(2, "big") + content for kind, content in kept)
        return b"\xff\xd8" + b"".join(head) + self.scans


def parse(data: bytes) -> Stream | None:
    """Return the parts of a JPEG, or None when it has no scan."""
    segments: list[tuple[int, bytes]] = []
    at = 2
    while (found := _MARKER.search(data, at)) is not None:
        kind, start = found[1][0], found.end()
        if kind == _SCAN:
            return Stream(tuple(segments), data[start - 2 :])
        at = start
        if kind in _WITH_LENGTH:
            at += int.from_bytes(data[start : start + 2], "big")
            segments.append((kind, data[start + 2 : at]))
    return None


def silent_damage(data: bytes) -> str:
    """Return what is wrong with a JPEG that its decoder reads without a complaint, in words, or ""."""
    zeros = data.find(_ZEROS) >= 0
    stream = parse(data) if zeros or b"\xff\xc2" in data else None
    if stream is None:
        return ""
    if zeros and any(_has_lost_pixels(scan, len(stream.components)) for scan in scans_of(stream)):
        return "zeros in place of pixels"
    return "a scan is missing" if stream.is_progressive and not _is_refined(stream) else ""


@dataclass(frozen=True)
class Scan:
    """One pass over the image: its components, the span of coefficients, bits left to later scans; its pixels; and
    the symbol that a code of zeros alone stands for in the first component's table, -1 where it is not known."""

    components: bytes
    first: int
    last: int
    bits_left: int
    pixels: bytes
    zero_symbol: int


def scans_of(stream: Stream) -> Iterator[Scan]:
    """Yield the scans of the first image in a file, as far as their headers are whole."""
    symbols: dict[int, int] = {}
    for kind, content in stream.segments:
        if kind == _TABLES:
            symbols |= _zero_symbols(content)
    places = [(found[1][0], found.end()) for found in _IN_SCANS.finditer(stream.scans)]
    for at, (kind, start) in enumerate(places):
        if kind == _END:
            return
        length = int.from_bytes(stream.scans[start : start + 2], "big")
        head = stream.scans[start + 2 : start + length]
        if kind == _TABLES:
            symbols |= _zero_symbols(head)
        if kind == _SCAN and len(head) > 3 and len(head) == 2 * head[0] + 4:
            end = places[at + 1][1] - 2 if at + 1 < len(places) else len(stream.scans)
            first, last, bits = head[-3:]
            table = 0x10 | (head[2] & 15)
            pixels = stream.scans[start + length : end]
            yield Scan(head[1:-3:2], first, last, bits & 15, pixels, symbols.get(table, -1))


def _zero_symbols(tables: bytes) -> dict[int, int]:
    """The symbol of the code of zeros alone, which is a table's first, by class and number of the table."""
    found = {}
    while len(tables) > 17:
        found[tables[0]] = tables[17]
        tables = tables[17 + sum(tables[1:17]) :]
    return found


def _has_lost_pixels(scan: Scan, num_components: int) -> bool:
    """Whether a row of zeros lies where it would stand for a long row of coefficients of -1, not for empty blocks.

    Zeros at the end of a scan only fill the file up. Of components that have a scan of their own, and of scans of
    mean levels alone, nothing can be said: there a row of zeros is a flat area.
    """
    if scan.zero_symbol <= 0 or not (scan.first > 0 or (len(scan.components) == num_components and scan.last > 0)):
        return False
    return scan.zero_symbol & 15 != 0 and _ZEROS in scan.pixels.rstrip(b"\0")


def _is_refined(stream: Stream) -> bool:
    """Whether the scans of a progressive file bring every coefficient of every component to its last bit."""
    missing = {(component, at) for component in stream.components for at in range(64)}
    for scan in scans_of(stream):
        if not scan.bits_left:
            missing -= {(component, at) for component in scan.components for at in range(scan.first, scan.last + 1)}
    return not missing
