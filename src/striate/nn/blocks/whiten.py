"""A first layer that nothing has to learn: filters that decorrelate the patches of the training images."""

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from striate.base.errors import SettingsError

EPS = 5e-4


class Whiten(nn.Conv2d):
    """Each principal component of the patches, scaled to variance 1, and its negative: fixed filters, trained biases.

    (N, c_in, H, W) -> (N, 2 c_in kernel^2, H - kernel + 1, W - kernel + 1). Until `fit` has seen images each filter is
    one pixel of the patch.

    Args:
        kernel: side of the patches in pixels.

    Raises:
        SettingsError: the kernel is smaller than 1.

    Reference: Jordan, 94% on CIFAR-10 in 3.29 seconds on a single GPU, arXiv:2404.00498, section 3.2, after Page, How
    to train your ResNet 8 (2018).

    Example:
        >>> Whiten(3)(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 24, 31, 31])
    """

    def __init__(self, c_in: int, *, kernel: int = 2) -> None:
        if kernel < 1:
            raise SettingsError(f"patches of {kernel} px cannot be", where="whiten", fix="use kernel=2")
        super().__init__(c_in, 2 * c_in * kernel**2, kernel)
        self.weight.requires_grad_(False)

    def initialise(self, generator: Generator) -> None:
        """Set the filters to single pixels."""
        self._set(torch.eye(self.weight[0].numel()))

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Take the filters from the patches of these images (N, c_in, H, W).

        Raises:
            SettingsError: the images have other channels than the layer's input, which is then not the image.
        """
        if images.shape[1] != self.in_channels:
            what = f"whitening takes the image, not {self.in_channels} maps"
            raise SettingsError(what, where="whiten", fix="make it the first row")
        values, vectors = torch.linalg.eigh(covariance(images, self.kernel_size[0]))
        order = values.argsort(descending=True)
        self._set((vectors / (values + EPS).sqrt()).T[order])

    @torch.no_grad()
    def _set(self, filters: Tensor) -> None:
        """Store filters (c_in kernel^2, c_in kernel^2) and their negatives, with biases of 0."""
        self.weight.copy_(torch.cat([filters, -filters]).view_as(self.weight))
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]


def covariance(images: Tensor, kernel: int) -> Tensor:
    """Return the second moments (c_in kernel^2, c_in kernel^2) of all patches; the mean is taken as 0."""
    total = torch.zeros(images.shape[1] * kernel**2, dtype=torch.float64)
    moments, count = torch.outer(total, total).to(images.device), 0
    for part in images.split(256):
        patches = F.unfold(part.float(), kernel).double()  # (N, c_in kernel^2, positions)
        moments += torch.einsum("nap,nbp->ab", patches, patches)
        count += patches.shape[0] * patches.shape[2]
    return (moments / count).float()
