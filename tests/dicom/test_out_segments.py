"""Arteries by segment and the suspected clot, where a result has them."""

from dataclasses import replace

import numpy as np
import pytest
from lvo_tests_dicom_writing import dciodvfy_errors, write, write_sources

from lvo.core.anatomy import ARTERIES
from lvo.core.report import Side
from lvo.core.study import Role
from lvo.core.volume import Quantity, Volume
from lvo.dicom.write.arteries import ARTERY_LABELS
from lvo.errors import OutputError

LEFT_M1, RIGHT_M1, BA = (
    next(label for label, named in ARTERY_LABELS.items() if named == one)
    for one in (("M1", Side.LEFT), ("M1", Side.RIGHT), ("BA", Side.MIDLINE))
)


@pytest.fixture
def sources(report_phantom, tmp_path):
    (tmp_path / "sources").mkdir()
    return {Role.CTA: write_sources(tmp_path / "sources", report_phantom.grid(Role.CTA), 2)}


def _report(phantom, labels=None, clot=None):
    """The phantom's report with maps of segments and clot on the grid of its arteries."""
    report = phantom.report()
    grid = report.volumes["arteries"].grid
    more = {}
    if labels is not None:
        more["artery_segments"] = Volume(labels, grid, Quantity.LABEL)
    if clot is not None:
        more["clot"] = Volume(clot, grid, Quantity.MASK)
    return replace(report, volumes={**report.volumes, **more})


def _maps(phantom):
    """Arteries split in three at made-up planes, some left without a label; the clot is a small box."""
    arteries = phantom.volumes()["arteries"].array >= 0.5
    k, _, i = np.indices(arteries.shape)
    half = arteries.shape[2] // 2
    labels = np.where(i < half, RIGHT_M1, LEFT_M1).astype(np.uint8)
    labels[k < arteries.shape[0] // 3] = BA
    labels[~arteries | (k % 5 == 0)] = 0
    clot = np.zeros(arteries.shape, np.uint8)
    clot[5:7, 8:10, 4:9] = 1
    return arteries, labels, clot


def _voxels(result, number, shape):
    """Mask of one segment by the places of its frames in the source: (K, J, I)."""
    mask = np.zeros(shape, bool)
    for pixels, group in zip(result.pixel_array, result.PerFrameFunctionalGroupsSequence, strict=True):
        if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number:
            uid = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
            mask[int(uid.rpartition(".")[2]) - 1] = pixels
    return mask


def test_every_segment_is_written_under_its_name_and_code(report_phantom, sources, tmp_path):
    """One segment per label that is there, then the rest of the arteries, then the clot; voxel for voxel; valid."""
    arteries, labels, clot = _maps(report_phantom)
    result = write(_report(report_phantom, labels, clot), sources, tmp_path)["seg_cta"]
    expected = {
        "Artery M1, left": labels == LEFT_M1, "Artery M1, right": labels == RIGHT_M1, "Artery BA": labels == BA,
        "Other arteries": arteries & (labels == 0), "Suspected clot": clot > 0,
    }  # fmt: skip
    assert {one.SegmentLabel for one in result.SegmentSequence} == set(expected)
    for one in result.SegmentSequence:
        np.testing.assert_array_equal(_voxels(result, one.SegmentNumber, labels.shape), expected[one.SegmentLabel])
    kinds = {one.SegmentLabel: one.SegmentedPropertyTypeCodeSequence[0] for one in result.SegmentSequence}
    assert kinds["Artery M1, left"].CodeValue == kinds["Artery M1, right"].CodeValue == "414722000"
    sides = [kinds[f"Artery M1, {side}"].SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning for side in ("left", "right")]
    assert sides == ["Left", "Right"]
    assert len({one.TrackingUID for one in result.SegmentSequence}) == 5
    assert dciodvfy_errors([tmp_path / "dicom" / "seg_cta.dcm"]) == []


def test_a_clot_alone_stands_beside_the_arteries(report_phantom, sources, tmp_path):
    _, _, clot = _maps(report_phantom)
    result = write(_report(report_phantom, clot=clot), sources, tmp_path)["seg_cta"]
    assert [one.SegmentLabel for one in result.SegmentSequence] == ["Arteries (probability >= 0.5)", "Suspected clot"]


def test_every_artery_of_the_atlas_has_its_labels():
    """Two for a pair, one in the midline, none twice."""
    assert len(ARTERY_LABELS) == sum(2 if artery.paired else 1 for artery in ARTERIES)
    assert len(set(ARTERY_LABELS.values())) == len(ARTERY_LABELS)
    assert all(label % 2 == (side is not Side.RIGHT) for label, (_, side) in ARTERY_LABELS.items())


def test_a_label_without_a_meaning_and_another_grid_are_refused(report_phantom, sources, tmp_path):
    _, labels, _ = _maps(report_phantom)
    with pytest.raises(OutputError, match=r"labels \[200\]"):
        write(_report(report_phantom, np.where(labels == BA, 200, labels)), sources, tmp_path)
    report = report_phantom.report()
    elsewhere = Volume(
        np.zeros(report_phantom.grid(Role.CTP).shape_kji, np.uint8), report_phantom.grid(Role.CTP), Quantity.MASK
    )
    with pytest.raises(OutputError, match="'clot' lies on another grid"):
        write(replace(report, volumes={**report.volumes, "clot": elsewhere}), sources, tmp_path)
