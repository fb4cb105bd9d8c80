"""Simulated textures and shapes, a stand-in for natural images; no photograph, and no brain."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from monai_transfer.simulation.fields import Array
from monai_transfer.simulation.grid import MNI152, Grid
from monai_transfer.simulation.pathology import Labels
from monai_transfer.simulation.textures import TEXTURES, draw_texture

PICTURES = 32
"""Most pictures in a stack; each is drawn on its own, and neighbours have nothing in common."""

_STACK_MM = 128.0  # what Zoetmulder 2022 leaves of the template's slices in the shortest case
_OBJECTS = (1, 4)
_RADIUS = (0.25, 0.45)  # of the picture's side
_GROUND = (0.1, 0.35)  # mean grey value
_SURFACES = {"disc": (0.36, 0.44), "polygon": (0.48, 0.56), "bar": (0.6, 0.68), "ring": (0.72, 0.8)}
_FAINT, _STRONG = (0.05, 0.1), (0.15, 0.3)  # contrast of ground and light; of objects
_GREY_LEVELS = 1000.0

_Positions: TypeAlias = npt.NDArray[np.float64]


def _disc(rng: np.random.Generator, u: _Positions, v: _Positions) -> _Positions:
    return np.hypot(u, v / float(rng.uniform(0.5, 1.0))) - 1.0


def _polygon(rng: np.random.Generator, u: _Positions, v: _Positions) -> _Positions:
    corners = int(rng.integers(3, 7))
    angles = np.arange(corners) * 2.0 * np.pi / corners + rng.normal(0.0, 0.15, corners)
    edges = [u * np.cos(a) + v * np.sin(a) - float(rng.uniform(0.55, 0.8)) for a in angles]
    outside: _Positions = np.max(edges, axis=0)
    return outside


def _bar(rng: np.random.Generator, u: _Positions, v: _Positions) -> _Positions:
    return np.maximum(np.abs(u) - 1.3, np.abs(v) - float(rng.uniform(0.1, 0.25)))


def _ring(rng: np.random.Generator, u: _Positions, v: _Positions) -> _Positions:
    return np.abs(np.hypot(u, v) - 0.75) - float(rng.uniform(0.12, 0.25))


SHAPES: Mapping[str, Callable[[np.random.Generator, _Positions, _Positions], _Positions]] = (
    MappingProxyType({"disc": _disc, "polygon": _polygon, "bar": _bar, "ring": _ring})
)
"""Families of shapes → how far outside of one a position is, about in its radii."""

OBJECT_VALUES: Mapping[str, int] = MappingProxyType(
    {
        f"{shape} with {texture}": 1 + len(TEXTURES) * i + j
        for i, shape in enumerate(SHAPES)
        for j, texture in enumerate(TEXTURES)
    }
)
"""Class of an object → value, 1 to 16; 0 is background."""


def picture_grid(spacing_mm: float) -> Grid:
    """The grid of a stack: the lowest slices of the template's grid, one picture in each.

    So no preprocessing to that grid interpolates between pictures.

    Example:
        >>> picture_grid(2.0).shape
        (98, 116, 32)
    """
    x, y, _ = MNI152.respaced(spacing_mm).shape
    count = max(1, min(PICTURES, int(_STACK_MM / spacing_mm)))
    return replace(MNI152.respaced(spacing_mm), shape=(x, y, count))


def draw_pictures(rng: np.random.Generator, grid: Grid) -> tuple[npt.NDArray[np.int16], Labels]:
    """A stack of pictures and their labels.

    Args:
        rng: source of randomness.
        grid: of :func:`picture_grid`.

    Returns:
        (x, y, pictures) grey levels, 1 to 1000; the class of the object that is seen in each
        pixel, of `OBJECT_VALUES`.

    Source: 17 classes with background, as the indoor scenes of Zoetmulder 2022, section 4.1.1; all
        else is ours.
    """
    images = np.zeros(grid.shape, np.int16)
    labels = np.zeros(grid.shape, np.uint8)
    x, y, count = grid.shape
    for index in range(count):
        picture, label = draw_picture(rng, max(x, y))
        stored = np.clip(np.rint(picture * _GREY_LEVELS), 1, _GREY_LEVELS)
        images[:, :, index] = stored[:x, :y].astype(np.int16)
        labels[:, :, index] = label[:x, :y]
    return images, labels


def draw_picture(rng: np.random.Generator, side: int) -> tuple[Array, Labels]:
    """One picture: a textured ground, and textured objects that hide one another.

    Args:
        rng: source of randomness.
        side: pixels along each side.

    Returns:
        (side, side) grey values about 0 to 1; the class of each pixel.

    Example:
        >>> picture, label = draw_picture(np.random.default_rng(0), 64)
        >>> picture.shape, bool(label.max() <= 16)
        ((64, 64), True)
    """
    ground = TEXTURES[int(rng.integers(len(TEXTURES)))]
    picture = _surface(rng, ground, side=side, grey=_GROUND, contrast=_FAINT)
    label = np.zeros((side, side), np.uint8)
    kinds = list(OBJECT_VALUES)
    for _ in range(int(rng.integers(*_OBJECTS))):
        kind = kinds[int(rng.integers(len(kinds)))]
        _paint(rng, kind, picture=picture, label=label)
    light = _surface(rng, "gradient", side=side, grey=(0.2, 0.8), contrast=_FAINT)
    picture *= 0.85 + 0.3 * light  # the whole scene is lit from one side
    blurred = ndimage.gaussian_filter(picture, float(rng.uniform(0.2, 0.8)))
    grain = float(rng.uniform(0.005, 0.03)) * rng.standard_normal((side, side), dtype=np.float32)
    return np.clip(blurred + grain, 0.0, 1.0).astype(np.float32), label


def _surface(
    rng: np.random.Generator,
    family: str,
    *,
    side: int,
    grey: tuple[float, float],
    contrast: tuple[float, float],
) -> Array:
    """A texture whose mean and standard deviation lie within the given limits."""
    mean, deviation = float(rng.uniform(*grey)), float(rng.uniform(*contrast))
    return np.float32(mean) + np.float32(deviation) * draw_texture(rng, family, side=side)


def _paint(rng: np.random.Generator, kind: str, *, picture: Array, label: Labels) -> None:
    """Put one object before what is there: its surface, shaded, with a shadow around it."""
    shape, _, texture = kind.partition(" with ")
    side = len(picture)
    angle, radius = float(rng.uniform(0.0, 2.0 * np.pi)), float(rng.uniform(*_RADIUS))
    x, y = (np.indices((side, side)) + 0.5) / side - rng.uniform(0.05, 0.95, 2).reshape(2, 1, 1)
    u = (x * np.cos(angle) + y * np.sin(angle)) / radius
    v = (y * np.cos(angle) - x * np.sin(angle)) / radius
    outside = SHAPES[shape](rng, u, v) * radius * side  # in pixels
    covered = np.clip(0.5 - outside, 0.0, 1.0).astype(np.float32)
    shadow = np.clip(1.0 - outside / (0.04 * side), 0.0, 1.0).astype(np.float32)
    picture *= 1.0 - np.float32(rng.uniform(0.0, 0.4)) * shadow
    shading = np.float32(rng.uniform(-0.25, 0.25)) * u.astype(np.float32)
    surface = _surface(rng, texture, side=side, grey=_SURFACES[shape], contrast=_STRONG)
    picture += covered * (surface * (1.0 + np.clip(shading, -0.4, 0.4)) - picture)
    label[covered > 0.5] = OBJECT_VALUES[kind]
