"""Public weights of encoders trained on natural images: their names, and where they are looked for.

Nothing is downloaded here: the files are taken from where torch's own downloads go.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import torch

from monai_transfer.errors import InputError, choice

_TORCHVISION = "https://download.pytorch.org/models/resnet50-0676ba61.pth"
_TASKONOMY = "https://github.com/alexsax/visual-prior/raw/networks/assets/pytorch/"

_TASKONOMY_DIGESTS = {
    "autoencoding": "e35146c09253720e97c0a7f8ee4e896ac931f5faa1449df003d81e6089ac6307",
    "class_object": "4a4e42dad58066039a0d2f9d128bb32e93a7e4aa52edb2d2a07bcdd1a6536c18",
    "class_scene": "ad85764467cddafd98211313ceddebb98adf2a6bee2cedfe0b922a37ae65eaf8",
    "colorization": "5ed817acdd28d13e443d98ad15ebe1c3059a3252396a2dff6a2090f6f86616a5",
    "curvature": "3767cf5d06d9c6bca859631eb5a3c368d66abeb15542171b94188ffbe47d7571",
    "denoising": "b64cab95af4a2c565066a7e8effaf37d6586c3b9389b47fff9376478d849db38",
    "depth_euclidean": "88f18d41313de7dbc88314a7f0feec3023047303d94d73eb8622dc40334ef149",
    "depth_zbuffer": "cc343a8ed622fd7ee3ce54398be8682bbbbfb5d11fa80e8d03a56a5ae4e11b09",
    "edge_occlusion": "5ac3f3e918131f61e01fe95e49f462ae2fc56aa463f8d353ca84cd4e248b9c08",
    "edge_texture": "be2d686a6a4dfebe968d16146a17176eba37e29f736d5cd9a714317c93718810",
    "egomotion": "9aa647c34bf98f9e491e0b37890d77566f6ae35ccf41d9375c674511318d571c",
    "fixated_pose": "78cf321518abc16f9f4782b9e5d4e8f5d6966c373d951928a26f872e55297567",
    "inpainting": "bf96fbaaea9268a820a19a1d13dbf6af31798f8983c6d9203c00fab2d236a142",
    "jigsaw": "0c2b342c9080f8713c178b04aa6c581ed3a0112fecaf78edc4c04e0a90516e39",
    "keypoints2d": "6b77695acff4c84091c484a7b128a1e28a7e9c36243eda278598f582cf667fe0",
    "keypoints3d": "7e3f1ec97b82ae30030b7ea4fec2dc606b71497d8c0335d05f0be3dc909d000d",
    "nonfixated_pose": "3433a600ca9ff384b9898e55d86a186d572c2ebbe4701489a373933e3cfd5b8b",
    "normal": "f5e2c7737e4948e3b2a822f584892c342eaabbe66661576ba50db7cdd40561c5",
    "point_matching": "4bd2a6b2909d9998fabaf0278ab568f42f2b692a648e28555ede6c6cda5361f4",
    "reshading": "de456246e171dc8407fb2951539aa60d75925ae0f1dbb43f110b7768398b36a6",
    "room_layout": "1e1662f43b834261464b1825227a04efba59b50cc8883bee9adc3ddafd4796c1",
    "segment_semantic": "bb3007244520fc89cd111e099744a22b1e5c98cd83ed3f116fbff6376d220127",
    "segment_unsup25d": "7d12d2500c18c003ffc23943214f5dfd74932f0e3d03dde2c3a81ebc406e31a0",
    "segment_unsup2d": "b679053a920e8bcabf0cd454606098ae85341e054080f2be29473971d4265964",
    "vanishing_point": "afd2ae9b71d46a54efc5231b3e38ebc3e35bfab78cb0a78d9b75863a240b19a8",
}
"""Task → SHA-256, which ends the file's name."""

PUBLISHED: Mapping[str, str] = {
    "torchvision:resnet50": _TORCHVISION,
    **{
        f"taskonomy:{task}": f"{_TASKONOMY}{task}_encoder-{sha256}.pth"
        for task, sha256 in _TASKONOMY_DIGESTS.items()
    },
}
"""Name of the source → address of its file.

torchvision's are a ResNet-50 for the 1000 classes of ImageNet; of its two files either will do.
Taskonomy's (Zamir 2018) are its encoders in the PyTorch port of Sax 2018; names, addresses and
digests are those of the package visualpriors 0.3.5.
"""


def is_published(source: str) -> bool:
    """Whether a source is asked for by the name of its publisher.

    Example:
        >>> is_published("torchvision:resnet50"), is_published("ms_source")
        (True, False)
    """
    return source.startswith(("torchvision:", "taskonomy:"))


def locate_published(source: str) -> Path:
    """The file of public weights, which is on this computer already.

    Args:
        source: a key of :data:`PUBLISHED`.

    Returns:
        The file of that name, whatever digest ends it, in ``checkpoints`` of torch's hub folder.

    Raises:
        InputError: an unknown name, with the close ones; no such file, with the folder and how to
            get it; or several.
    """
    if source not in PUBLISHED:
        raise choice("options", "source", source, PUBLISHED)
    address = PUBLISHED[source]
    folder, name = Path(torch.hub.get_dir()) / "checkpoints", address.rpartition("/")[2]
    pattern = f"{name.rpartition('-')[0]}-*.pth"
    found = sorted(folder.glob(pattern))
    if not found:
        todo = f"Get it once: curl -L --create-dirs -o '{folder / name}' {address}"
        todo += "; or name a file of yours: --source FILE."
        rule = f"be in {folder}, torch's hub folder"
        raise InputError(f"source {source}", name, rule, todo=todo)
    if len(found) > 1:
        listed = ", ".join(path.name for path in found)
        todo = f"Say which: --source '{found[0]}'."
        raise InputError(f"source {source}", f"{folder}", "hold one of them", got=listed, todo=todo)
    return found[0]


def require_digest(path: Path, sha256: str) -> None:
    """Refuse a file that is not what its name says.

    Args:
        path: of a file whose name ends in the first digits of its digest, or all of them.
        sha256: its digest.

    Raises:
        InputError: another digest, as a download that broke off has.

    Example:
        >>> require_digest(Path("resnet50-0676ba61.pth"), "0676ba61b6795bbe1773cffd859882e5")
    """
    named = re.search(r"-([0-9a-f]*)\.pth$", path.name)
    if named and not sha256.startswith(named[1]):
        rule, todo = f"have the digest {named[1]} that its name gives", "Get it again."
        raise InputError(path.name, "the file", rule, got=sha256[: len(named[1])], todo=todo)
