"""Previews lie as the head does, and every place in them is where it was in the scan."""

from dataclasses import replace

import numpy as np
import pytest

from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.report import Report, Side
from lvo.core.volume import Quantity
from lvo.report import preview
from lvo.report.preview import SHOWN_HU, full_volume, preview_volumes


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Two millimetres: fast, and still finer than the balls."""
    monkeypatch.setattr(preview, "PREVIEW_MM", 2.0)


def report_of(head, volumes) -> Report:
    return Report("1.2.3", Assessed(head.result()), NotAssessable(("no scan",)), (), (), (), (), "cd" * 32, {}, volumes)


@pytest.fixture(scope="module")
def balls(turned_head):
    """A ball at the site, a larger one at its mirror image."""
    return turned_head.balls(turned_head.site_lps_mm(), radius_mm=4.0)


def test_the_site_is_where_it_was(turned_head, balls):
    cta = preview_volumes(report_of(turned_head, balls), balls["cta"])["cta"]
    bright = np.argwhere(cta.array > 200).mean(axis=0)
    assert np.linalg.norm(cta.grid.to_lps_mm(bright) - turned_head.site_lps_mm()) < 1.0


def test_read_from_the_other_end_it_is_the_mirror_image(turned_head, balls):
    cta = preview_volumes(report_of(turned_head, balls), balls["cta"])["cta"]
    k, j, i = np.argwhere(cta.array > 200).mean(axis=0)
    n_i = cta.grid.shape_kji[2]
    mirrored = cta.grid.to_lps_mm((k, j, n_i - 1 - i))
    assert np.linalg.norm(mirrored - turned_head.site_lps_mm(Side.RIGHT)) < 1.5
    assert i > (n_i - 1) / 2.0, "the patient's left has the larger index"


def test_values_are_whole_and_within_what_is_shown(turned_head, balls):
    cta = preview_volumes(report_of(turned_head, balls), balls["cta"])["cta"]
    assert cta.array.dtype == np.int16
    assert cta.array.min() >= SHOWN_HU[0]
    assert cta.array.max() <= SHOWN_HU[1]


def test_a_refused_scan_has_a_picture_too(report_phantom):
    scan = report_phantom.volumes()["cta"]
    report = replace(report_phantom.report(), cta=NotAssessable(("thick slices",)), volumes={})
    found = preview_volumes(report, scan)
    assert set(found) == {"cta"}
    np.testing.assert_allclose(found["cta"].grid.axes_lps, np.eye(3)[::-1], atol=1e-9)


def test_what_lies_on_the_angiogram_is_on_its_grid(report_phantom):
    report = report_phantom.detailed()
    found = preview_volumes(report, report.volumes["cta"])
    assert set(found) == {"cta", "vessels", "bone", "ctp"}
    assert found["vessels"].grid.same_as(found["cta"].grid)
    assert found["bone"].grid.same_as(found["cta"].grid)
    assert found["vessels"].quantity is Quantity.LABEL
    hidden = found["cta"].array[found["bone"].array > 0]
    assert np.median(hidden) > 500, "what is dimmed is bone"


def test_no_axis_is_too_long_for_a_phone(monkeypatch, report_phantom):
    monkeypatch.setattr(preview, "PREVIEW_MM", 0.1)
    monkeypatch.setattr(preview, "LONGEST", 64)
    report = report_phantom.detailed()
    grid = preview_volumes(report, report.volumes["cta"])["cta"].grid
    assert max(grid.shape_kji) == 64


def test_the_full_copy_lies_like_the_small_one_with_the_voxels_of_the_scan(turned_head, balls):
    report = report_of(turned_head, balls)
    small, full = preview_volumes(report, balls["cta"])["cta"], full_volume(report, balls["cta"])
    assert full.grid.spacing_kji_mm == pytest.approx([min(balls["cta"].grid.spacing_kji_mm)] * 3)
    middle = [grid.to_lps_mm((np.array(grid.shape_kji) - 1) / 2.0) for grid in (small.grid, full.grid)]
    np.testing.assert_allclose(middle[0], middle[1], atol=1e-6)
    np.testing.assert_allclose(small.grid.axes_lps, full.grid.axes_lps, atol=1e-9)
    bright = np.argwhere(full.array > 200).mean(axis=0)
    assert np.linalg.norm(full.grid.to_lps_mm(bright) - turned_head.site_lps_mm()) < 0.5


def test_the_full_copy_is_the_same_however_many_slices_are_made_at_once(monkeypatch, turned_head, balls):
    report = report_of(turned_head, balls)
    whole = full_volume(report, balls["cta"])
    monkeypatch.setattr(preview, "_SLICES_AT_ONCE", 7)
    np.testing.assert_array_equal(full_volume(report, balls["cta"]).array, whole.array)


def test_there_is_no_full_copy_of_a_scan_that_is_no_finer(monkeypatch, turned_head, balls):
    monkeypatch.setattr(preview, "PREVIEW_MM", 0.2)
    assert full_volume(report_of(turned_head, balls), balls["cta"]) is None


def test_without_images_there_is_nothing(report_phantom):
    assert preview_volumes(replace(report_phantom.report(), volumes={}), None) == {}
