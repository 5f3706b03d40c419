"""Colour spaces and embedded ICC profiles -> sRGB."""

import io
from functools import cache, lru_cache
from itertools import product

import numpy as np
from PIL import Image, ImageCms

from nst_lab.images import icc_matrix

CHANNELS = {"L": 1, "RGB": 3, "CMYK": 4, "LAB": 3}

# The colour space that a profile is for, as its header spells it -> the channels to feed it.
PROFILE_SPACES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK", "Lab": "LAB"}

HEADER_DATE = slice(24, 36)

# LittleCMS makes transforms of bytes fast by tables that are off by up to two steps in dark colours.
EXACT = ImageCms.Flags.NOOPTIMIZE


class ProfileError(Exception):
    """A colour profile cannot be used; says why."""


def to_srgb(levels: np.ndarray, space: str, profile: bytes | None) -> np.ndarray:
    """Levels (H, W, channels of `space`) from 0 to 255, uint8 or with fractions -> sRGB float32 (H, W, 3) in [0, 1].

    Without a profile grey and RGB are taken for sRGB, CMYK for ideal inks, LAB for D50.

    Raises:
        ProfileError: the profile is broken or not one for such pixels.
    """
    if space == "LAB":
        return _apply(_lab_transform(), levels, space)
    if profile:
        if space == "L" and _space_of(profile) == "RGB":
            levels, space = np.repeat(levels, 3, axis=2), "RGB"
        transform = _transform(profile, space)
        if transform is not None:
            computed = icc_matrix.to_srgb(levels, space, profile, srgb_profile())
            return _apply(transform, levels, space) if computed is None else computed
    values = levels.astype(np.float32) / 255
    if space == "CMYK":
        return (1 - values[..., :3]) * (1 - values[..., 3:])
    return np.repeat(values, 3, axis=2) if space == "L" else values


@cache
def srgb_profile() -> bytes:
    """The sRGB profile to embed; its date is fixed, so that the same picture gives the same bytes."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[HEADER_DATE] = np.array([2000, 1, 1, 0, 0, 0], ">u2").tobytes()
    return bytes(profile)


@lru_cache(maxsize=8)
def _open(profile: bytes) -> ImageCms.ImageCmsProfile:
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except (OSError, ImageCms.PyCMSError) as error:
        raise ProfileError(str(error)) from error


def _space_of(profile: bytes) -> str:
    try:
        named = _open(profile).profile.xcolor_space.strip()
    except UnicodeDecodeError as error:
        raise ProfileError("it names no colour space") from error
    return PROFILE_SPACES.get(named, named)


@lru_cache(maxsize=8)
def _transform(profile: bytes, space: str) -> ImageCms.ImageCmsTransform | None:
    """From `profile` to sRGB; None where that changes nothing, so that pictures in sRGB keep their very values."""
    if _space_of(profile) != space:
        raise ProfileError(f"it is one for {_space_of(profile)}, the pixels are {space}")
    try:
        transform = _to_srgb(_open(profile), space)
    except ImageCms.PyCMSError as error:
        raise ProfileError(str(error)) from error
    return transform if space == "CMYK" or _changes_colours(transform, space) else None


def _changes_colours(transform: ImageCms.ImageCmsTransform, space: str) -> bool:
    steps = np.arange(0, 256, 1 if space == "L" else 15, dtype=np.uint8)
    probe = np.stack(np.meshgrid(*[steps] * CHANNELS[space]), axis=-1).reshape(1, -1, CHANNELS[space])
    difference = _apply_to_bytes(transform, probe, space).astype(int) - probe  # grey broadcasts to three channels
    return bool(abs(difference).max() > 1)  # the transform itself rounds


@cache
def _lab_transform() -> ImageCms.ImageCmsTransform:
    return _to_srgb(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB")


def _to_srgb(profile: ImageCms.ImageCmsProfile, space: str) -> ImageCms.ImageCmsTransform:
    perceptual = ImageCms.Intent.PERCEPTUAL
    return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), space, "RGB", perceptual, EXACT)


def _apply(transform: ImageCms.ImageCmsTransform, levels: np.ndarray, space: str) -> np.ndarray:
    """The transform takes bytes; levels between two bytes are interpolated linearly from the colours around them."""
    if levels.dtype == np.uint8:
        return _apply_to_bytes(transform, levels, space).astype(np.float32) / 255
    below = np.floor(levels).clip(0, 254)
    fraction = levels - below
    rgb = np.zeros((*levels.shape[:2], 3), np.float32)
    for corner in product((0, 1), repeat=CHANNELS[space]):
        share = np.where(corner, fraction, 1 - fraction).prod(axis=2, keepdims=True)
        rgb += share * _apply_to_bytes(transform, (below + corner).astype(np.uint8), space)
    return rgb / 255


def _apply_to_bytes(transform: ImageCms.ImageCmsTransform, levels: np.ndarray, space: str) -> np.ndarray:
    image = Image.frombytes(space, levels.shape[1::-1], np.ascontiguousarray(levels).tobytes())
    return np.asarray(ImageCms.applyTransform(image, transform))
