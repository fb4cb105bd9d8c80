import gzip
import os
import shutil
import time
import zlib

import nibabel as nib
import numpy as np
import pytest

from monai_transfer.data import RULES, check_datalist

A = "HGG/Brats18_A_1/Brats18_A_1"
TOKENS = ("t1", "t1ce", "t2", "flair", "seg")
AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])


def check(cohort):
    return check_datalist(cohort.datalist, cohort.root)


# Faults of files, each in subject A: what is done to it → code, file, value


def delete(cohort):
    cohort.file().unlink()


def replace_by_folder(cohort):
    cohort.file().unlink()
    cohort.file().mkdir()


def break_link(cohort):
    cohort.file().unlink()
    cohort.file().symlink_to("nowhere")


def flip_a_bit_of_the_checksum(cohort):
    raw = bytearray(cohort.file("t2").read_bytes())
    raw[-6] ^= 1
    cohort.file("t2").write_bytes(raw)


def cut_off(cohort):
    raw = cohort.file().read_bytes()
    cohort.file().write_bytes(raw[: len(raw) // 2])


def write_text(cohort):
    cohort.file().write_bytes(gzip.compress(b"<html>404</html>" * 30))


def lose_the_last_voxel(cohort):
    plain = gzip.decompress(cohort.file("flair").read_bytes())
    cohort.file("flair").write_bytes(gzip.compress(plain[:-2]))


def write(token, voxels, **options):
    return lambda cohort: cohort.write(token, voxels(cohort), **options)


def shifted(mm, *, row=0):
    affine = AFFINE.copy()
    affine[row, 3] += mm
    return affine


def header_number(token, start, value):
    """Overwrite a float32 of the header; 112 is the slope, 280 the first entry of the affine."""

    def patch(cohort):
        plain = bytearray(gzip.decompress(cohort.file(token).read_bytes()))
        plain[start : start + 4] = np.float32(value).tobytes()
        cohort.file(token).write_bytes(gzip.compress(bytes(plain)))

    return patch


def header_code(token, start, value):
    """Overwrite a byte of the header; 123 is the unit, 252 the qform's code."""

    def patch(cohort):
        plain = bytearray(gzip.decompress(cohort.file(token).read_bytes()))
        plain[start] = value
        cohort.file(token).write_bytes(gzip.compress(bytes(plain)))

    return patch


def with_qform(affine, token="t2"):
    """Beside the sform, which stays as it is."""

    def write_both(cohort):
        image = nib.load(cohort.file(token))
        image = nib.Nifti1Image(np.asarray(image.dataobj), AFFINE)
        image.set_qform(affine, 1)
        image.set_sform(AFFINE, 1)
        nib.save(image, cohort.file(token))

    return write_both


def quaternion_of_no_rotation(cohort):
    header_code("t1", 252, 1)(cohort)
    header_number("t1", 256, 3.0)(cohort)


def pipe(cohort):
    cohort.file().unlink()
    os.mkfifo(cohort.file())


def declare_more_than_fits_a_machine(cohort):
    plain = bytearray(gzip.decompress(cohort.file().read_bytes()))
    plain[42:48] = np.array([32767, 32767, 8], "<i2").tobytes()
    cohort.file().write_bytes(gzip.compress(bytes(plain)))


def cut_into_a_hundred_thousand_pieces(cohort):
    cohort.file().write_bytes(gzip.compress(b"") * 100_001)


def append_megabytes_of_zeros(cohort):
    deflate = zlib.compressobj(9, wbits=31)
    plain = gzip.decompress(cohort.file().read_bytes())
    megabytes = [deflate.compress(bytes(1 << 20)) for _ in range(100)]
    cohort.file().write_bytes(gzip.compress(plain) + b"".join([*megabytes, deflate.flush()]))


def every_file(affine, shape=(8, 9, 7)):
    """All of a subject are alike, so that none is to blame beside the others."""

    def rewrite(cohort):
        for seed, token in enumerate(TOKENS):
            whole = cohort.label() if token == "seg" else cohort.image(seed)
            part = np.ascontiguousarray(whole[tuple(slice(size) for size in shape)])
            cohort.write(token, part, affine=affine)

    return rewrite


def with_voxel(value, dtype=np.float32):
    def voxels(cohort):
        result = cohort.image().astype(dtype)
        result[3, 4, 5] = value
        return result

    return voxels


def relabelled(value, dtype=np.uint8):
    def voxels(cohort):
        result = cohort.label().astype(dtype)
        result[result == 4] = value
        return result

    return voxels


FILES = [
    (delete, "G201", "t1", "no file"),
    (break_link, "G201", "t1", "no file"),
    (replace_by_folder, "G202", "t1", "directory"),
    (pipe, "G202", "t1", "a pipe or device"),
    (flip_a_bit_of_the_checksum, "G203", "t2", "incorrect data check"),
    (cut_off, "G203", "t1", "a file that breaks off"),
    (write_text, "G204", "t1", "no NIfTI header"),
    (lose_the_last_voxel, "G205", "flair", "1006 bytes of voxels where 1008 are declared"),
    (append_megabytes_of_zeros, "G205", "t1", "where 1008 are declared"),
    (declare_more_than_fits_a_machine, "G206", "t1", "17178820624 bytes of voxels"),
    (cut_into_a_hundred_thousand_pieces, "G206", "t1", "more than 100000 pieces"),
    (write("t1", lambda c: c.image()[..., 0]), "G301", "t1", "8x9"),
    (
        write("t1", lambda c: np.stack([c.image(98), c.image(99)], -1)),
        "G301", "t1", "8x9x7x2",
    ),
    (write("seg", lambda c: c.label()[..., None]), "G301", "seg", "8x9x7x1"),
    (header_number("t1ce", 280, np.nan), "G302", "t1ce", "NaN or infinity in it"),
    (write("t2", lambda c: c.image()[:-1]), "G303", "t2", "7x9x7 where"),
    (write("seg", lambda c: c.label()[..., :-1]), "G303", "seg", "8x9x6 where"),
    (write("seg", lambda c: c.label(), affine=shifted(1)), "G304", "seg", "1 mm away from"),
    (write("t2", lambda c: c.image(), affine=shifted(0.003, row=2)), "G304", "t2", "0.003 mm"),
    (write("t2", lambda c: c.image(), affine=np.eye(4)), "G304", "t2", "21.26 mm away"),
    (
        write("flair", lambda c: c.image(), affine=AFFINE @ np.diag([1, 1, 1.01, 1])),
        "G304", "flair", "0.06 mm away",
    ),
    (with_qform(np.diag([1, -1, 1, 1])), "G305", "t2", "another direction of x"),
    (with_qform(np.diag([1, 1, 1, 1])), "G305", "t2", "another direction of x, y"),
    (quaternion_of_no_rotation, "G305", "t1", "another direction of x, y, z"),
    (with_qform(shifted(1)), "G306", "t2", "corners up to 1 mm apart by qform and sform"),
    (
        with_qform(AFFINE @ np.diag([1, 1, 1.1, 1])),
        "G306", "t2", "a pixdim of 1x1x1.1 and an sform of 1x1x1 mm",
    ),
    (header_number("t1", 280, 0), "G308", "t1", "axes of 0x1x1 mm in one plane"),
    (header_code("t1", 123, 1), "G310", "t1", "metres"),
    (header_code("seg", 123, 8 + 3), "G310", "seg", "micrometres"),
    (write("t1", with_voxel(np.nan)), "G401", "t1", "in 1 voxels, first at (3, 4, 5)"),
    (write("t1", with_voxel(-np.inf)), "G401", "t1", "in 1 voxels, first at (3, 4, 5)"),
    (write("t1", with_voxel(1e39, np.float64)), "G401", "t1", "first at (3, 4, 5)"),
    (header_number("t1", 112, 1e37), "G401", "t1", "NaN or infinity in"),
    (write("seg", relabelled(np.nan, np.float32)), "G401", "seg", "first at (4, 4, 3)"),
    (write("t1", lambda c: np.zeros((8, 9, 7), np.float32)), "G402", "t1", "0 in every voxel"),
    (write("t1", lambda c: np.full((8, 9, 7), 7, np.int16)), "G402", "t1", "7 in every voxel"),
    (write("t1", with_voxel(-1e30)), "G403", "t1", "-1e+30 to 99"),
    (header_number("t1", 112, 1e-20), "G403", "t1", "0 to 9.9"),
    (write("t1", lambda c: (c.image() % 9 + 1e8)), "G403", "t1", "1e+08 to 1e+08"),
    (write("t1", with_voxel(1e6)), "G404", "t1", "0 to 1e+06, 98 in 100 in"),
    (write("seg", relabelled(0.999, np.float32)), "G501", "seg", "0.999 in 1 voxels"),
    (write("seg", relabelled(3)), "G502", "seg", "3 in 1 voxels (declared: 0, 1, 2, 4)"),
    (write("seg", relabelled(255)), "G502", "seg", "255 in 1 voxels"),
    (write("seg", relabelled(-1, np.int16)), "G502", "seg", "-1 in 1 voxels"),
    (header_number("seg", 112, 2), "G502", "seg", "8 in 1 voxels"),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "code", "token", "value"), FILES)
def test_a_fault_of_a_file_is_the_only_one_reported(cohort, harm, code, token, value):
    harm(cohort)
    started = time.process_time()
    (fault,) = check(cohort)
    assert time.process_time() - started < 5  # a crafted file must not hold it up
    assert (fault.code, fault.subject, fault.file) == (
        code,
        "Brats18_A_1",
        f"{A}_{token}.nii.gz",
    )
    assert value in fault.value


WHOLE_SUBJECTS = [
    (every_file(AFFINE * 1e-3), "G309", "0.001x0.001x0.001"),
    (every_file(AFFINE @ np.diag([1, 1, 400, 1])), "G309", "1x1x400"),
    (every_file(AFFINE, shape=(8, 9, 1)), "G311", "8x9x1"),
    (every_file(AFFINE, shape=(1, 9, 7)), "G311", "1x9x7"),
    (every_file(shifted(2e4)), "G312", "2e+04 mm"),
]


@pytest.mark.parametrize(("harm", "code", "value"), WHOLE_SUBJECTS)
def test_a_fault_of_a_whole_subject_is_reported_for_each_of_its_files(cohort, harm, code, value):
    harm(cohort)
    faults = [fault for fault in check(cohort) if fault.code not in {"G503", "G606"}]
    assert [fault.file for fault in faults] == [f"{A}_{token}.nii.gz" for token in TOKENS]
    assert {(fault.code, fault.value) for fault in faults} == {(code, value)}


def test_a_guess_of_left_and_right_is_a_warning(cohort):
    for token in TOKENS:
        image = nib.Nifti1Image(np.asarray(nib.load(cohort.file(token)).dataobj), None)
        nib.save(image, cohort.file(token))
    faults = check(cohort)
    assert {fault.code for fault in faults} == {"G307"}
    assert {fault.severity for fault in faults} == {"warning"}
    assert [fault.file for fault in faults] == [f"{A}_{token}.nii.gz" for token in TOKENS]


def test_units_are_named_where_the_spacing_is_absurd(cohort):
    every_file(AFFINE * 1e-3)(cohort)
    header_code("t1", 123, 1)(cohort)
    values = [fault.value for fault in check(cohort) if fault.code == "G309"]
    assert values[0] == "0.001x0.001x0.001, in a header that says metres"


def test_every_rule_on_files_has_a_fault_in_the_table():
    tested = {code for _, code, *_ in FILES} | {code for _, code, _ in WHOLE_SUBJECTS} | {"G307"}
    between_subjects = {"G207", "G503", "G504"}
    assert tested == {code for code in RULES if code[1] in "2345"} - between_subjects


def test_a_whole_and_a_fractional_foreign_label_are_two_faults_and_long_lists_are_cut(cohort):
    voxels = cohort.label().astype(np.float32)
    voxels[0, 0, :6] = [0.1, 0.2, 0.3, 0.4, 0.5, 9]
    cohort.write("seg", voxels)
    fractional, foreign = check(cohort)
    assert fractional.value == (
        "0.1 in 1 voxels, 0.2 in 1 voxels, 0.3 in 1 voxels, 0.4 in 1 voxels and 1 more values"
    )
    assert (foreign.code, foreign.value) == (
        "G502",
        "9 in 1 voxels (declared: 0, 1, 2, 4)",
    )


def test_zero_must_be_declared_too(cohort):
    cohort.datalist["labels"] = {"1": "core", "2": "oedema", "4": "enhancing"}
    assert {fault.value.split(" (")[0] for fault in check(cohort)} == {"0 in 486 voxels"}


def test_the_first_file_is_what_the_others_are_compared_with_unless_it_cannot_be_read(cohort):
    delete(cohort)
    cohort.write("seg", cohort.label(), affine=shifted(5))
    missing, shift = check(cohort)
    assert missing.code == "G201"
    assert shift.value == f"5 mm away from {A}_t1ce.nii.gz"


# Odd, but valid


def link(cohort):
    elsewhere = cohort.root.parent / "elsewhere.nii.gz"
    shutil.move(cohort.file(), elsewhere)
    cohort.file().symlink_to(elsewhere)


def rename(cohort):
    for index, file in enumerate(cohort.entry()["image"]):
        new = f"größe {index}/t 1.nii.gz"
        (cohort.root / new).parent.mkdir()
        (cohort.root / file).rename(cohort.root / new)
        cohort.entry()["image"][index] = new


def unzip(cohort):
    file = cohort.file("t2")
    file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
    cohort.entry()["image"][2] = f"{A}_t2.nii"


def big_endian_nifti2(cohort):
    header = nib.Nifti2Header(endianness=">")
    nib.save(nib.Nifti2Image(cohort.image(), AFFINE, header), cohort.file())


def qform_only(cohort):
    image = nib.Nifti1Image(cohort.image(), AFFINE)
    image.set_sform(None, 0)
    image.set_qform(AFFINE, 1)
    nib.save(image, cohort.file())


def scaled_whole_numbers(cohort):
    image = nib.Nifti1Image(cohort.image(), AFFINE)
    image.header.set_slope_inter(0.1, -3)
    nib.save(image, cohort.file())


def all_oblique(cohort):
    angle = np.deg2rad(14)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine[2, 2] = 5.5
    for seed, token in enumerate(("t1", "t1ce", "t2", "flair")):
        cohort.write(token, cohort.image(seed), affine=affine)
    cohort.write("seg", cohort.label(), affine=affine)


def anisotropic_and_big(cohort):
    """Jitter of 1e-5 in a direction moves the far corner of a large image by some hundredths."""
    affine = AFFINE.copy()
    affine[:3, :3] += 1e-5 * (np.arange(9) % 3 - 1).reshape(3, 3)
    ramp = np.arange(240 * 240 * 4, dtype=np.int32).reshape(240, 240, 4)
    for seed, token in enumerate(("t1", "t1ce", "t2", "flair")):
        jittered = affine if token == "t2" else AFFINE
        cohort.write(token, ramp * (seed + 2) % 1013, affine=jittered)
    cohort.write("seg", (ramp % 4 == 0).astype(np.uint8), affine=AFFINE)


def test_a_file_without_an_affine_is_not_what_the_others_are_compared_with(cohort):
    header_number("t1", 280, np.nan)(cohort)
    cohort.write("seg", cohort.label(), affine=shifted(5))
    assert [(fault.code, fault.file.removeprefix(A)) for fault in check(cohort)] == [
        ("G302", "_t1.nii.gz"),
        ("G304", "_seg.nii.gz"),
    ]


@pytest.mark.parametrize(
    "change",
    [
        link,
        rename,
        unzip,
        big_endian_nifti2,
        qform_only,
        scaled_whole_numbers,
        all_oblique,
        write("t2", lambda c: c.image(), affine=AFFINE + 1e-5 * (np.arange(16) % 3).reshape(4, 4)),
        write("seg", lambda c: c.label().astype(np.float64)),
        write("seg", relabelled(1)),
        write("t1", with_voxel(3e3)),
        write("t1", lambda c: -c.image()),
        with_qform(shifted(0.01)),
        header_code("t2", 123, 0),
        every_file(np.diag([0.4, 0.4, 6, 1])),
        anisotropic_and_big,
    ],
)
def test_what_is_odd_but_valid_passes(cohort, change):
    change(cohort)
    assert [str(fault) for fault in check(cohort)] == []


def decathlon(cohort, channels):
    """One subject as the Medical Segmentation Decathlon has them: one file of all modalities."""
    stack = np.stack([cohort.image(seed) for seed in range(channels)], axis=-1)
    (cohort.root / "imagesTr").mkdir()
    nib.save(nib.Nifti1Image(stack, AFFINE), cohort.root / "imagesTr" / "BRATS_001.nii.gz")
    entry = {"image": "./imagesTr/BRATS_001.nii.gz", "label": f"./{A}_seg.nii.gz"}
    changed = {"training": [entry], "validation": [], "test": []}
    counts = {"numTraining": 1, "numValidation": 0}
    return {**cohort.datalist, **changed, **counts}


def test_one_file_with_all_modalities_passes_and_another_number_of_them_does_not(cohort):
    assert check_datalist(decathlon(cohort, 4), cohort.root) == []
    shutil.rmtree(cohort.root / "imagesTr")
    (fault,) = check_datalist(decathlon(cohort, 3), cohort.root)
    assert (fault.code, fault.subject) == ("G301", "imagesTr/BRATS_001")
    assert fault.value == "8x9x7x3"
