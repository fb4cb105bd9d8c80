"""What a person looks at to judge a prepared subject."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray
from scipy import ndimage

from monai_transfer._palette import ORANGE, SKY, rgb
from monai_transfer.imaging.image import Image
from monai_transfer.imaging.recipe import Preparation
from monai_transfer.imaging.registration import IDENTITY, Grid, SpatialTransform, mni152, resample
from monai_transfer.preprocessing.prepared import Prepared

_PIXEL_MM = 1.25
_MARGIN_MM = 8.0
_EDGE = rgb(ORANGE)
_OUTLINE = rgb(SKY)
_PLANES = ((0, 1), (0, 2), (1, 2))  # axial, coronal, sagittal: the axes across and up
_VIEWER_MM = 2.0

Slice: TypeAlias = NDArray[np.float32]
Colours: TypeAlias = NDArray[np.uint8]
_Placed: TypeAlias = tuple[Image, SpatialTransform]


@dataclass(frozen=True, eq=False)
class _View:
    """A plane of the world through the brain.

    Args:
        grid: of one voxel's thickness.
        brain: mask in it, as a picture.
    """

    grid: Grid
    brain: NDArray[np.bool_]

    def cut(self, image: Image, to_image: SpatialTransform) -> Slice:
        """Rows from top to bottom, columns from left to right."""
        return _picture(resample(image, self.grid, transform=to_image))


def pictures(
    prepared: Prepared, raw: Mapping[str, Image], plan: Preparation
) -> Iterator[tuple[str, bytes]]:
    """Name and JPEG of each picture that needs the raw scans.

    Planes are those of the world, through the middle of the brain, whatever the grids are: axial
    (the patient's left on the left), coronal, sagittal.

    Args:
        prepared: one subject.
        raw: its scans.
        plan: that it was prepared by.
    """
    views = [*_views(prepared)]
    aligned = [*_aligned(prepared, raw, plan)]
    if aligned:
        rows = [
            [_with_edges(view.cut(*moved), view.cut(*fixed), view.brain) for view in views]
            for moved, fixed in aligned
        ]
        yield "registration.jpg", _jpeg(rows)
    scan = raw[prepared.reference], prepared.transforms[prepared.reference]
    yield "brain.jpg", _jpeg([[_with_outline(view.cut(*scan), view.brain) for view in views]])
    if prepared.bias_fields:
        yield "bias.jpg", _jpeg([*_bias_rows(prepared, raw, views[0])])


def _aligned(
    prepared: Prepared, raw: Mapping[str, Image], plan: Preparation
) -> Iterator[tuple[_Placed, _Placed]]:
    """Moved and fixed image of each registration, with their maps from the prepared space."""
    fixed = prepared.reference
    if plan.registration is not None:
        for name in prepared.images:
            if name != fixed:
                moved = raw[name], prepared.transforms[name]
                yield moved, (raw[fixed], prepared.transforms[fixed])
    if plan.space == "mni152":
        yield (prepared.images[fixed], IDENTITY), (mni152(), IDENTITY)


def _views(prepared: Prepared) -> Iterator[_View]:
    """Three planes through the middle of the brain."""
    brain, affine = prepared.brain, prepared.brain.affine
    points = np.argwhere(brain.voxels) @ affine[:3, :3].T + affine[:3, 3]
    low, high = points.min(axis=0) - _MARGIN_MM, points.max(axis=0) + _MARGIN_MM
    mask = brain.with_voxels(brain.voxels.astype(np.float32))
    for across, up in _PLANES:
        (through,) = {0, 1, 2} - {across, up}
        plane = np.zeros((4, 4))
        plane[across, 0] = plane[up, 1] = _PIXEL_MM
        plane[through, 2] = plane[3, 3] = 1
        plane[:3, 3] = points.mean(axis=0)
        plane[[across, up], 3] = low[[across, up]]
        width, height = (round((high[axis] - low[axis]) / _PIXEL_MM) for axis in (across, up))
        grid = Grid((width, height, 1), plane)
        yield _View(grid, _picture(resample(mask, grid)) >= 0.5)


def _picture(plane: Image) -> Slice:
    shown: Slice = plane.voxels[:, ::-1, 0].T
    return shown


def _grey(plane: Slice, brain: NDArray[np.bool_]) -> Colours:
    """From black at 0 or below to white."""
    return _colours(plane / _white(plane, brain))


def _white(voxels: NDArray[np.float32], brain: NDArray[np.bool_]) -> float:
    """The value that is shown white: the brain's 99.5th percentile."""
    shown = voxels[brain]
    top = float(np.percentile(shown, 99.5)) if shown.size else float(voxels.max())
    return max(top, 1e-6)


def _colours(share: Slice) -> Colours:
    grey = (255 * np.clip(share, 0, 1)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def _with_edges(plane: Slice, of: Slice, brain: NDArray[np.bool_]) -> Colours:
    shown = _grey(plane, brain)
    near = ndimage.binary_dilation(brain, iterations=round(_MARGIN_MM / _PIXEL_MM))
    shown[edges(of) & near] = _EDGE
    return shown


def edges(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where an image changes most: zero crossings of its Laplacian on steep slopes.

    Args:
        image: of any number of dimensions.

    Source:
        Marr and Hildreth 1980, doi:10.1098/rspb.1980.0020; the steepest 15 % are kept.

    Example:
        >>> square = np.zeros((20, 20), np.float32)
        >>> square[6:14, 6:14] = 1
        >>> bool(edges(square)[5:7, 10].any()), bool(edges(square)[10, 10])
        (True, False)
    """
    curvature = ndimage.gaussian_laplace(image, 1.2)
    slope = ndimage.gaussian_gradient_magnitude(image, 1.2)
    crossing = np.zeros(image.shape, bool)
    for axis in range(image.ndim):
        for step in (1, -1):
            crossing |= (curvature > 0) & (np.roll(curvature, step, axis) <= 0)
    steep: NDArray[np.bool_] = crossing & (slope > np.percentile(slope, 85))
    return steep


def _with_outline(plane: Slice, brain: NDArray[np.bool_]) -> Colours:
    shown = _grey(plane, brain)
    shown[brain & ~ndimage.binary_erosion(brain)] = _OUTLINE
    return shown


def _bias_rows(
    prepared: Prepared, raw: Mapping[str, Image], view: _View
) -> Iterator[list[Colours]]:
    """Before, the field (0.5 is black, 1.5 white), after."""
    for name, field in prepared.bias_fields.items():
        before, across = (view.cut(i, prepared.transforms[name]) for i in (raw[name], field))
        after = (before / np.maximum(across, 1e-6)).astype(np.float32)
        yield [_grey(before, view.brain), _colours(across - 0.5), _grey(after, view.brain)]


def _jpeg(rows: list[list[Colours]]) -> bytes:
    """Rows of pictures below each other."""
    lines = []
    for row in rows:
        height = max(picture.shape[0] for picture in row)
        padded = [np.pad(p, ((height - p.shape[0], 0), (0, 4), (0, 0))) for p in row]
        lines.append(np.concatenate(padded, axis=1))
    width = max(line.shape[1] for line in lines)
    sheet = np.concatenate(
        [np.pad(line, ((0, 4), (0, width - line.shape[1]), (0, 0))) for line in lines]
    )
    buffer = io.BytesIO()
    imsave(buffer, sheet, format="jpeg", pil_kwargs={"quality": 80})
    return buffer.getvalue()


def viewer(prepared: Prepared, plan: Preparation) -> str:
    """A page of nilearn's interactive viewer: the reference, edges of what it was aligned with.

    Args:
        prepared: one subject.
        plan: that it was prepared by.
    """
    import nibabel as nib
    from nilearn.plotting import view_img  # two seconds

    reference = prepared.images[prepared.reference]
    others = [name for name in prepared.images if name != prepared.reference]
    named, other, grid = prepared.reference, reference, _upright(prepared.brain)
    if plan.space == "mni152":
        named, other = "MNI152", mni152()
    elif others:
        named, other = others[0], prepared.images[others[0]]
    drawn = edges(resample(other, grid).voxels).astype(np.float32)
    shown = resample(reference, grid).voxels
    brain = resample(prepared.brain, grid, interpolation="nearest").voxels
    page = view_img(
        nib.Nifti1Image(drawn, grid.affine),
        bg_img=nib.Nifti1Image(np.clip(shown, 0, _white(shown, brain)), grid.affine),
        cut_coords=grid.affine[:3] @ [*ndimage.center_of_mass(brain), 1],
        black_bg=True,
        dim=0,
        threshold=0.5,
        cmap="autumn",
        colorbar=False,
        symmetric_cmap=False,
        resampling_interpolation="nearest",
        title=f"{prepared.reference}, edges of {named}",
    )
    return str(page.get_standalone())


def _upright(brain: Image) -> Grid:
    """The box of the brain, along the axes of the world."""
    points = np.argwhere(brain.voxels) @ brain.affine[:3, :3].T + brain.affine[:3, 3]
    low, high = points.min(axis=0) - _MARGIN_MM, points.max(axis=0) + _MARGIN_MM
    affine = np.diag([_VIEWER_MM, _VIEWER_MM, _VIEWER_MM, 1.0])
    affine[:3, 3] = low
    x, y, z = (int(n) for n in np.ceil((high - low) / _VIEWER_MM))
    return Grid((x, y, z), affine)
