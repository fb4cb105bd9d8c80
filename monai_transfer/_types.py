"""Shapes of arrays, by name.

Axes are x y z in RAS+ orientation, the channel first. Within one call an axis name stands for one
size: a function that takes ``Channels`` and a ``Mask`` takes them on the same grid. For mypy these
are plain arrays; jaxtyping and beartype check the shapes while the tests run.
"""

import numpy as np
from jaxtyping import Bool, Float, Integer, Shaped

#: Intensities of one modality.
Volume = Float[np.ndarray, "x y z"]
#: Modalities stacked, in the named order.
Channels = Float[np.ndarray, "channel x y z"]
#: The same as stored, of any number type.
RawChannels = Shaped[np.ndarray, "channel x y z"]
#: Label values of one subject.
LabelMap = Integer[np.ndarray, "x y z"]
#: Yes or no for each voxel.
Mask = Bool[np.ndarray, "x y z"]
#: One modality, mask or label map, of any number type.
Voxels = Shaped[np.ndarray, "x y z"]
#: Voxel index → world mm, homogeneous.
Affine = Float[np.ndarray, "4 4"]
#: Positions in mm.
Points = Float[np.ndarray, "point 3"]
