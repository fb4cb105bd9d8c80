"""How a paper prepares images, as data: the one definition for every step of the way.

Whole cohorts are prepared on disk by it, subjects are loaded by it in training, validation and
inference, and it is stored with a bundle, so that new scans are treated as the source's were.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin

from monai_transfer.errors import InputError, choice

Registration: TypeAlias = Literal["rigid", "affine"]
Space: TypeAlias = Literal["native", "mni152"]
Method: TypeAlias = Literal["percentiles", "standardise"]
Over: TypeAlias = Literal["all", "brain"]


@dataclass(frozen=True)
class Preparation:
    """What is done once, on disk, in this order; or what images are like that come so.

    Args:
        reference: modality that the subject's others are registered to; ``None``: they are on one
            grid as they are.
        registration: kind of map to the reference; ``None`` without one.
        brain_extraction: everything but the brain is exactly 0; by a mask on the last grid, as
            interpolation of what was cut out before would leave a dark rim that is counted.
        bias_field: the bias field is divided out.
        nyul: histograms are brought to the standard scale of the source's cohort.
        space: ``mni152`` is registered to the template, on a grid of its axes.
        to_template: kind of that map; ``rigid`` leaves brains and lesions their size.
        spacing_mm: edges of a voxel; ``None``: of the reference or the template, whatever they are.
    """

    reference: str | None = None
    registration: Registration | None = None
    brain_extraction: bool = False
    bias_field: bool = False
    nyul: bool = False
    space: Space = "native"
    to_template: Registration = "affine"
    spacing_mm: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        if (self.reference is None) != (self.registration is None):
            rule = "be given with a reference, and only then"
            raise InputError("recipe", "registration", rule, got=self.registration)
        _above_zero("spacing_mm", self.spacing_mm)


@dataclass(frozen=True)
class Scaling:
    """How intensities come to lie in [0, 1].

    Args:
        method: ``percentiles`` clips at two and scales between them; ``standardise`` subtracts the
            mean, divides by the SD and rescales a fixed range of them.
        percents: the two percentiles; ``None`` with ``standardise``.
        over: the voxels that are counted. With ``brain`` the background is exactly 0, and scaling
            comes before padding and cropping; with ``all`` after it.
    """

    method: Method
    percents: tuple[float, float] | None = None
    over: Over = "brain"

    def __post_init__(self) -> None:
        if self.method == "standardise":
            if self.percents is not None or self.over != "brain":
                rule = "be of the brain, without percentiles, for standardise"
                raise InputError("recipe", "scaling", rule, got=self)
        elif self.percents is None or not 0 <= self.percents[0] < self.percents[1] <= 100:
            raise InputError("recipe", "percents", "rise within [0, 100]", got=self.percents)


@dataclass(frozen=True)
class Loading:
    """What is done each time a subject is loaded, in memory, after turning to RAS+.

    Args:
        scaling: of the intensities.
        spacing_mm: of the isotropic grid that images are resampled to; ``None`` resamples none.
        template_grid: resample to the grid of the MNI-ICBM 152 template instead, 197×233×189; with
            `spacing_mm`, to one of its axes and extent with such voxels.
        crop_to_brain: cut the box of the voxels that are not 0.
        margin: voxels left around that box along x, y and z.
        size: voxels along x, y and z that images are then padded and cropped to, around their
            centre; ``None`` leaves them.
        dropped_slices: axial slices that are then left out, at the bottom and at the top.
    """

    scaling: Scaling
    spacing_mm: float | None = None
    template_grid: bool = False
    crop_to_brain: bool = False
    margin: tuple[int, int, int] = (0, 0, 0)
    size: tuple[int, int, int] | None = None
    dropped_slices: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if self.template_grid and self.crop_to_brain:
            rule = "go without crop_to_brain"
            raise InputError("recipe", "template_grid", rule, got=self)
        _above_zero("spacing_mm", None if self.spacing_mm is None else (self.spacing_mm,))
        _above_zero("size", self.size)
        if min(*self.margin, *self.dropped_slices) < 0:
            got = f"{self.margin} and {self.dropped_slices}"
            raise InputError("recipe", "margin and dropped_slices", "be 0 or more", got=got)


@dataclass(frozen=True)
class Recipe:
    """A named way to prepare images.

    Args:
        name: as commands and messages call it.
        paper: what it follows.
        preparation: once, on disk.
        loading: each time, in memory.

    Example:
        >>> scaling = Scaling("percentiles", (2.0, 98.0), over="all")
        >>> recipe = Recipe("mine", "ours", Preparation(), Loading(scaling, size=(180, 180, 128)))
        >>> Recipe.from_json(recipe.to_json()) == recipe
        True
    """

    name: str
    paper: str
    preparation: Preparation
    loading: Loading

    def to_json(self) -> str:
        """The recipe as text."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, *, where: str = "recipe") -> "Recipe":
        """A recipe from :meth:`to_json`'s text; fields with a default may be left out.

        Args:
            text: a JSON object.
            where: what a message calls it.

        Raises:
            InputError: text that is none.
        """
        try:
            record = json.loads(text)
        except ValueError as fault:
            raise InputError(where, "text", "be JSON", got=fault) from fault
        return cls.from_dict(record, where=where)

    @classmethod
    def from_dict(cls, record: Any, *, where: str = "recipe") -> "Recipe":
        """A recipe from the object in JSON, see :meth:`from_json`."""
        try:
            built: Recipe = _built(cls, record)
            return built
        except InputError as fault:
            raise InputError(
                where, fault.what, fault.rule, got=fault.got, todo=fault.todo
            ) from fault


def _built(kind: Any, record: Any) -> Any:
    """A dataclass from a JSON object, the ones inside it too; lists become tuples."""
    if not isinstance(record, Mapping):
        raise InputError("recipe", kind.__name__.lower(), "be a JSON object", got=record)
    known = {field.name: field for field in fields(kind)}
    values = {name: _value(known, name, value) for name, value in record.items()}
    for name, field in known.items():
        if name not in values and field.default is MISSING:
            raise InputError("recipe", kind.__name__.lower(), f"have the field {name}")
    return kind(**values)


def _value(known: Mapping[str, Field[Any]], name: str, value: Any) -> Any:
    if name not in known:
        raise choice("recipe", "field", name, known)
    hint: Any = known[name].type
    if is_dataclass(hint):
        return _built(hint, value)
    found = tuple(value) if isinstance(value, list) else value
    if not _fits(found, hint):
        named = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
        raise InputError("recipe", name, f"be of type {named}", got=value)
    return found


def _fits(value: object, hint: Any) -> bool:
    """Whether a value is of a type: of those that the fields of a recipe have."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind is Literal:
        return value in inner
    if kind in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if isinstance(value, tuple):
        return kind is tuple and len(value) == len(inner) and all(map(_fits, value, inner))
    if kind is not None or isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else hint)


def _above_zero(what: str, got: tuple[float, ...] | None) -> None:
    if got is not None and not min(got) > 0:
        raise InputError("recipe", what, "be above 0", got=got)
