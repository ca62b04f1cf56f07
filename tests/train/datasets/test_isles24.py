"""ISLES 2024: both releases, its defects by name, and what its masks tell."""

import numpy as np
import pytest

from lvo.train.datasets import data_set
from lvo.train.datasets.check import survey
from lvo.train.datasets.miniature import OCCLUSIONS, write_isles24
from lvo.train.datasets.record import Level


def look(miniature, **options):
    return survey(data_set("isles24"), miniature.root, **options)


def codes(found, subject):
    return {issue.code for one in found.checked if one.scan.subject == subject for issue in one.issues}


@pytest.mark.parametrize("release", ["v7", "old"])
def test_both_releases_give_the_same_scans(miniature, release):
    """Names of subjects, sessions, folders and tables changed; the scan is the same."""
    miniature.isles24_subject(7, release=release)
    (one,) = look(miniature).checked
    scan = one.scan
    assert scan.subject == "sub-stroke0007"
    assert "space-ncct_cta" in scan.image.name
    assert "space-ncct" not in scan.native.name
    assert scan.native.name.endswith("_cta.nii.gz")
    assert scan.arteries.name.endswith("cow-msk.nii.gz")
    assert scan.clot.name.endswith("lvo-msk.nii.gz")
    assert scan.centre == "1"
    assert scan.facts == {"age": "78", "sex": "F"}  # NIHSS is the word "nan"
    assert one.usable


@pytest.mark.parametrize(
    ("place_ras_mm", "side", "site"),
    [
        pytest.param((22, 4, -16), "right", "M1", id="right MCA"),
        pytest.param((-22, 4, -16), "left", "M1", id="left MCA"),
        pytest.param((-14, 4, -26), "left", "ICA", id="left ICA"),
        pytest.param((-20, 4, -17), "left", "M1", id="between left ICA and left MCA"),
        pytest.param((0, -24, -30), "midline", "BA", id="basilar"),
        pytest.param((-50, -10, 20), "left", "", id="far beyond every label"),
        pytest.param((2, -24, -15), "midline", "P1", id="nearer to the basilar artery than 15 mm, not than 5"),
    ],
)
def test_side_and_site_follow_from_the_masks(miniature, place_ras_mm, side, site):
    miniature.isles24_subject(3, clot=place_ras_mm)
    (one,) = look(miniature).checked
    assert one.scan.occluded is True
    assert (one.scan.side, one.scan.site) == (side, site)


@pytest.mark.slow
def test_the_sites_of_the_synthetic_subjects_are_those_that_were_drawn(tmp_path):
    """Their clots join the open ends of the arteries around them."""
    write_isles24(tmp_path / "made", subjects=4)
    found = survey(data_set("isles24"), tmp_path / "made")
    drawn = [occlusion.partition("-") for occlusion in OCCLUSIONS[:4]]
    expected = [("", "") if site == "" else (side, site) for side, _, site in drawn]
    assert [(one.scan.side, one.scan.site) for one in found.checked] == expected


def test_an_empty_mask_is_a_negative(miniature):
    miniature.isles24_subject(3, clot=None)
    (one,) = look(miniature).checked
    assert one.scan.occluded is False
    assert "empty-clot" in codes(look(miniature), "sub-stroke0003")
    assert one.usable


def test_known_defects_are_recognised_by_name(miniature):
    """Mask of another shape in 0016, CBF cut short in 0043, no centre in 0075, a .nii mask in 0142; elsewhere they are news."""
    for number in (16, 17):
        miniature.isles24_subject(number)
        affine = miniature.affine(shape=(30, 44, 30))
        for path in miniature.root.glob(f"**/sub-stroke{number:04d}*cow-msk.nii.gz"):
            miniature.nifti(str(path.relative_to(miniature.root)), miniature.cow(affine, shape=(30, 44, 30)), affine)
    miniature.isles24_subject(43)
    (cbf,) = miniature.root.glob("**/sub-stroke0043*_cbf.nii.gz")
    cbf.write_bytes(cbf.read_bytes()[:-4000])
    miniature.isles24_subject(75, centre="nan")
    miniature.isles24_subject(142, ending=".nii")
    found = look(miniature)
    issues = {(issue.subject, issue.code): issue for one in found.checked for issue in one.issues}
    assert issues["sub-stroke0016", "label-grid"].known
    assert issues["sub-stroke0016", "label-grid"].level is Level.ERROR
    assert not issues["sub-stroke0017", "label-grid"].known
    assert issues["sub-stroke0043", "damaged-map"].known
    assert issues["sub-stroke0075", "centre"].known
    assert issues["sub-stroke0142", "suffix"].known
    assert [one.scan.subject for one in found.checked if one.usable] == ["sub-stroke0043", "sub-stroke0075", "sub-stroke0142"]


def test_label_15_has_a_name_and_13_has_none(miniature):
    miniature.isles24_subject(1, codes=(1, 4, 6, 15))
    miniature.isles24_subject(2, codes=(1, 4, 6, 13))
    found = look(miniature)
    assert "label-codes" not in codes(found, "sub-stroke0001")
    assert "label-codes" in codes(found, "sub-stroke0002")


def test_what_is_missing_is_named(miniature):
    subject = miniature.isles24_subject(5)
    for path in miniature.root.glob("**/*"):
        if path.is_file() and ("lvo-msk" in path.name or "raw_data" in str(path)):
            path.unlink()
    found = look(miniature)
    assert {"missing-lvo-msk", "missing-cta"} <= codes(found, subject)
    (one,) = found.checked
    assert one.scan.occluded is None  # nothing says so: no mask is not an empty mask


def test_damaged_and_swapped_files_are_errors(miniature):
    """A file cut short, and labels whose left lies on the patient's right."""
    for number in (1, 2, 3):
        miniature.isles24_subject(number)
    (cut,) = miniature.root.glob("**/sub-stroke0001*space-ncct_cta.nii.gz")
    cut.write_bytes(cut.read_bytes()[:2000])
    (swapped,) = miniature.root.glob("**/sub-stroke0002*cow-msk.nii.gz")
    affine = miniature.affine()
    labels = miniature.cow(affine)
    miniature.nifti(str(swapped.relative_to(miniature.root)), np.ascontiguousarray(labels[::-1]), affine)
    found = look(miniature)
    assert "unreadable" in codes(found, "sub-stroke0001")
    assert "left-right" in codes(found, "sub-stroke0002")
    assert [one.usable for one in found.checked] == [False, False, True]


def test_a_quick_look_reads_headers_only(miniature):
    """It sees thick slices; it cannot see that a mask is empty."""
    subject = miniature.isles24_subject(1, clot=None)
    found = look(miniature, values=False)
    assert "thick" in codes(found, subject)
    assert "empty-clot" not in codes(found, subject)
    assert found.checked[0].picture is None
