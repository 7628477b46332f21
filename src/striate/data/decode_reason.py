"""Why a decoder gave up, in words for the person whose file it is: a decoder's own are written for its authors."""

import re

CUT_OFF = "it ends too early, as after a broken-off download"
DAMAGED = "its bytes make no image"
WORDS = (
    (r"bad header checksum in b'(\w{4})'", r"the checksum of its \1 chunk is wrong"),
    (r"incomplete checksum in b'(\w{4})'", r"it ends within its \1 chunk"),
    (r"(?i)truncated|not enough image data|requires a buffer|chunk b'\w{0,3}'", CUT_OFF),
    (r"exceeds limit|too large for", "it unpacks to more than is read"),
    (r"Unsupported (BMP .*)", r"of a kind that is not read: \1"),
)


def reason_of(problem: Exception) -> str:
    """Return in a few words why a file cannot be decoded; the decoder's own are in the traceback of `--debug`.

    Example:
        >>> reason_of(SyntaxError("broken PNG file (bad header checksum in b'IHDR')"))
        'the checksum of its IHDR chunk is wrong'
        >>> reason_of(SyntaxError("unpack_from requires a buffer of at least 4 bytes")), reason_of(TypeError("None"))
        ('it ends too early, as after a broken-off download', 'its bytes make no image')
    """
    if isinstance(problem, EOFError):
        return CUT_OFF
    found = ((re.search(pattern, str(problem)), words) for pattern, words in WORDS)
    return next((match.expand(words) for match, words in found if match), DAMAGED)
