"""The other layouts, each with its variants and traps."""

import numpy as np
import pytest

from lvo.errors import InputError, UsageError
from lvo.train.datasets import DATA_SETS, data_set
from lvo.train.datasets.check import survey
from lvo.train.datasets.record import Level


def look(name, miniature, **options):
    return survey(data_set(name), miniature.root, **options)


def issues_of(found):
    return [*(issue for one in found.checked for issue in one.issues), *found.issues]


# TopCoW ---------------------------------------------------------------------------------------------------------------


def topcow_case(miniature, number, *, kind="2024", codes=(1, 2, 3, 4, 5, 6, 7)):
    affine = miniature.affine(flip=True)  # some files run from left to right
    top = "TopCoW2024_Data_Release" if kind == "2024" else "TopCoW2023"
    extent = "" if kind == "2024" else "whole_"
    miniature.nifti(f"{top}/imagesTr/topcow_ct_{extent}{number}_0000.nii.gz", miniature.head(affine), affine)
    miniature.nifti(f"{top}/cow_seg_labelsTr/topcow_ct_{extent}{number}.nii.gz", miniature.cow(affine, codes), affine)
    if kind == "2024":
        miniature.nifti(f"{top}/imagesTr/topcow_mr_{number}_0000.nii.gz", miniature.head(affine), affine)
        miniature.text(f"{top}/roi_loc_labelsTr/topcow_ct_{number}.txt", "20\n22\n14\n8\n10\n9\n")
        anterior = "anterior:\n  L-A1: 1\n  Acom: 1\n  3rd-A2: 0\n  R-A1: 1\n"
        posterior = "posterior:\n  L-Pcom: 0\n  L-P1: 1\n  R-P1: 1\n  R-Pcom: 1\n"
        miniature.text(f"{top}/antpos_edges_labelsTr/topcow_ct_{number}.yml", anterior + posterior)
    else:
        roi = miniature.affine(flip=True, shape=(20, 20, 12))
        miniature.nifti(f"{top}/imagesTr/topcow_ct_roi_{number}_0000.nii.gz", miniature.head(roi, (20, 20, 12)), roi)
        miniature.nifti(
            f"{top}/bin_labelsTr/topcow_ct_{extent}{number}.nii.gz", (miniature.cow(affine) > 0).astype(np.uint8), affine
        )


def test_topcow_takes_the_ct_and_its_named_labels(miniature):
    topcow_case(miniature, "001")
    found = look("TopCoW", miniature)
    (one,) = found.checked
    assert one.scan.image.name == "topcow_ct_001_0000.nii.gz"
    assert one.scan.arteries.parent.name == "cow_seg_labelsTr"
    assert one.scan.occluded is None
    assert one.scan.patient == "topcow-001"
    assert one.usable
    assert [issue.code for issue in found.issues] == ["mr"]


def test_topcow_2023_prefers_the_whole_head_and_the_names(miniature):
    topcow_case(miniature, "002", kind="2023")
    (one,) = look("topcow", miniature).checked
    assert "whole" in one.scan.image.name
    assert one.scan.arteries.parent.name == "cow_seg_labelsTr"


def test_topcow_names_broken_boxes_edges_and_labels(miniature):
    topcow_case(miniature, "003", codes=(1, 4, 6, 13))
    miniature.text("TopCoW2024_Data_Release/roi_loc_labelsTr/topcow_ct_003.txt", "20 22 14 8 10")
    miniature.text("TopCoW2024_Data_Release/antpos_edges_labelsTr/topcow_ct_003.yml", "anterior: {L-A1: 2}\nposterior: {}\n")
    miniature.nifti("TopCoW2024_Data_Release/imagesTr/topcow_ct_004_0000.nii.gz", np.full((9, 9, 9), -900, np.int16), np.eye(4))
    found = look("TopCoW", miniature)
    assert {issue.code for issue in issues_of(found)} >= {"box", "edges", "label-codes", "missing-label", "crop"}


def test_the_large_case_of_topcow_is_known(miniature, monkeypatch):
    monkeypatch.setattr("lvo.train.datasets.check.LARGE_VOXELS", 1000)
    for number in ("017", "018"):
        topcow_case(miniature, number)
    known = {issue.subject: issue.known for issue in issues_of(look("TopCoW", miniature)) if issue.code == "large"}
    assert known["topcow_ct_017"]
    assert not known["topcow_ct_018"]


# TopBrain -------------------------------------------------------------------------------------------------------------

ITKSNAP = """################################################
# ITK-SnAP Label Description File
################################################
    0     0    0    0        0  0  0    "Clear Label"
    1   255    0    0        1  1  1    "BA"
    2     0  255    0        1  1  1    "R-P1P2"
    3     0    0  255        1  1  1    "L-P1P2"
    4   255  255    0        1  1  1    "R-ICA"
    5     0  255  255        1  1  1    "R-M1"
    6   255    0  255        1  1  1    "L-ICA"
    7   255  239  213        1  1  1    "L-M1"
   40   255  239  213        1  1  1    "SSS"
"""


@pytest.mark.parametrize("spelling", ["topcow", "topbrain"])
def test_topbrain_reads_the_codes_from_the_file_that_comes_along(miniature, spelling):
    affine, top = miniature.affine(), "TopBrain_Data_Release_Batches1n2_081425"
    miniature.nifti(f"{top}/imagesTr_topbrain_ct/{spelling}_ct_001_0000.nii.gz", miniature.head(affine), affine)
    miniature.nifti(f"{top}/labelsTr_topbrain_ct/{spelling}_ct_001.nii.gz", miniature.cow(affine), affine)
    miniature.text(f"{top}/itksnap_labelmap_txt/labelmap_topbrain_ct.txt", ITKSNAP)
    found = look("TopBrain", miniature)
    (one,) = found.checked
    assert one.usable
    assert one.scan.patient == "topcow-001"  # the same patient as in TopCoW
    assert (found.names[2], found.names[40]) == ("R-P1P2", "SSS")
    assert 0 not in found.names


def test_topbrain_never_guesses_codes(miniature):
    affine = miniature.affine()
    miniature.nifti("imagesTr_topbrain_ct/topcow_ct_001_0000.nii.gz", miniature.head(affine), affine)
    miniature.nifti("labelsTr_topbrain_ct/topcow_ct_001.nii.gz", miniature.cow(affine), affine)
    found = look("TopBrain", miniature)
    assert [issue.code for issue in found.issues] == ["label-names"]
    assert "label-codes" in {issue.code for issue in found.checked[0].issues}


# RSNA -----------------------------------------------------------------------------------------------------------------


def test_rsna_takes_ct_angiograms_and_labels_in_both_places(miniature):
    uids = ["1.2.826.1", "1.2.826.2", "1.2.826.3", "1.2.826.4"]
    rows = [
        {"SeriesInstanceUID": uid, "PatientAge": 61, "PatientSex": "Male", "Modality": modality, "Aneurysm Present": 1}
        for uid, modality in zip(uids, ("CTA", "CTA", "MRA", "CTA"), strict=True)
    ]
    miniature.table("train.csv", rows)
    head, affine = miniature.thin_head()
    for uid in uids[:3]:
        miniature.dicom(f"series/{uid}", head, affine, uid=uid)
    small = miniature.affine()
    miniature.nifti(f"segmentations/{uids[1]}/{uids[1]}.nii", miniature.head(small), small)
    miniature.nifti(f"segmentations/{uids[1]}_cowseg.nii", miniature.cow(small, (1, 2)), small)
    found = look("RSNA25", miniature)
    scans = {one.scan.subject: one for one in found.checked}
    assert set(scans) == {uids[0], uids[1]}
    assert scans[uids[0]].scan.image.name == uids[0]
    assert scans[uids[0]].grid.shape_kji == (66, 56, 48)
    assert scans[uids[1]].scan.image.suffix == ".nii"
    assert scans[uids[1]].scan.arteries.name.endswith("_cowseg.nii")
    assert {issue.code for issue in found.issues} == {"modality", "no-image"}
    assert scans[uids[0]].scan.facts["aneurysm"] == "1"


# CQ500 ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["CQ500CT172 CQ500CT172/Unknown Study", "CQ500-CT-172/Unknown_Study", "CQ500_CT_172"])
def test_cq500_leaves_the_chest_out_and_reads_the_readers(miniature, folder):
    """Three spellings; a byte order mark; two of three readers decide."""
    head, affine = miniature.thin_head()
    miniature.dicom(f"{folder}/CT PLAIN THIN", head, affine, uid="1.2.3", series="CT PLAIN THIN", contrast=False)
    miniature.dicom(
        f"{folder}/CT CHEST", np.full((20, 20, 6), 40), np.diag([10, 10, 10, 1.0]), uid="1.2.3.1", series="CT CHEST"
    )
    for path in (miniature.root / folder / "CT CHEST").glob("*.dcm"):
        import pydicom

        image = pydicom.dcmread(path)
        image.StudyInstanceUID, image.BodyPartExamined = "1.2.3", "CHEST"
        image.save_as(path)
    votes = {"R1:ICH": 1, "R2:ICH": 0, "R3:ICH": 1, "R1:Fracture": 0, "R2:Fracture": 1, "R3:Fracture": 0}
    miniature.table("reads.csv", [{"name": "CQ500-CT-172", "Category": "B1", **votes}], encoding="utf-8-sig")
    found = look("CQ500", miniature)
    (one,) = found.checked
    assert one.scan.subject == "CQ500-CT-172"
    assert one.scan.kind == "ncct"
    assert one.grid.shape_kji == (66, 56, 48)
    assert (one.scan.facts["haemorrhage"], one.scan.facts["fracture"]) == ("yes", "no")
    (chest,) = [issue for issue in one.issues if issue.code == "chest"]
    assert chest.known
    assert one.usable


# perfusion sets -------------------------------------------------------------------------------------------------------


def test_unitobrain_finds_perfusion_folders(miniature):
    affine = miniature.affine(spacing=(7.0, 7.0, 10.0), shape=(24, 28, 8))
    still = miniature.head(affine, (24, 28, 8))
    frames = np.stack([still + np.where((still > 0) & (still < 100), bolus, 0) for bolus in (0, 5, 30, 12, 4, 2, 1, 1)])
    times_s = tuple(2.0 * n for n in range(8))
    miniature.dicom("UniToBrain/MOL-001/CTP", frames, affine, uid="1.9", series="CTP", times_s=times_s)
    miniature.text("UniToBrain/part.7z.001", "packed")
    found = look("UniToBrain", miniature)
    (one,) = found.checked
    assert (one.scan.subject, one.scan.kind) == ("MOL-001", "ctp")
    assert one.usable, one.issues
    assert [issue.code for issue in found.issues] == ["packed"]


def test_isles_2018_is_no_angiogram_and_says_so(miniature):
    affine = miniature.affine(shape=(16, 16, 2))
    for case, what in ((1, ("CT", "CT_4DPWI", "CT_CBF", "CT_CBV", "CT_MTT", "CT_Tmax", "OT")), (2, ("CT", "CT_4DPWI"))):
        for n, name in enumerate(what):
            stem = f"SMIR.Brain.XX.O.{name}.34556{n}"
            shape = (16, 16, 2, 5) if name == "CT_4DPWI" else (16, 16, 2)
            miniature.nifti(f"TRAINING/case_{case}/{stem}/{stem}.nii", np.zeros(shape, np.int16), affine)
    found = look("ISLES18", miniature)
    assert [one.scan.kind for one in found.checked] == ["ctp", "ctp"]
    assert "CT_4DPWI" in str(found.checked[0].scan.image)
    assert not found.checked[0].issues
    (lacking,) = found.checked[1].issues
    assert "CT_CBF, CT_CBV, CT_MTT, CT_Tmax, OT" in lacking.text
    assert any("no CT angiogram" in note for note in found.data_set.notes)


# a plain folder -------------------------------------------------------------------------------------------------------


def test_a_plain_folder_is_described_by_its_table(miniature):
    affine = miniature.affine()
    miniature.nifti("a.nii.gz", miniature.head(affine), affine)
    miniature.nifti("b.nii.gz", miniature.head(affine), affine)
    miniature.nifti("a_arteries.nii.gz", miniature.cow(affine, (1, 4)), affine)
    head, thin = miniature.thin_head()
    miniature.dicom("c", head, thin, uid="1.5")
    rows = [
        {
            "subject": "1",
            "image": "a.nii.gz",
            "arteries": "a_arteries.nii.gz",
            "occluded": "Yes",
            "side": "left",
            "site": "M1",
            "centre": "A",
        },
        {"subject": "2", "image": "b.nii.gz", "arteries": "", "occluded": "no", "side": "", "site": "", "centre": "B"},
        {"subject": "3", "image": "c", "arteries": "", "occluded": "nan", "side": "", "site": "", "centre": "B"},
    ]
    miniature.table("cases.csv", rows)
    miniature.table("labels.csv", [{"code": 1, "name": "BA"}, {"code": 4, "name": "R-M1"}])
    found = look("folder", miniature)
    assert [one.scan.occluded for one in found.checked] == [True, False, None]
    assert (found.checked[0].scan.side, found.checked[0].scan.site) == ("left", "M1")
    assert found.checked[2].grid.shape_kji == (66, 56, 48)
    assert found.names == {1: "BA", 4: "R-M1"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"image": "gone.nii.gz"}, "image 'gone.nii.gz' is not there", id="no such file"),
        pytest.param({"occluded": "maybe"}, "occluded is 'maybe'", id="neither yes nor no"),
        pytest.param({"side": "port"}, "side is 'port'", id="no side"),
        pytest.param({"site": "M9"}, "site is 'M9'", id="no site"),
        pytest.param({"occluded": "no", "site": "M1"}, "not occluded and yet", id="contradiction"),
    ],
)
def test_a_wrong_line_of_the_table_is_an_error_of_that_line(miniature, change, words):
    affine = miniature.affine()
    miniature.nifti("a.nii.gz", miniature.head(affine), affine)
    row = {"subject": "1", "image": "a.nii.gz", "occluded": "yes", "side": "left", "site": "", **change}
    miniature.table("cases.csv", [row])
    (issue,) = look("folder", miniature).issues
    assert issue.level is Level.ERROR
    assert words in issue.text
    assert "line 2" in issue.text


def test_pictures_and_other_grids_are_refused(miniature):
    """A normalised image is no CT; a label that lies elsewhere does not fit, though its shape does."""
    affine = miniature.affine()
    miniature.nifti("a.nii.gz", np.clip(miniature.head(affine), 0, 255).astype(np.uint8), affine)
    miniature.nifti("b.nii.gz", miniature.head(affine), affine)
    miniature.nifti("b_label.nii.gz", miniature.cow(affine), miniature.affine(shift_mm=3.0))
    miniature.table("cases.csv", [{"image": "a.nii.gz", "arteries": ""}, {"image": "b.nii.gz", "arteries": "b_label.nii.gz"}])
    found = look("folder", miniature)
    assert [{issue.code for issue in one.issues} & {"hu", "label-grid"} for one in found.checked] == [{"hu"}, {"label-grid"}]
    assert not any(one.usable for one in found.checked)


@pytest.mark.parametrize("name", [name for name in DATA_SETS if name != "folder"])
def test_nothing_of_the_data_set_is_an_error(miniature, name):
    miniature.text("notes.txt", "nothing here")
    if name in {"RSNA25", "TopBrain"}:
        assert any(issue.level is Level.ERROR for issue in look(name, miniature).issues)
        return
    with pytest.raises(InputError, match="holds no scan in the layout"):
        look(name, miniature)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="ISLES24, ISLES18, TopCoW"):
        data_set("MRCLEAN")
