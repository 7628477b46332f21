"""Images that come over a wire: decoded by the rules for files, under a cap of pixels."""

from striate.data.decode import decode_bytes
from striate.data.sample import ImageU8


def checked(content: bytes, *, name: str, max_pixels: int, short_side_px: int | None = None) -> ImageU8:
    """Return the image (H, W, C) in the bytes of a file, decoded whole.

    Args:
        name: for the message; its extension must fit the content.
        max_pixels: larger ones are refused before any pixel is decoded.
        short_side_px: a JPEG may be decoded smaller, as long as its shorter side stays this long.

    Raises:
        DataError: it is no image, damaged, or too large.
    """
    pixels = decode_bytes(content, name=name, max_pixels=max_pixels, short_side_px=short_side_px)
    return pixels if pixels.shape[2] in {1, 3} else pixels[..., :1]
