"""Shapes of torch tensors, by name; the conventions are those of :mod:`monai_transfer._types`."""

import torch
from jaxtyping import Float, Integer

#: Network input: modalities in the named order.
ImageBatch = Float[torch.Tensor, "batch channel x y z"]
#: Network output before softmax, or a probability for each class.
ClassBatch = Float[torch.Tensor, "batch class x y z"]
#: Label values.
LabelBatch = Integer[torch.Tensor, "batch 1 x y z"]
