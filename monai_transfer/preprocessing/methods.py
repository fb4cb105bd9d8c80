"""Which methods do the steps that a recipe names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monai_transfer.imaging.brain import BrainExtraction, unet_brain_mask
from monai_transfer.imaging.n4 import N4Settings
from monai_transfer.imaging.recipe import Preparation
from monai_transfer.imaging.registration import LinearRegistration, Registration


@dataclass(frozen=True)
class Methods:
    """The method of each step; any callable of the kind will do.

    With several processes they are sent to each: a function must be one that can be imported.

    Args:
        brain: finds the brain in the reference image.
        within: aligns a subject's images to its reference.
        to_template: aligns the template to the reference's brain.
        n4: settings of the bias field's estimate.

    Example:
        >>> Methods().describe()["within"]
        "LinearRegistration(kind='affine')"
    """

    brain: BrainExtraction = unet_brain_mask
    within: Registration = field(default_factory=LinearRegistration)
    to_template: Registration = field(default_factory=LinearRegistration)
    n4: N4Settings = field(default_factory=N4Settings)

    @classmethod
    def of(cls, plan: Preparation, *, brain: BrainExtraction = unet_brain_mask) -> "Methods":
        """The built-in ones, with the kinds of registration that a recipe names."""
        within = LinearRegistration(plan.registration or "affine")
        return cls(brain, within, LinearRegistration(plan.to_template))

    def describe(self) -> dict[str, str]:
        """Each method with its settings, as a text that is the same in every run."""
        return {
            "brain": _described(self.brain),
            "within": _described(self.within),
            "to_template": _described(self.to_template),
            "n4": repr(self.n4),
        }


def _described(method: Any) -> str:
    """A function by its name, an object by what it shows of itself."""
    name = getattr(method, "__qualname__", None)
    return repr(method) if name is None else f"{method.__module__}.{name}"


def versions() -> Mapping[str, str]:
    """Of what computes the voxels."""
    from importlib.metadata import version

    import monai_transfer

    libraries = ("nibabel", "nilearn", "numpy", "scipy", "torch")
    return {"monai-transfer": monai_transfer.__version__} | {n: version(n) for n in libraries}
