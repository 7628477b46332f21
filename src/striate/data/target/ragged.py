"""A batch whose images have different numbers of something."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Ragged:
    """A list-like batch: item i is the tensor (B_i, ...) of image i. All lie behind each other in one tensor.

    Args:
        values: (T, ...) rows of all images, T the sum of `lengths`.
        lengths: rows of each image.
        fields: further tensors (T, ...) with a row for each of `values`, such as "labels".
        most: rows of the longest image where these are a part of a batch: it is padded like the whole.

    Example:
        >>> import torch
        >>> batch = Ragged(torch.arange(6.0).view(3, 2), (1, 0, 2), {"labels": torch.tensor([4, 5, 6])})
        >>> batch[2].tolist(), batch.of("labels")[2].tolist(), [len(rows) for rows in batch]
        ([[2.0, 3.0], [4.0, 5.0]], [5, 6], [1, 0, 2])
        >>> batch[1:].lengths, batch[1:].of("labels").values.tolist()
        ((0, 2), [5, 6])
    """

    values: "torch.Tensor"
    lengths: tuple[int, ...]
    fields: "Mapping[str, torch.Tensor]" = field(default_factory=dict)
    most: int = 0

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> "torch.Tensor": ...

    @overload
    def __getitem__(self, index: slice) -> "Ragged": ...

    def __getitem__(self, index: "int | slice") -> "torch.Tensor | Ragged":
        if isinstance(index, slice):
            first, last, _ = index.indices(len(self))
            rows = slice(sum(self.lengths[:first]), sum(self.lengths[:last]))
            fields = {name: tensor[rows] for name, tensor in self.fields.items()}
            return Ragged(self.values[rows], self.lengths[first:last], fields, self.most)
        if not -len(self) <= index < len(self):
            raise IndexError(f"image {index} of a batch of {len(self)}")
        start = sum(self.lengths[: index % len(self)])
        return self.values[start : start + self.lengths[index]]

    def __iter__(self) -> "Iterator[torch.Tensor]":
        return iter(self.values.split(list(self.lengths)))

    def of(self, name: str) -> "Ragged":
        """Return one of the fields as a ragged batch of its own."""
        return Ragged(self.fields[name], self.lengths, most=self.most)

    @property
    def rows(self) -> "torch.Tensor":
        """(T,) int64, the image of the batch that each row belongs to, on the device of the values."""
        import torch

        from ..augment.effect import sent

        # counted on the host: on a GPU the number of rows would be waited for
        found = np.repeat(np.arange(len(self), dtype=np.int64), np.array(self.lengths, np.int64))
        return sent(torch.from_numpy(found), self.values)

    def to(self, device: "torch.device | str", *, non_blocking: bool = False) -> "Ragged":
        """Return the batch on a device."""
        fields = {name: tensor.to(device, non_blocking=non_blocking) for name, tensor in self.fields.items()}
        return Ragged(self.values.to(device, non_blocking=non_blocking), self.lengths, fields, self.most)

    def pin_memory(self) -> "Ragged":
        """Return the batch in memory from which a copy to a GPU does not wait."""
        fields = {name: tensor.pin_memory() for name, tensor in self.fields.items()}
        return Ragged(self.values.pin_memory(), self.lengths, fields, self.most)
