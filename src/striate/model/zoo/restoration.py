"""Networks that make images of images: a U that corrects what comes in, and an autoencoder."""

from functools import partial

from striate.base.choose import choose
from striate.model.blueprint import IMAGE, Blueprint, Row

from .entry import Entry

PAPER = "Ronneberger et al., U-Net, arXiv:1505.04597; Zhang et al., Beyond a Gaussian Denoiser, arXiv:1608.03981"
PAPER_AUTO = "Hinton and Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, Science 313 (2006)"
SIZE = 64
OUTPUTS = {"norm": "none", "activation": "none"}
# How maps become larger; checkerboards: Odena et al., "Deconvolution and Checkerboard Artifacts", Distill (2016).
UPSAMPLERS = {
    "subpixel": lambda width, scale, name: [Row("subpixel", width, options={"scale": scale}, name=name)],
    "transposed": lambda width, scale, name: [Row("transposed", width, stride=scale, options={"kernel": 3}, name=name)],
    "resize": lambda width, scale, name: [
        Row("resize", options={"scale": scale, "mode": "nearest"}, name=f"{name}_pixels"),
        Row("conv", width, name=name),
    ],
}


def residual_unet(
    name: str,
    /,
    *,
    width: int = 16,
    depth: int = 3,
    norm: str = "none",
    activation: str = "relu",
    dropout: float = 0.0,
    scale: int = 1,
    upsample: str = "subpixel",
) -> Blueprint:
    """Return a U-Net that adds what it makes to the image that came in, brought to size where that is larger.

    Args:
        width: channels at the image's size, twice as many at each level below.
        depth: levels below the image's size.
        norm: none by default: what it does to the range of levels harms restoration (Lim et al., arXiv:1707.02921).
        scale: how many times as high and wide the outputs are.
        dropout: rate at the coarsest level.
        upsample: how maps become larger at the end: "subpixel", "transposed" or "resize" (nearest, then convolution).
    """
    rows = [Row("conv", width, repeat=2, name="level0")]
    for level in range(1, depth + 1):
        rows.append(Row("conv", width * 2**level, stride=2, name=f"down{level}"))
        rows.append(Row("conv", width * 2**level, name=f"level{level}"))
    rows += [Row("dropout", options={"rate": dropout})] if dropout else []
    for level in reversed(range(depth)):
        like = f"level{level}"
        rows.append(Row("conv", width * 2**level, name=f"narrow{level}", options={"kernel": 1}))
        rows.append(Row("resize", inputs=(f"narrow{level}", like), name=f"larger{level}"))
        rows.append(Row("concat", inputs=(f"larger{level}", like), name=f"join{level}"))
        rows.append(Row("conv", width * 2**level, repeat=2, name=f"up{level}"))
    source = IMAGE
    if scale > 1:
        rows += choose("upsampling", upsample, UPSAMPLERS)(width, scale, "enlarged")
        rows.append(Row("conv", options=OUTPUTS, name="correction"))
        rows.append(Row("resize", inputs=(IMAGE,), options={"scale": scale, "mode": "bicubic"}, name="interpolated"))
        source = "interpolated"
    else:
        rows.append(Row("conv", options=OUTPUTS, name="correction"))
    rows.append(Row("onto", inputs=("correction", source), name="restored"))
    defaults = {"norm": norm, "activation": activation}
    return Blueprint(name, tuple(rows), PAPER, SIZE, defaults=defaults, head=f"narrow{depth - 1}")


def autoencoder(
    name: str,
    /,
    *,
    latent: int = 128,
    width: int = 32,
    depth: int = 3,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
) -> Blueprint:
    """Return an encoder to a vector of `latent` numbers, and a decoder to an image; all that is known goes through it.

    Args:
        latent: numbers an image becomes.
        width: channels at half the image's size, twice as many at each level below.
        depth: halvings of the image's size.
        dropout: rate before the narrow place.
    """
    rows: list[Row] = []
    for level in range(depth):
        rows.append(Row("conv", width * 2**level, stride=2, name=f"encode{level}"))
        rows.append(Row("conv", width * 2**level, name=f"level{level}"))
    rows.append(Row("flatten"))
    rows += [Row("dropout", options={"rate": dropout})] if dropout else []
    rows.append(Row("linear", latent, options={"norm": "none", "activation": "none"}, name="latent"))
    rows.append(Row("unpool", width * 2 ** (depth - 1), name="unpooled"))
    rows.append(Row("resize", inputs=("unpooled", f"level{depth - 1}"), name="begun"))
    for level in reversed(range(depth)):
        like = f"level{level - 1}" if level else IMAGE
        rows.append(Row("resize", inputs=(rows[-1].name, like), name=f"larger{level}"))
        rows.append(Row("conv", width * 2 ** max(0, level - 1), repeat=2, name=f"decode{level}"))
    rows.append(Row("conv", options=OUTPUTS, name="outputs"))
    return Blueprint(
        name, tuple(rows), PAPER_AUTO, SIZE, defaults={"norm": norm, "activation": activation}, head="latent"
    )


ENTRIES = {
    "residual_unet": Entry(partial(residual_unet, "residual_unet"), PAPER, 2016, "a U-Net that corrects its input"),
    **{
        f"residual_unet_{way}": Entry(
            partial(residual_unet, f"residual_unet_{way}", upsample=way), PAPER, 2016, f"the same, enlarging by {text}"
        )
        for way, text in (("transposed", "transposed convolution"), ("resize", "nearest neighbours and convolution"))
    },
    **{
        name: Entry(
            partial(autoencoder, name, latent=latent),
            PAPER_AUTO,
            2006,
            f"an image through a vector of {latent} numbers",
        )
        for name, latent in (("autoencoder", 128), ("autoencoder_32", 32), ("autoencoder_512", 512))
    },
}
