"""Where the finding is: the artery and the point, from the lumen that ends or the clot that begins."""

import numpy as np
import pytest

from lvo.core.report import Side, Site
from lvo.cta.place import basilar_place, hemisphere_place

SIDES = pytest.mark.parametrize("side", [Side.LEFT, Side.RIGHT], ids=["left", "right"])
WITHIN_MM = 6.0


def spans(side, **parts):
    """Spans per segment of one side; an underscore stands for the hyphen."""
    return {(name.replace("_", "-"), side is Side.LEFT): span for name, span in parts.items()}


def distance_mm(place, point):
    return float(np.linalg.norm(place.stop_atlas_mm - point))


@SIDES
@pytest.mark.parametrize(
    ("detector", "closed", "site", "segment", "share"),
    [
        pytest.param("siphon", {"ICA": (0.72, 0.9)}, Site.ICA, "ICA", 0.72, id="siphon"),
        pytest.param("stem", {"ICA_T": (0, 2), "M1": (0, 0.7), "A1": (0, 0.6)}, Site.ICA_T, "ICA-T", 0.0, id="carotid T"),
        pytest.param("stem", {"M1": (0.0, 0.7)}, Site.M1, "M1", 0.0, id="origin of M1 beside an open A1"),
        pytest.param("stem", {"M1": (0.35, 1.1)}, Site.M1, "M1", 0.35, id="M1"),
        pytest.param("stem", {"M1": (0.7, 1.1)}, Site.M1, "M1", 0.7, id="end of M1"),
        pytest.param("m2", {"M2_superior": (0.2, 1.1)}, Site.M2, "M2-superior", 0.2, id="superior trunk"),
        pytest.param("m2", {"M2_inferior": (0.05, 1.1)}, Site.M2, "M2-inferior", 0.05, id="inferior trunk"),
    ],
)
def test_the_point_is_where_the_lumen_ends(drawing, measured, side, detector, closed, site, segment, share):
    place = hemisphere_place(measured(spans(side, **closed)), side, detector)
    assert place.site is site
    assert distance_mm(place, drawing.at(segment, share, left=side is Side.LEFT)) < WITHIN_MM
    assert place.path.gap_mm > 2.0
    assert place.other_course.gap_mm == 0.0


def test_the_basilar_artery_stops_where_its_lumen_does(drawing, measured):
    place = basilar_place(measured({("BA", True): (0.3, 0.9)}))
    assert place.site is Site.BA
    assert distance_mm(place, drawing.at("BA", 0.3, left=True)) < WITHIN_MM
    assert place.other_course is None


@SIDES
def test_a_clot_moves_the_point_to_its_start(drawing, measured, side):
    """The lumen ends early, for want of flow; the clot lies farther on, and that is the point."""
    empty, clot = spans(side, M1=(0.1, 1.1)), spans(side, M1=(0.55, 0.95))
    without, seen = (hemisphere_place(measured(empty, clots), side, "stem") for clots in (None, clot))
    start = drawing.at("M1", 0.55, left=side is Side.LEFT)
    assert distance_mm(without, start) > WITHIN_MM
    assert distance_mm(seen, start) < 4.0
    assert seen.site is Site.M1


@SIDES
@pytest.mark.parametrize(
    ("detector", "clot", "site", "segment", "share"),
    [
        pytest.param("siphon", {"ICA": (0.75, 0.9)}, Site.ICA, "ICA", 0.75, id="siphon"),
        pytest.param("stem", {"ICA_T": (0, 2), "M1": (0, 0.4), "A1": (0, 0.4)}, Site.ICA_T, "ICA-T", 0.0, id="carotid T"),
        pytest.param("stem", {"M1": (0.4, 0.9)}, Site.M1, "M1", 0.4, id="M1"),
        pytest.param("m2", {"M2_superior": (0.15, 0.5)}, Site.M2, "M2-superior", 0.15, id="M2"),
    ],
)
def test_a_clot_names_its_artery(drawing, measured, side, detector, clot, site, segment, share):
    place = hemisphere_place(measured(clots=spans(side, **clot)), side, detector)
    assert place.site is site
    assert distance_mm(place, drawing.at(segment, share, left=side is Side.LEFT)) < WITHIN_MM


def test_a_basilar_clot_is_the_point(drawing, measured):
    empty = {("BA", True): (0.0, 1.1)}
    place = basilar_place(measured(empty, {("BA", True): (0.5, 1.0)}))
    assert distance_mm(place, drawing.at("BA", 0.5, left=True)) < 4.0


def test_a_speck_of_clot_moves_nothing(measured):
    """A few voxels may be a mistake of the network: the lumen's end stays the point."""
    side = Side.LEFT
    closed, clot = spans(side, M1=(0.3, 1.1)), spans(side, M1=(0.9, 0.98))
    without, speck = (hemisphere_place(measured(closed, clots), side, "stem") for clots in (None, clot))
    assert 0.0 < measured(closed, clot).pair(side)[0].clot_ml[1] < 0.02
    np.testing.assert_allclose(speck.stop_atlas_mm, without.stop_atlas_mm, atol=0.5)


@SIDES
def test_a_clot_of_the_other_side_or_of_another_artery_moves_nothing(measured, side):
    closed = spans(side, M1=(0.3, 1.1))
    other = Side.RIGHT if side is Side.LEFT else Side.LEFT
    without = hemisphere_place(measured(closed), side, "stem")
    for clots in (spans(other, M1=(0.5, 0.9)), spans(side, ICA=(0.6, 0.7))):
        place = hemisphere_place(measured(closed, clots), side, "stem")
        assert place.site is without.site
        np.testing.assert_allclose(place.stop_atlas_mm, without.stop_atlas_mm, atol=0.5)
