"""Colour control: a result with the colours of the content, whatever those of the style are.

Luminance is Y = .299 R + .587 G + .114 B of the stored values. RGB with another luminance Y' and its own chroma is
RGB + (Y' − Y), the same change in all three channels: it keeps both chroma coordinates of YIQ and of YUV. Values
outside [0, 1] that come of it are clipped when the picture is saved.

Sources: Gatys, Bethge, Hertzmann, Shechtman 2016, *Preserving Color in Neural Artistic Style Transfer*
(arXiv:1606.05897), and Gatys et al. 2017, *Controlling Perceptual Factors* (arXiv:1611.07865), section 4, with their
notebook ColourControl.ipynb. The notebook resizes before it changes colours; here colours are changed at the pictures'
own sizes, so that every scale of a schedule sees the same ones.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from nst_lab.config.schema import Color
from nst_lab.images.pictures import resize

LUMA = (0.299, 0.587, 0.114)
LEAST_DEVIATION = 1 / 255  # of colours along a direction; below one step of 8 bits a picture does not vary in it


def luminance(picture: Tensor) -> Tensor:
    """Y (B, 1, H, W) of RGB (B, 3, H, W)."""
    weights = torch.tensor(LUMA, dtype=picture.dtype, device=picture.device).view(1, 3, 1, 1)
    return (picture * weights).sum(1, keepdim=True)


def with_luminance_of(chroma: Tensor, picture: Tensor) -> Tensor:
    """The chroma of one picture under the luminance of another, (B, 3, H, W) both; not clipped."""
    return chroma + (luminance(picture) - luminance(chroma))


def moments(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (C, 1) and covariance (C, C) of the colours of a picture (1, C, H, W), divided by H·W, in float64."""
    colors = picture[0].double().flatten(1)
    mean = colors.mean(1, keepdim=True)
    return mean, (colors - mean) @ (colors - mean).mT / colors.shape[1]


def match_moments(style: Tensor, content: Tensor, form: str = "pca") -> Tensor:
    """The style's colours s, mapped to A (s − μ_s) + μ_c with A Σ_s Aᵀ = Σ_c: the content's mean and covariance.

    Many A do so (Gatys et al. 2016, section 3.1):

    - `cholesky`: A = L_c L_s⁻¹ with Σ = L Lᵀ, L lower triangular. Depends on the order of the channels.
    - `pca`: A = Σ_c^½ Σ_s^−½ with symmetric roots, by principal components (Hertzmann et al. 2001).
    - `symmetric`: A = Σ_s^−½ (Σ_s^½ Σ_c Σ_s^½)^½ Σ_s^−½, the one symmetric A; it moves colours the least, on average
      of squares.

    Inverses are pseudo-inverses: in a direction of colour space in which the style does not vary (standard deviation
    below 1/255: greys, flat pictures) there is nothing to stretch, and the result keeps that dependence. With one
    channel it is (s − μ_s) σ_c / σ_s + μ_c, whatever the form.

    Args:
        style, content: (1, C, H, W), any sizes.
        form: which A.

    Returns:
        The style's size and dtype; not clipped, so the moments are exact.
    """
    return with_moments(style, *moments(content), form)


def with_moments(picture: Tensor, mean: Tensor, covariance: Tensor, form: str = "pca") -> Tensor:
    """A picture (1, C, H, W) with its colours mapped to that mean (C, 1) and covariance (C, C) (`match_moments`)."""
    own_mean, own_covariance = moments(picture)
    colors = _map(own_covariance, covariance, form) @ (picture[0].double().flatten(1) - own_mean) + mean
    return colors.view(picture.shape).to(picture.dtype)


def mixed_moments(pictures: Sequence[Tensor], shares: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the colours of several pictures together, each with its share of them."""
    total = sum(shares)
    weighted = [(share / total, *moments(picture)) for picture, share in zip(pictures, shares, strict=True)]
    nothing = pictures[0].new_zeros(())
    mean = sum((share * own for share, own, _ in weighted), start=nothing)
    second = sum((share * (covariance + own @ own.mT) for share, own, covariance in weighted), start=nothing)
    return mean, second - mean @ mean.mT


def _map(covariance: Tensor, target: Tensor, form: str) -> Tensor:
    root, inverse = _root(covariance, LEAST_DEVIATION)
    if form == "symmetric":
        return inverse @ _root(root @ target @ root)[0] @ inverse
    target_root = _root(target)[0]
    if form == "pca":
        return target_root @ inverse
    lower: Tensor = _triangular(target_root) @ torch.linalg.pinv(_triangular(root), atol=LEAST_DEVIATION / 2)
    return lower


def _root(matrix: Tensor, least: float = 0.0) -> tuple[Tensor, Tensor]:
    """Symmetric square root and its pseudo-inverse, without the directions whose root is at most `least`."""
    values, vectors = torch.linalg.eigh(matrix)
    roots = values.clamp_min(0).sqrt()
    kept = roots > least
    roots = torch.where(kept, roots, 0.0)
    inverses = torch.where(kept, 1 / torch.where(kept, roots, 1.0), 0.0)
    return vectors * roots @ vectors.mT, vectors * inverses @ vectors.mT


def _triangular(root: Tensor) -> Tensor:
    """L, lower triangular with L Lᵀ = root², also where that is singular: root = Q R gives L = Rᵀ."""
    lower: Tensor = torch.linalg.qr(root).R.mT
    return lower * torch.where(lower.diagonal() < 0, -1.0, 1.0)


def match_histograms(style: Tensor, content: Tensor) -> Tensor:
    """The style (1, 3, H, W) with the content's histograms, each channel by itself (scikit-image's `match_histograms`).

    Channels are matched apart, so how they go together is still the style's: greys may become coloured.
    """
    from skimage import exposure  # and SciPy with it, for which few runs should wait

    pair = (picture[0].double().numpy() for picture in (style, content))
    return torch.from_numpy(exposure.match_histograms(*pair, channel_axis=0)).to(style.dtype)[None]


class ColorControl:
    """What `color.mode` does to the pictures before a run and to those that come out of it.

    | mode | the run sees | what comes out |
    |---|---|---|
    | `none` | the pictures | as it is |
    | `luminance` | Y of all pictures in three equal channels, the style's with the content's mean and deviation | Y, with the content's chroma |
    | `match` | the style with the content's mean and covariance (`match_moments`) | as it is |
    | `histogram` | the style with the content's histograms | as it is |
    | `content_chroma` | the pictures | its Y, with the content's chroma |

    `content_chroma` is `-original_colors 1` of jcjohnson/neural-style.

    Args:
        color: the settings.
        content: the picture (1, 3, H, W) in [0, 1] at its own size; may be None with `none`.
        resampling: how the run resizes its pictures.
    """  # noqa: E501

    def __init__(self, color: Color, content: Tensor | None, resampling: str):
        self.color, self.original, self.resampling = color, content, resampling
        self.content = None if content is None else self.plain(content)

    def plain(self, picture: Tensor) -> Tensor:
        """A content or a start as the run sees it."""
        return luminance(picture).expand_as(picture) if self.color.mode == "luminance" else picture

    def style(self, picture: Tensor) -> Tensor:
        """A style (1, 3, H, W) at its own size as the run sees it, clipped to [0, 1]."""
        if self.content is None:
            return picture
        if self.color.mode == "luminance":
            matched = match_moments(luminance(picture), self.content[:, :1]).expand_as(picture)
        elif self.color.mode == "match":
            matched = match_moments(picture, self.content, self.color.match)
        elif self.color.mode == "histogram":
            matched = match_histograms(picture, self.content)
        else:
            return picture
        return matched.clamp(0, 1)

    def finish(self, picture: Tensor) -> Tensor:
        """A picture (1, 3, H, W) of the run as it is shown and saved; not clipped."""
        if self.original is None or self.color.mode not in ("luminance", "content_chroma"):
            return picture
        content = resize(self.original, *picture.shape[-2:], resampling=self.resampling)
        return with_luminance_of(content.to(picture), picture)
