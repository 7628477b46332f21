"""One sample of a dataset as a person looks at it: `data[0]`."""

import io
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from striate.base.choose import choose
from striate.base.errors import DataError
from striate.base.html import Html, card, table
from striate.base.text import shown

from .bands import shown_bands
from .geometry import coloured
from .sample import Dataset, ImageU8
from .sheet import contact_sheet

SHOWN_PX = 256


@dataclass(frozen=True, eq=False)
class Item:
    """An image (H, W, C) uint8 with its id, what each target says of it as text, and the split it is in.

    `drawn` (H, W, 3) has masks, boxes or points on it.
    """

    id: str
    image: ImageU8
    targets: dict[str, str]
    split: str
    drawn: ImageU8

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.image.shape))
        said = ", ".join(f"{name} {value}" for name, value in self.targets.items())
        return f"Item({shown(self.id)!r}: {said}; {size}, {self.split or 'in no split'})"

    def show(self) -> Image.Image:
        """Return the image with its masks, boxes or points drawn on it, as a Pillow image."""
        return Image.fromarray(self.drawn)

    def _repr_html_(self) -> str:
        image, content = self.show(), io.BytesIO()
        image.thumbnail((SHOWN_PX, SHOWN_PX))
        image.save(content, "JPEG", quality=85)
        data = b64encode(content.getvalue()).decode()
        picture = Html(f'<img src="data:image/jpeg;base64,{data}" width="{image.width}" alt=""/>')
        about = f"{' x '.join(map(str, self.image.shape))}, {self.split or 'in no split'}"
        return card(self.id, about, picture, table(list(self.targets.items())))


def item_of(dataset: Dataset, which: int | str) -> Item:
    """Return an image of a dataset by its index, from the end if negative, or by its id.

    Raises:
        IndexError: there is no such index.
        DataError: there is no such id, it is neither, or the file cannot be read.
    """
    if isinstance(which, str):
        if which not in dataset.ids:
            raise DataError(f"no image {shown(which, 60)!r}", where=dataset.where, fix="name one of data.ids")
        which = dataset.ids.index(which)
    if not hasattr(which, "__index__"):
        fix = "use data[0] or data['robin/7.jpg']; for several of them a comprehension"
        raise DataError(f"{type(which).__name__} is no index of an image", where=dataset.where, fix=fix)
    index = int(which)
    if not -len(dataset) <= index < len(dataset):
        raise IndexError(f"image {index} of {len(dataset)}")
    index %= len(dataset)
    image = dataset.images.read(index)
    split = next((name for name, members in dataset.splits.items() if (members == index).any()), "")
    targets = {name: target.text(index) for name, target in dataset.targets.items()}
    targets = {name: said for name, said in targets.items() if said}
    first: Any = next(iter(dataset.targets.values()), None)
    colour = coloured(shown_bands(image), 3)
    return Item(
        dataset.ids[index], image, targets, split, colour if first is None else np.asarray(first.draw(colour, index))
    )


def sheet_of(dataset: Dataset, per_row: int, seed: int, split: str | None) -> Image.Image:
    """Return a contact sheet: some images of each class in a row; see `sheet.contact_sheet`."""
    if split is not None:
        members: npt.NDArray[np.intp] = choose("split", split, dataset.splits, DataError)
        dataset = dataset.with_splits({split: members})
    return Image.open(io.BytesIO(contact_sheet(dataset, per_row=per_row, seed=seed)))
