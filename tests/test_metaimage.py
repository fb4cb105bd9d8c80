import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_transfer._metaimage import MetaImageError, load_image, load_metaimage

VOXELS = np.random.default_rng(0).integers(-900, 900, (7, 6, 5)).astype(np.int16)
GRID = {
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "0 -239 0",
    "ElementSpacing": "1 2 3",
    "DimSize": "7 6 5",
    "ElementType": "MET_SHORT",
}


def metaimage(
    block: bytes = VOXELS.tobytes(order="F"), *, compressed: bool = True, **changes: str | None
) -> bytes:
    """A file as the challenge wrote them; ``None`` takes a line out."""
    packed = zlib.compress(block) if compressed else block
    lines: dict[str, str | None] = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": str(compressed),
        **({"CompressedDataSize": str(len(packed))} if compressed else {}),
        **GRID,
        **changes,
        "ElementDataFile": changes.get("ElementDataFile", "LOCAL"),
    }
    text = "".join(f"{key} = {value}\n" for key, value in lines.items() if value is not None)
    return text.encode() + packed


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "VSD.Brain.XX.O.MR_T1.54512.mha"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("compressed", [True, False])
def test_voxels_and_world_are_those_of_the_header(
    write: Callable[[bytes], Path], *, compressed: bool
):
    image = load_image(write(metaimage(compressed=compressed)))
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), VOXELS)
    # x and y point to the left and to the back in the file, to the right and to the front here
    np.testing.assert_array_equal(
        image.affine, [[-1, 0, 0, 0], [0, -2, 0, 239], [0, 0, 3, 0], [0, 0, 0, 1]]
    )
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-6)
    assert image.get_data_dtype() == np.int16


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("UCHAR", "u1"), ("USHORT", "u2"), ("INT", "i4"), ("FLOAT", "f4"), ("DOUBLE", "f8")],
)
def test_every_number_type_and_byte_order_is_kept(
    write: Callable[[bytes], Path], kind: str, dtype: str
):
    for order, truth in ((">", "True"), ("<", "False")):
        stored = np.abs(VOXELS % 200).astype(order + dtype)
        changes = {"ElementType": f"MET_{kind}", "BinaryDataByteOrderMSB": truth}
        image = load_metaimage(write(metaimage(stored.tobytes(order="F"), **changes)))
        np.testing.assert_array_equal(np.asanyarray(image.dataobj), stored)


# in a process of its own: where warnings are errors, loading ITK ends the interpreter
_ITK = """
import sys, itk, numpy as np
image = itk.image_from_array(np.ascontiguousarray(np.load("voxels.npy").T))
image.SetDirection(itk.matrix_from_array(np.load("directions.npy")))
image.SetSpacing([0.9, 1.1, 3.0])
image.SetOrigin([12.5, -70.0, 33.0])
for name, compression in (("packed.mha", True), ("plain.mha", False)):
    itk.imwrite(image, name, compression=compression)
itk.imwrite(image, "oracle.nii")
"""


def test_itk_s_own_files_are_read_as_itk_means_them(tmp_path: Path):
    np.save(tmp_path / "voxels.npy", VOXELS)
    np.save(tmp_path / "directions.npy", nib.eulerangles.euler2mat(0.3, -0.2, 0.5))
    subprocess.run([sys.executable, "-c", _ITK], cwd=tmp_path, check=True)
    oracle = nib.load(tmp_path / "oracle.nii")
    for name in ("packed.mha", "plain.mha"):
        ours = load_metaimage(tmp_path / name)
        np.testing.assert_array_equal(np.asanyarray(ours.dataobj), np.asanyarray(oracle.dataobj))
        np.testing.assert_allclose(ours.affine, oracle.affine, atol=1e-4)


def test_directions_beyond_all_numbers_stay_so_for_the_gate_to_see(
    write: Callable[[bytes], Path],
):
    image = load_metaimage(write(metaimage(TransformMatrix="1e300 0 0 0 1 0 0 0 1")))
    assert not np.isfinite(image.affine).all()


def flipped(content: bytes, place: int) -> bytes:
    changed = bytearray(content)
    changed[place] ^= 0x10
    return bytes(changed)


@pytest.mark.parametrize(
    ("content", "kind", "value"),
    [
        (metaimage()[:-9], "size", "compressed bytes where"),
        (metaimage() + b"more", "size", "compressed bytes where"),
        (metaimage(CompressedDataSize=None) + b"more", "checksum", "4 bytes after its end"),
        (metaimage(CompressedDataSize=None)[:-9], "checksum", "a file that breaks off"),
        (flipped(metaimage(), -100), "checksum", ""),
        (flipped(metaimage(), -1), "checksum", "incorrect data check"),
        (metaimage(compressed=False)[:-1], "size", "419 bytes of voxels where 420 are declared"),
        (metaimage(compressed=False) + b"x", "size", "421 bytes of voxels where 420"),
        (metaimage(DimSize="7 6 6"), "size", "420 bytes of voxels where 504 are declared"),
        (metaimage(bytes(10**6)), "size", "421 bytes of voxels"),  # and no more are unpacked
        (metaimage(DimSize="7 6"), "format", "DimSize is 7 6"),
        (metaimage(DimSize="7 6 0"), "format", "DimSize is 7 6 0"),
        (metaimage(NDims="4"), "format", "NDims is 4, not 3"),
        (metaimage(ElementType="MET_LONG"), "format", "ElementType is MET_LONG"),
        (metaimage(ElementNumberOfChannels="3"), "format", "ElementNumberOfChannels is 3"),
        (metaimage(ElementDataFile="voxels.raw"), "format", "ElementDataFile is voxels.raw"),
        (metaimage(ElementSpacing="1 -2 3"), "format", "ElementSpacing is 1 -2 3"),
        (metaimage(Offset="0 nan 0"), "format", "Offset is 0 nan 0"),
        (metaimage(TransformMatrix="0 0 0 0 0 0 0 0 0"), "format", "axes of which one has no"),
        (metaimage(CompressedData="true"), "format", "CompressedData is true"),
        (metaimage(NDims=None), "format", "NDims"),
        (b"NDims = 3\nNDims = 3\n", "format", "a broken header (line 2)"),
        (b"Jane Doe\nNDims = 3\n", "format", "a broken header (line 1)"),
        (metaimage(DimSize="7 6 99999999999"), "limit", "8399999999916 bytes of voxels"),
        (b"\x1f\x8b\x08\n", "format", "a broken header"),
        (b"", "format", "no line ElementDataFile"),
    ],
)
def test_a_damaged_file_is_told_and_never_read_as_another(
    write: Callable[[bytes], Path], content: bytes, kind: str, value: str
):
    with pytest.raises(MetaImageError) as error:
        load_metaimage(write(content))
    assert error.value.kind == kind
    assert value in error.value.value


def test_no_flipped_bit_of_the_voxels_passes(write: Callable[[bytes], Path]):
    whole = metaimage()
    start = len(whole) - int(whole.split(b"CompressedDataSize = ")[1].split(b"\n")[0])
    for place in np.random.default_rng(1).integers(start, len(whole), 200):
        with pytest.raises(MetaImageError):
            load_metaimage(write(flipped(whole, int(place))))


def test_a_file_that_is_not_there_or_a_folder_is_told(tmp_path: Path):
    (tmp_path / "folder.mha").mkdir()
    for name, kind in (("none.mha", "missing"), ("folder.mha", "unreadable")):
        with pytest.raises(MetaImageError) as error:
            load_metaimage(tmp_path / name)
        assert error.value.kind == kind
