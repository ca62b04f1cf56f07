"""The manifest: nobody is in two splits, everything is hashed, what cannot be used is left out with its reason."""

import hashlib
import json
import shutil
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from lvo import cli as command_line
from lvo.core.anatomy import VESSEL_CLASSES
from lvo.errors import InputError, UsageError
from lvo.synth.render import UNSURE_CLASS
from lvo.train.datasets.index import SplitPlan, _joined, split_patients
from lvo.train.datasets.labels import class_of, side_of, to_classes
from lvo.train.datasets.manifest import read_data_manifest, refuse_leaks, write_data_manifest
from lvo.train.tubes import ANY_ARTERY


def invoke(*arguments):
    return CliRunner().invoke(command_line._lvo, ["data", *map(str, arguments)], catch_exceptions=False, standalone_mode=False)


def isles(miniature, n=6):
    for number in range(1, n + 1):
        miniature.isles24_subject(number, centre=str(1 + number % 2), clot=None if number == 1 else (22, 4, -16 + number / 8))


def test_the_manifest_says_everything(miniature, tmp_path):
    isles(miniature, 3)
    (broken,) = miniature.root.glob("**/sub-stroke0003*space-ncct_cta.nii.gz")
    broken.write_bytes(b"not an image")
    shown = invoke("index", "ISLES24", miniature.root, "--out", tmp_path / "made" / "isles.json")
    assert "left out sub-stroke0003" in shown.output
    manifest, root = read_data_manifest(tmp_path / "made" / "isles.json")
    assert root == miniature.root
    assert "CC BY-NC-SA" in manifest.licence
    assert manifest.label_names[5] == "R-MCA"
    first, second, third = manifest.entries
    assert first.image.sha256 == hashlib.sha256((root / first.image.path).read_bytes()).hexdigest()
    assert second.native.sha256 == hashlib.sha256((root / second.native.path).read_bytes()).hexdigest()
    assert first.spacing_kji_mm == (4.6, 4.1, 4.0)
    assert (first.occluded, second.occluded) == (False, True)
    assert (second.side, second.site, second.centre) == ("right", "M1", "1")
    assert third.split == "left out"
    assert "cannot be read" in third.why


def test_dicom_folders_are_hashed_by_their_content(miniature, tmp_path):
    """Other file names are the same series."""
    head, affine = miniature.thin_head()
    miniature.dicom("c", head, affine, uid="1.5")
    miniature.table("cases.csv", [{"image": "c", "subject": "one"}])
    invoke("index", "folder", miniature.root, "--out", tmp_path / "a.json")
    for n, path in enumerate(sorted((miniature.root / "c").iterdir(), reverse=True)):
        path.rename(path.with_name(f"x{n:03d}"))
    invoke("index", "folder", miniature.root, "--out", tmp_path / "b.json")
    first, second = (read_data_manifest(tmp_path / name)[0].entries[0].image.sha256 for name in ("a.json", "b.json"))
    assert first == second


def test_a_held_out_centre_is_in_the_test_and_nowhere_else(miniature, tmp_path):
    isles(miniature)
    invoke("index", "ISLES24", miniature.root, "--out", tmp_path / "m.json", "--test-centre", "2", "--validation", "0.34")
    manifest, _ = read_data_manifest(tmp_path / "m.json")
    by_centre = {centre: {e.split for e in manifest.entries if e.centre == centre} for centre in ("1", "2")}
    assert by_centre == {"1": {"training", "validation"}, "2": {"test"}}
    with pytest.raises(UsageError, match=r"there is no centre Paris; there are 1, 2"):
        invoke("index", "ISLES24", miniature.root, "--out", tmp_path / "n.json", "--test-centre", "Paris")
    assert not (tmp_path / "n.json").exists()


def test_one_image_under_two_names_is_one_patient(miniature, tmp_path):
    affine = miniature.affine()
    rows = []
    for n in range(8):
        miniature.nifti(f"{n}.nii.gz", miniature.head(affine) + np.int16(n), affine)
        rows.append({"image": f"{n}.nii.gz", "subject": f"s{n}"})
    shutil.copy(miniature.root / "0.nii.gz", miniature.root / "7.nii.gz")
    miniature.table("cases.csv", rows)
    for seed in range(4):
        invoke("index", "folder", miniature.root, "--out", tmp_path / f"{seed}.json", "--validation", "0.5", "--seed", seed)
        entries = {e.subject: e for e in read_data_manifest(tmp_path / f"{seed}.json")[0].entries}
        assert entries["s0"].patient == entries["s7"].patient
        assert entries["s0"].split == entries["s7"].split


def test_two_data_sets_with_the_same_patients_share_one_split(miniature, tmp_path):
    """TopBrain labels patients of TopCoW; without --like they may leak, and that is refused when both are read."""
    affine = miniature.affine()
    for n in range(1, 9):
        miniature.nifti(f"cow/imagesTr/topcow_ct_{n:03d}_0000.nii.gz", miniature.head(affine) + np.int16(n), affine)
        miniature.nifti(
            f"brain/imagesTr_topbrain_ct/topcow_ct_{n:03d}_0000.nii.gz", miniature.head(affine) + np.int16(n), affine
        )
    labelmap = '    1   255    0    0        1  1  1    "BA"\n'
    miniature.text("brain/itksnap_labelmap_txt/labelmap_topbrain_ct.txt", labelmap)
    common = ("--validation", "0.5")
    invoke("index", "TopCoW", miniature.root / "cow", "--out", tmp_path / "cow.json", *common)
    invoke("index", "TopBrain", miniature.root / "brain", "--out", tmp_path / "torn.json", "--seed", 5, *common)
    invoke(
        "index",
        "TopBrain",
        miniature.root / "brain",
        "--out",
        tmp_path / "like.json",
        "--seed",
        5,
        "--like",
        tmp_path / "cow.json",
        *common,
    )
    cow, torn, like = (read_data_manifest(tmp_path / f"{name}.json")[0] for name in ("cow", "torn", "like"))
    with pytest.raises(InputError, match="patients are in more than one split"):
        refuse_leaks([cow, torn])
    refuse_leaks([cow, like])


def test_a_manifest_that_was_tampered_with_is_refused(miniature, tmp_path):
    isles(miniature, 2)
    invoke("index", "ISLES24", miniature.root, "--out", tmp_path / "m.json")
    document = json.loads((tmp_path / "m.json").read_text())
    document["entries"][0]["patient"] = document["entries"][1]["patient"]
    document["entries"][0]["split"], document["entries"][1]["split"] = "training", "test"
    (tmp_path / "torn.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="in more than one split"):
        read_data_manifest(tmp_path / "torn.json")
    document["schema"] = "lvo-data/0"
    (tmp_path / "old.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="index the data again"):
        read_data_manifest(tmp_path / "old.json")
    (tmp_path / "no.json").write_text("{}")
    with pytest.raises(InputError, match="make it again with `lvo data index`"):
        read_data_manifest(tmp_path / "no.json")


@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=5),
    shares=st.tuples(st.floats(0, 0.45), st.floats(0, 0.45)),
    seed=st.integers(0, 99),
)
def test_shares_hold_to_a_patient_and_everyone_is_somewhere(sizes, shares, seed):
    """Over all groups the counts are within one patient of the shares; another order gives the same split."""
    patients = {f"p{c}-{n}": (str(c), "True" if n % 2 else "False") for c, size in enumerate(sizes) for n in range(size)}
    plan = SplitPlan(validation=shares[0], test=shares[1], seed=seed)
    split = split_patients(patients, plan)
    assert set(split) == set(patients)
    tally = Counter(split.values())
    assert abs(tally["validation"] - shares[0] * len(patients)) <= 1.0
    assert abs(tally["test"] - shares[1] * len(patients)) <= 1.0
    assert split_patients(dict(reversed(patients.items())), plan) == split


def test_another_seed_is_another_split_and_impossible_shares_are_refused():
    patients = {f"p{n}": ("", "None") for n in range(40)}
    assert split_patients(patients, SplitPlan(seed=1)) != split_patients(patients, SplitPlan(seed=2))
    with pytest.raises(UsageError, match="leave some for training"):
        SplitPlan(validation=0.5, test=0.5)


@pytest.mark.parametrize(
    ("name", "tree", "side"),
    [
        ("BA", "VB", ""), ("R-PCA", "PCA", "right"), ("L-P1P2", "PCA", "left"), ("R-Pcom", "PCA", "right"),
        ("Acom", "ACA", ""), ("3rd-A2", "ACA", ""), ("L-A1A2", "ACA", "left"), ("R-M3", "MCA", "right"),
        ("L-AChA", "ICA", "left"), ("R-OA", "ICA", "right"), ("L-PICA", "VB", "left"), ("R-SCA", "VB", "right"),
        ("SSS", "vein", ""), ("Left transverse sinus", "vein", "left"), ("R-C7", "ICA", "right"), ("clot", "clot", ""),
    ],
)  # fmt: skip
def test_names_of_others_become_our_classes(name, tree, side):
    assert VESSEL_CLASSES[class_of(name)] == tree
    assert side_of(name) == side


def test_what_nobody_knows_is_unsure_and_arteries_without_a_tree_are_arteries():
    assert class_of("artery") == ANY_ARTERY
    assert class_of("other posterior") == ANY_ARTERY
    assert class_of("R-STA") == UNSURE_CLASS  # outside the skull
    labels = np.array([[[0, 1, 9, 15]]], np.uint16)
    assert to_classes(labels, {1: "BA", 15: "vessel"}).ravel().tolist() == [0, 5, UNSURE_CLASS, ANY_ARTERY]


def test_check_leaves_a_page_and_a_sheet(miniature, tmp_path):
    isles(miniature, 2)
    shown = invoke("check", "isles24", miniature.root, "--out", tmp_path / "check")
    assert "occluded: no (1), yes (1)" in shown.output
    assert "CC BY-NC-SA" in shown.output
    page = (tmp_path / "check" / "check.html").read_text()
    assert "sub-stroke0002" in page
    assert "Know before you use it" in page
    from PIL import Image

    sheet = np.asarray(Image.open(tmp_path / "check" / "sheet.png").convert("RGB")).astype(int)
    red = (sheet[..., 0] > 200) & (sheet[..., 1] < 110) & (sheet[..., 2] < 150)
    rows, columns = np.nonzero(red)
    middle = sheet.shape[1] / 4 * 1.5  # the second of four columns holds the occluded subject
    assert len(rows) > 10
    assert columns.mean() < middle  # on the patient's right, which is the left of the picture
    assert invoke("list").output.count("Licence:") == 8


def test_check_refuses_a_used_folder_before_it_looks_at_anything(miniature, tmp_path, monkeypatch):
    (tmp_path / "check").mkdir()
    (tmp_path / "check" / "check.html").write_text("of another day")
    seen = []
    monkeypatch.setattr("lvo.train.datasets.check.survey", lambda *_, **__: seen.append(1))
    with pytest.raises(UsageError, match="nothing is overwritten"):
        invoke("check", "isles24", miniature.root, "--out", tmp_path / "check")
    assert not seen
    assert (tmp_path / "check" / "check.html").read_text() == "of another day"


def test_an_image_that_goes_by_another_name_elsewhere_is_in_one_split_too(miniature, tmp_path):
    isles(miniature, 4)
    shutil.copytree(miniature.root, tmp_path / "copy")
    invoke("index", "ISLES24", miniature.root, "--out", tmp_path / "one.json", "--validation", "0.5")
    one, _ = read_data_manifest(tmp_path / "one.json")
    other = {"training": "validation", "validation": "training"}
    renamed = [structs.replace(entry, patient=f"ours-{entry.patient}", split=other[entry.split]) for entry in one.entries]
    with pytest.raises(InputError, match="8 patients are in more than one split"):
        refuse_leaks([one, structs.replace(one, entries=tuple(renamed))])
    write_data_manifest(structs.replace(one, entries=tuple(renamed)), tmp_path / "renamed.json")
    invoke("index", "ISLES24", tmp_path / "copy", "--out", tmp_path / "two.json", "--like", tmp_path / "renamed.json")
    two, _ = read_data_manifest(tmp_path / "two.json")
    assert {entry.subject: entry.split for entry in two.entries} == {entry.subject: entry.split for entry in renamed}


def test_names_joined_by_images_in_a_chain_are_one_patient():
    scans = [("a", "1"), ("b", "2"), ("b", "1"), ("c", "2"), ("d", "3")]
    joined = _joined(SimpleNamespace(scan=SimpleNamespace(patient=name), sha256=image) for name, image in scans)
    assert joined["a"] == joined["b"] == joined["c"] != joined["d"]
