"""How a paper prepares images, as data: the one definition for every step of the way.

Whole cohorts are prepared on disk by it, subjects are loaded by it in training, validation and
inference, and it is stored with a bundle, so that new scans are treated as the source's were.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias, get_args

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
        brain_extraction: everything but the brain is exactly 0.
        bias_field: the bias field is divided out.
        nyul: histograms are brought to the standard scale of the source's cohort.
        space: ``mni152`` is registered to the template by an affine map, on a grid of its axes.
        spacing_mm: edges of a voxel; ``None``: of the reference, whatever they are.
    """

    reference: str | None = None
    registration: Registration | None = None
    brain_extraction: bool = False
    bias_field: bool = False
    nyul: bool = False
    space: Space = "native"
    spacing_mm: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        _one_of("registration", self.registration, (None, *get_args(Registration)))
        _one_of("space", self.space, get_args(Space))
        for what in ("brain_extraction", "bias_field", "nyul"):
            _one_of(what, getattr(self, what), (False, True))
        if (self.reference is None) != (self.registration is None):
            rule = "be given with a reference, and only then"
            raise InputError("recipe", "registration", rule, got=self.registration)
        if self.spacing_mm is None and self.space == "mni152":
            raise InputError("recipe", "spacing_mm", "be given in the template's space")
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
        _one_of("method", self.method, get_args(Method))
        _one_of("over", self.over, get_args(Over))
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
        template_grid: resample to the grid of the MNI-ICBM 152 template instead, 197×233×189.
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
        for what in ("template_grid", "crop_to_brain"):
            _one_of(what, getattr(self, what), (False, True))
        if self.template_grid and (self.crop_to_brain or self.spacing_mm is not None):
            rule = "go without crop_to_brain and spacing_mm"
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
            raise InputError(where, fault.what, fault.rule, got=fault.got) from fault
        except TypeError as fault:
            raise InputError(where, "fields", "be those of a recipe", got=fault) from fault


def _built(kind: Any, record: Any) -> Any:
    """A dataclass from a JSON object, the ones inside it too; lists become tuples."""
    if not isinstance(record, Mapping):
        raise InputError("recipe", kind.__name__.lower(), "be a JSON object", got=record)
    nested = {"preparation": Preparation, "loading": Loading, "scaling": Scaling}
    known = [field.name for field in fields(kind)]
    values = {}
    for name, value in record.items():
        if name not in known:
            raise choice("recipe", "field", name, known)
        inner = _built(nested[name], value) if name in nested else value
        values[name] = tuple(inner) if isinstance(inner, list) else inner
    return kind(**values)


def _one_of(what: str, got: object, options: tuple[object, ...]) -> None:
    if got not in options:
        raise InputError("recipe", what, f"be one of {', '.join(map(str, options))}", got=got)


def _above_zero(what: str, got: tuple[float, ...] | None) -> None:
    if got is not None and not min(got) > 0:
        raise InputError("recipe", what, "be above 0", got=got)
