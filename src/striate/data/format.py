"""What kind of file it is: by its first bytes, and by what its name promises."""

import re
from pathlib import Path

EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff",
              ".ppm", ".pgm", ".pbm", ".pnm")  # fmt: skip
_MAGIC = (
    ("JPEG", rb"\xff\xd8\xff"),
    ("PNG", rb"\x89PNG\r\n\x1a\n"),
    ("WebP", rb"RIFF....WEBP"),
    ("GIF", rb"GIF8[79]a"),
    ("BMP", rb"BM.{12}(?:[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00)"),
    ("TIFF", rb"II\*\x00|MM\x00\*|II\+\x00|MM\x00\+"),
    ("PSD", rb"8BPS"),
    ("EPS", rb"%!PS|\xc5\xd0\xd3\xc6"),
    ("PDF", rb"%PDF"),
    ("FITS", rb"SIMPLE  ="),
    ("AVIF or HEIC", rb"....ftyp(?:avi[fs]|hei[cfmsx]|he[iv][cmsx]|mi[af]1|msf1)"),
    ("JPEG 2000", rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51"),
    ("JPEG XL", rb"\xff\x0a|\x00\x00\x00\x0cJXL "),
    ("icon", rb"\x00\x00[\x01\x02]\x00[\x01-\xff]\x00"),
    ("netpbm", rb"P[1-6][\s#]"),
    ("PAM", rb"P7\s"),
    ("DICOM", rb".{128}DICM"),
    ("OpenEXR", rb"v/1\x01"),
    ("HDF5", rb"\x89HDF"),
    ("NumPy", rb"\x93NUMPY"),
    ("zip", rb"PK\x03\x04"),
    ("gzip", rb"\x1f\x8b"),
    ("SVG", rb"\s*(?:<\?xml[^>]*>\s*)?<svg"),
    ("an HTML page", rb"\s*<(?:!doctype html|html|head|body|!--)"),
    ("XML", rb"\s*<\?xml"),
    ("JSON", rb"\s*[{\[]\s*[\"{\[\]}]"),
    ("a Git LFS pointer", rb"version https://git-lfs"),
)
_FORMATS = tuple((name, re.compile(magic, re.DOTALL | re.IGNORECASE)) for name, magic in _MAGIC)
_EXTENSION_FORMAT = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "netpbm"),
    ".png": "PNG",
    ".webp": "WebP",
    ".gif": "GIF",
    ".bmp": "BMP",
}


class Unusable(Exception):
    """Why a file cannot be used, in words."""


def sniff(data: bytes) -> str:
    """Return the format of a file by its first bytes, or "" when they are of no known kind.

    Example:
        >>> sniff(b"GIF89a..."), sniff(b"<html><body>404"), sniff(b"hello")
        ('GIF', 'an HTML page', '')
    """
    head = data[:512]
    return next((name for name, magic in _FORMATS if magic.match(head)), "")


def expected_format(name: str) -> str:
    """Return the format that a file's extension promises, or "".

    Example:
        >>> expected_format("a/b.JPG"), expected_format("notes.txt")
        ('JPEG', '')
    """
    return _EXTENSION_FORMAT.get(Path(name).suffix.lower(), "")
