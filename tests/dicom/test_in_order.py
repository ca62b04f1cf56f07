"""Positions out of order are noticed, never repaired; the orders that scanners use are not."""

import numpy as np
import pytest

from lvo.dicom.load import load_volume
from lvo.dicom.order import strangers


def _stack(n=40, size=48):
    """(n, size, size) HU: a ball of brain in bone, noise, and air above: slices change slowly."""
    k, j, i = np.indices((n, size, size)) - np.array([n / 2, size / 2, size / 2])[:, None, None, None]
    radius = np.sqrt((k / (0.45 * n)) ** 2 + (j / (0.45 * size)) ** 2 + (i / (0.35 * size)) ** 2)
    hu = np.select([radius < 0.85, radius < 1.0], [35.0, 900.0], -1000.0)
    return (hu + np.random.default_rng(3).normal(0, 10, hu.shape)).round()


def _codes(series):
    return [note.code for note in load_volume(series).notes]


def _exchanged(column, a, b):
    positions = column.copy()
    positions[[a, b]] = positions[[b, a]]
    return positions


@pytest.mark.parametrize(
    "tags",
    [
        pytest.param(lambda n: {"InstanceNumber": n + 1}, id="by the scanner's count"),
        pytest.param(lambda n: {"InstanceNumber": 40 - n}, id="counted from the head"),
        pytest.param(lambda n: {"InstanceNumber": 1, "SliceLocation": 2.5 * n}, id="by the slice location"),
        pytest.param(lambda _: {"InstanceNumber": None}, id="by the images alone"),
    ],
)
def test_two_slices_with_exchanged_positions_are_named(writer, make_column, tags):
    """The volume is loaded as its headers say; the note tells which slices to look at."""
    made = writer.series(_stack(), _exchanged(make_column(40), 9, 17), each=tags)
    (note,) = load_volume(made).notes
    assert note.code == "geometry.order"
    assert "10, 18 of 40" in note.text


def test_neighbours_exchanged_are_noticed_by_the_count(writer, make_column):
    made = writer.series(_stack(), _exchanged(make_column(40), 20, 21), each=lambda n: {"InstanceNumber": n + 1})
    assert _codes(made) == ["geometry.order"]


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(lambda n: n + 1, id="growing"),
        pytest.param(lambda n: 40 - n, id="falling"),
        pytest.param(lambda n: n // 2 + 20 * (n % 2), id="interleaved"),
        pytest.param(lambda n: (n + 20) % 40, id="in blocks"),
        pytest.param(lambda n: (n + 38) % 40, id="the first two counted last"),
        pytest.param(lambda _: 1, id="not counted"),
        pytest.param(lambda n: n // 2, id="counted in pairs"),
    ],
)
def test_orders_that_scanners_use_are_not_noticed(writer, make_column, count):
    assert _codes(writer.series(_stack(), make_column(40), each=lambda n: {"InstanceNumber": count(n)})) == []


def test_uniform_slices_are_alike():
    assert strangers(np.zeros((12, 8, 8), np.float32)) == ()
    assert strangers(np.zeros((2, 8, 8), np.float32)) == ()
