"""What one sample of a dataset is called: texts say image, and the noun of series or volumes replaces it."""

import re
from dataclasses import dataclass

from .text import plural

# Not within a name (`image-net`, `image/1.png`, `'image'`), but before `/s`.
_IMAGE = re.compile(r"(?<![\w./:'\"-])((?:[Aa]n )?)([Ii])mage(s?)(?=/s\b|[.:](?!\w)|[ ,;)!?]|$)", re.MULTILINE)
_TAG = re.compile(r"(<(script|style|code|pre)\b.*?</\2>|<[^>]*>)", re.DOTALL)


@dataclass(frozen=True)
class Noun:
    """The name of one sample and of many, of a place in it, and the unit of their sides; `is_long`: all but the last
    side is 1."""

    one: str
    many: str
    place: str = "pixel"
    unit: str = "px"
    is_long: bool = False

    def count(self, num: int) -> str:
        """Return a count of samples.

        Example:
            >>> NOUNS["series"].count(1), NOUNS["volume"].count(2000)
            ('1 series', '2,000 volumes')
        """
        return plural(num, self.one, self.many)

    def put(self, text: str) -> str:
        """Return a text on images with this noun instead.

        Example:
            >>> NOUNS["series"].put("An image of 3 test images; 40 images/s of 'image' in image/1.png")
            "A series of 3 test series; 40 series/s of 'image' in image/1.png"
        """
        return text if self.one == "image" else _IMAGE.sub(self._replace, text)

    def put_into_html(self, page: str) -> str:
        """Return a page whose text has this noun; tags, styles, scripts and code stay as they are.

        Example:
            >>> NOUNS["volume"].put_into_html('<p id="image">Hard images</p>')
            '<p id="image">Hard volumes</p>'
        """
        if self.one == "image":
            return page
        parts = _TAG.split(page)  # text, tag, its name, text, ...
        return "".join(part or "" if place % 3 else self.put(part) for place, part in enumerate(parts) if place % 3 < 2)

    def _replace(self, found: re.Match[str]) -> str:
        article = found[1].replace("n ", " ")
        noun = self.many if found[3] else self.one
        return article + (noun.capitalize() if found[2] == "I" else noun)


NOUNS = {
    "image": Noun("image", "images"),
    "series": Noun("series", "series", "step", "samples", is_long=True),
    "volume": Noun("volume", "volumes", "voxel", "voxels"),
}
IMAGE = NOUNS["image"]


def noun_of(form: object) -> Noun:
    """Return the noun of a form of samples; image where none is known, as in runs of earlier versions."""
    return NOUNS.get(str(form), IMAGE)
