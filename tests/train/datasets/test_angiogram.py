"""Angiograms made of perfusion scans: arteries bright and veins dark at the peak, on the axes that the labels have."""

import json

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner

from lvo.cli.data import command
from lvo.core.grid import Grid
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.volume import Quantity, TimeSeries
from lvo.nifti.volumes import from_nibabel_ras
from lvo.synth.render import VEIN_CLASS, class_labels
from lvo.synth.study import StudySpec, SyntheticStudy
from lvo.train.datasets import data_set
from lvo.train.datasets.angiogram import pseudo_angiogram
from lvo.train.datasets.check import survey
from lvo.train.datasets.images import load_image

FINER = (3, 2, 2)


@pytest.fixture(scope="module")
def phantom():
    """A perfusion scan, and which share of every voxel arteries and veins fill, as the generator has it."""
    study = SyntheticStudy(StudySpec(seed=311, size="small"))
    series = study.ctp()
    coarse, step = series.grid, np.eye(4)
    step[:3, :3] = np.diag(1 / np.array(FINER))
    step[:3, 3] = (1 / np.array(FINER) - 1) / 2
    fine = Grid(tuple(n * m for n, m in zip(coarse.shape_kji, FINER, strict=True)), coarse.lps_from_kji @ step)
    classes = class_labels(study.head, fine).array
    parts = classes.reshape([length for pair in zip(coarse.shape_kji, FINER, strict=True) for length in pair])
    artery = ((parts >= 1) & (parts < VEIN_CLASS)).mean(axis=(1, 3, 5))
    return series, artery > 0.25, (parts == VEIN_CLASS).mean(axis=(1, 3, 5)) > 0.5


def brightness(phantom, image):
    """How far arteries and veins stand out in an angiogram, HU above the unenhanced frames."""
    series, artery, vein = phantom
    enhanced = image.array.astype(float) - series.array[:2].mean(axis=0)
    assert min(artery.sum(), vein.sum()) > 50
    return np.percentile(enhanced[artery], 75), np.percentile(enhanced[vein], 75)


def test_at_the_peak_arteries_are_bright_and_veins_are_not_yet(phantom):
    """Judged by the truth of the generator. The maximum over time shows both, and is nowhere below any frame."""
    series = phantom[0]
    peak, mip = (pseudo_angiogram(series, how) for how in ("peak", "mip"))
    assert isinstance(peak, Assessed)
    assert isinstance(mip, Assessed)
    artery, vein = brightness(phantom, peak.value)
    assert artery > 60
    assert artery > 1.25 * vein
    over_time = np.array([brightness(phantom, series.frame(n))[0] for n in range(len(series.array))])
    assert artery > 0.85 * over_time.max()
    late_artery, late_vein = brightness(phantom, mip.value)
    assert late_artery >= artery
    assert vein < 0.7 * late_vein
    assert artery / vein > 1.3 * late_artery / late_vein
    assert (mip.value.array >= series.array).all()
    assert peak.value.grid.same_as(series.grid)


def test_slices_that_were_scanned_at_other_times_are_taken_at_the_peak_too(phantom):
    """A table that moves: the upper half is scanned four seconds later, and shows the same moment two frames earlier."""
    series = phantom[0]
    half, late = series.grid.shape_kji[0] // 2, 2
    times_s, array = series.times_s.copy(), series.array.copy()
    times_s[:, half:] += late * float(np.diff(series.times_s[:2, 0])[0])
    array[:-late, half:] = series.array[late:, half:]
    moved = pseudo_angiogram(TimeSeries(array, series.grid, times_s), "peak")
    plain = pseudo_angiogram(series, "peak")
    assert isinstance(moved, Assessed)
    np.testing.assert_array_equal(moved.value.array, plain.value.array)


def test_without_a_bolus_there_is_no_angiogram(phantom):
    series = phantom[0]
    still = TimeSeries(np.repeat(series.array[:1], len(series.array), axis=0), series.grid, series.times_s)
    for how in ("peak", "mip"):
        found = pseudo_angiogram(still, how)
        assert isinstance(found, NotAssessable)
        assert "no contrast bolus" in found.reasons[0]


def write_series(path, series, *, flip=False):
    """A 4D NIfTI file, by nibabel alone; RAS, i j k time, its slices from the feet or from the head. No times in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ series.grid.lps_from_kji[:, [2, 1, 0, 3]]
    array = np.rint(series.array).astype(np.int16).transpose(3, 2, 1, 0)
    if flip:
        affine[:3, 3] += affine[:3, 2] * (array.shape[2] - 1)
        affine[:3, 2] *= -1
        array = array[:, :, ::-1]
    image = nibabel.Nifti1Image(array, affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    nibabel.save(image, path)
    return affine, array.shape


@pytest.mark.parametrize("flip", [False, True], ids=["feet first", "head first"])
def test_of_a_file_it_lies_on_the_axes_of_the_file(phantom, tmp_path, flip):
    """Where labels lie; and every voxel shows what it shows in memory, whatever its slices' order."""
    series = phantom[0]
    affine, shape = write_series(tmp_path / "ctp.nii.gz", series, flip=flip)
    found = load_image(tmp_path / "ctp.nii.gz", "cta", "peak")
    assert found.grid.same_as(from_nibabel_ras(affine, shape))
    assert found.quantity is Quantity.HU
    expected = pseudo_angiogram(series, "peak").value.array
    np.testing.assert_allclose(found.array[::-1] if flip else found.array, expected, atol=0.6)


def test_a_case_of_isles_2018_becomes_an_angiogram_on_request(phantom, tmp_path):
    """Checked and indexed through the command line; the manifest says how it was made, and training reads it so."""
    series = phantom[0]
    root = tmp_path / "isles18"
    name = "TRAINING/case_1/SMIR.Brain.XX.O.CT_4DPWI.345563/SMIR.Brain.XX.O.CT_4DPWI.345563.nii"
    write_series(root / name, series)
    (plain,) = survey(data_set("ISLES18"), root).checked
    assert (plain.scan.kind, plain.scan.angiogram, plain.picture) == ("ctp", "", None)
    shown = CliRunner().invoke(command, ["check", "ISLES18", str(root), "--angiogram", "mip", "--out", str(tmp_path / "check")])
    assert shown.exit_code == 0, shown.output
    assert "is made of a CT perfusion: the maximum over time" in shown.output
    assert "slices are 5.00 mm apart" in shown.output
    assert (tmp_path / "check" / "sheet.png").exists()
    arguments = ["index", "ISLES18", str(root), "--angiogram", "peak", "--out", str(tmp_path / "m.json"), "--validation", "0"]
    assert CliRunner().invoke(command, arguments).exit_code == 0
    (entry,) = json.loads((tmp_path / "m.json").read_text())["entries"]
    assert (entry["kind"], entry["angiogram"], entry["split"]) == ("cta", "peak", "training")
    assert entry["shape_kji"] == list(series.grid.shape_kji)


def test_the_perfusion_scan_of_isles_2024_brings_its_labels(phantom, tmp_path):
    """The masks fit the scan on the plain CT; one that is only there as scanned has none."""
    series, artery, _ = phantom
    root = tmp_path / "isles24"
    for number, folder, space in ((1, "derivatives", "_space-ncct"), (2, "raw_data", "")):
        subject = f"sub-stroke{number:04d}"
        stem = root / folder / subject / "ses-01" / f"{subject}_ses-01{space}"
        affine, _ = write_series(stem.with_name(stem.name + "_ctp.nii.gz"), series)
        nibabel.save(
            nibabel.Nifti1Image(np.rint(series.array[0]).astype(np.int16).transpose(2, 1, 0), affine), f"{stem}_cta.nii.gz"
        )
        if space:
            for what, mask in (("cow-msk", artery), ("lvo-msk", artery & ~artery)):
                nibabel.save(
                    nibabel.Nifti1Image((mask * 7).astype(np.uint8).transpose(2, 1, 0), affine), f"{stem}_{what}.nii.gz"
                )
    found = survey(data_set("ISLES24"), root, angiogram="peak")
    scans = {one.scan.subject: one for one in found.checked}
    made = scans["sub-stroke0001-ctp"]
    assert made.scan.patient == scans["sub-stroke0001"].scan.patient
    assert made.scan.angiogram == "peak"
    assert made.scan.arteries.name.endswith("cow-msk.nii.gz")
    assert made.usable, made.issues
    assert made.scan.occluded is False
    assert scans["sub-stroke0002-ctp"].scan.arteries is None
    assert {one.scan.angiogram for one in survey(data_set("ISLES24"), root, values=False).checked} == {""}
