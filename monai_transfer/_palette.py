"""Okabe and Ito's colours, distinct under every common colour blindness."""

from typing import Final

BLACK: Final = "#000000"
BLUE: Final = "#0072B2"
GREEN: Final = "#009E73"
ORANGE: Final = "#E69F00"
PURPLE: Final = "#CC79A7"
RED: Final = "#D55E00"
SKY: Final = "#56B4E9"
YELLOW: Final = "#F0E442"


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of a colour, 0 to 255.

    Example:
        >>> rgb(ORANGE)
        (230, 159, 0)
    """
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue
