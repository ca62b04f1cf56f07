"""Every picture of the angiogram says which vessels were judged; trees have colours that anybody can tell apart."""

import io
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from scipy.spatial.transform import Rotation

from lvo.core.anatomy import ARTERY_TREES
from lvo.core.grid import Grid
from lvo.core.outcome import Absent, Assessed
from lvo.core.pose import HeadPose
from lvo.core.report import Call
from lvo.core.volume import Volume
from lvo.report import figures as drawing
from lvo.report.figures import draw_figures
from lvo.report.head import head_box
from lvo.report.marks import MARK, VESSEL_COLORS
from lvo.report.slabs import AXIAL, SHOWN_VESSELS, slab_mip

CTA_PICTURES = ("site", "cutoff", "curved", "mip_axial", "mip_coronal", "mip_sagittal")

# Machado, Oliveira and Fernandes 2009, doi:10.1109/TVCG.2009.113: complete loss of one kind of cone, on linear RGB
LOSSES = {
    "none": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.fixture(scope="module")
def report(report_phantom):
    return replace(report_phantom.detailed(), perfusion=Absent("no CT perfusion"))


@pytest.fixture(scope="module")
def made(report):
    return draw_figures(report)


def words_of(report, monkeypatch):
    """All text of every figure, by name."""
    monkeypatch.setattr(drawing, "_png", lambda figure: figure)
    return {
        name: " ".join(text.get_text() for text in [*figure.texts, *(t for axes in figure.axes for t in axes.texts)])
        for name, figure in draw_figures(report).items()
    }


def test_every_picture_says_what_was_judged_and_what_was_not(report, monkeypatch):
    shown = words_of(report, monkeypatch)
    assert report.cta.value.coverage.startswith("judged: carotid terminus, M1, M2, basilar artery; not judged: A1, vertebral")
    assert set(shown) == {*CTA_PICTURES, "mirror", "summary"}
    for name, words in shown.items():
        flat = " ".join(words.split())
        assert report.cta.value.coverage in flat, name
        assert "not validated on patients" in flat, name


def test_where_coverage_is_unknown_nothing_is_claimed(report, monkeypatch):
    result = replace(report.cta.value, covered=(), not_covered=())
    for words in words_of(replace(report, cta=Assessed(result)), monkeypatch).values():
        assert "judged:" not in words


def test_pictures_are_the_same_twice(report, made):
    assert draw_figures(report) == made


XYZ_FROM_RGB = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])  # sRGB, D65
APART = 18.0
"""Difference in CIELAB between any two colours; 2.3 can just be seen side by side."""


def lab(color, loss):
    """CIELAB of a colour as it is seen."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = XYZ_FROM_RGB @ np.clip(np.array(loss) @ linear, 0.0, 1.0) / XYZ_FROM_RGB.sum(axis=1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16.0 / 116.0)
    return np.array([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)])


@pytest.mark.parametrize("loss", LOSSES)
def test_trees_can_be_told_apart_by_any_colour_vision(loss):
    seen = {name: lab(VESSEL_COLORS[name], LOSSES[loss]) for name in SHOWN_VESSELS}
    for a, b in combinations(seen, 2):
        assert np.linalg.norm(seen[a] - seen[b]) > APART, (a, b)


def test_customary_red_and_green_would_not_do():
    """The measure says no."""
    red, green = (lab(color, LOSSES["deutan"]) for color in ("#D62728", "#2CA02C"))
    assert np.linalg.norm(red - green) < APART


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), int)


def of_color(rgb, color):
    return np.abs(rgb - np.round(255 * np.array(to_rgb(color)))).max(axis=-1) < 25


def test_trees_are_outlined_in_their_colours_on_the_map_alone(made):
    """The axial picture has the plain slab at the left and the map at the right."""
    rgb = pixels(made["mip_axial"])
    plain, mapped = rgb[:, : rgb.shape[1] // 2], rgb[:, rgb.shape[1] // 2 :]
    for name in ("ICA", "MCA", "ACA"):
        assert of_color(mapped, VESSEL_COLORS[name]).sum() > 30, name
        assert not of_color(plain, VESSEL_COLORS[name]).any(), name
    assert set(ARTERY_TREES) < set(VESSEL_COLORS)


def test_the_slab_tells_trees_apart_where_they_lie(report):
    """Middle cerebral artery on both sides, clot on the patient's left only."""
    result, volumes = report.cta.value, report.volumes
    box = head_box(volumes["cta"], volumes["brain"], result.pose)
    slab = slab_mip(volumes, AXIAL, np.array(result.finding.location_lps_mm), box)
    middle = slab.to_column_row(tuple(box.middle_lps_mm))[0]
    columns = {name: np.nonzero(slab.vessels[name])[1] for name in ("MCA", "clot")}
    assert columns["MCA"].min() < middle < columns["MCA"].max()
    assert columns["clot"].min() > middle
    assert "vein" not in slab.vessels


def test_without_trees_the_map_has_one_colour(report):
    volumes = {name: volume for name, volume in report.volumes.items() if name != "vessels"}
    rgb = pixels(draw_figures(replace(report, volumes=volumes))["mip_axial"])
    assert of_color(rgb, VESSEL_COLORS["artery"]).sum() > 30
    assert not of_color(rgb, VESSEL_COLORS["ACA"]).any()


def test_a_head_that_is_turned_is_shown_as_if_it_were_not(report):
    """The whole patient turned in the scanner gives the same axial slab, to what interpolation changes."""
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("zyx", (23.0, -9.0, 6.0), degrees=True).as_matrix()
    turn[:3, 3] = (-40.0, 15.0, 8.0)
    result = report.cta.value
    volumes = {
        name: Volume(volume.array, Grid(volume.grid.shape_kji, turn @ volume.grid.lps_from_kji), volume.quantity)
        for name, volume in report.volumes.items()
    }
    center = np.array(result.finding.location_lps_mm)
    pose = HeadPose(result.pose.atlas_from_lps @ np.linalg.inv(turn), 0.9)
    before = slab_mip(report.volumes, AXIAL, center, head_box(report.volumes["cta"], report.volumes["brain"], result.pose))
    after = slab_mip(volumes, AXIAL, turn[:3, :3] @ center + turn[:3, 3], head_box(volumes["cta"], volumes["brain"], pose))
    assert before.hu.shape == after.hu.shape
    assert np.median(np.abs(before.hu - after.hu)) < 1.0
    unturned = head_box(volumes["cta"], volumes["brain"], None)
    flat = slab_mip(volumes, AXIAL, turn[:3, :3] @ center + turn[:3, 3], unturned)
    assert flat.hu.shape != before.hu.shape


def test_without_a_call_there_is_no_mark_on_any_picture(report_phantom):
    report = replace(report_phantom.detailed(call=Call.NOT_DETECTED), perfusion=Absent("no CT perfusion"))
    color = np.round(255 * np.array(to_rgb(MARK)))
    for name, png in draw_figures(report).items():
        assert not (np.abs(pixels(png) - color).max(axis=-1) < 10).any(), name
