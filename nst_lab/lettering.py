"""Texts of the user as matplotlib draws them: as they are, and with the font that there is."""

from functools import cache

from matplotlib.font_manager import FontProperties, findfont, get_font

UNKNOWN = "□"  # what a browser draws too


def drawable(text: str) -> str:
    """A text to be given to matplotlib: `$` begins no formula, and a character that no font has is a box, untold.

    Escaped rather than drawn with `parse_math=False`, which neither the wrapping of titles nor `TextPath` knows.
    """
    known = _characters(tuple(FontProperties().get_family()))
    return "".join(each if each == "\n" or ord(each) in known else UNKNOWN for each in text).replace("$", r"\$")


@cache
def _characters(families: tuple[str, ...]) -> frozenset[int]:
    """Of all fonts that matplotlib falls back to."""
    return frozenset().union(*(get_font(findfont(FontProperties(family=[name]))).get_charmap() for name in families))
