# ruff: noqa: ARG005 - clocks are functions of seconds and time point, also where they use one of them
"""Conditions of the table: CT perfusion, who scanned what when."""

import datetime as dt

import numpy as np
from lvo_tests_dicom_scene import SLOPE_HU_S, Expected, Scene, condition, field_hu

from lvo.core.grid import Grid
from lvo.core.volume import TimeSeries
from lvo.dicom.layouts import LAYOUTS, write_ctp_layout
from lvo.dicom.source import SeriesHeader, StudyHeader

K, T, STEP_S = 6, 12, 1.5
TIMES_S = STEP_S * np.arange(T)
START = dt.datetime(2026, 3, 1, 10, 20, 30, 250000)  # noqa: DTZ001 - DICOM local time


def _layout(name):
    @condition(f"layout-{name}")
    def _(scene: Scene):
        layout = LAYOUTS[name]
        times_s = layout.slice_times_s(2.0 * np.arange(T), K)
        grid = Grid.from_axes((K, 24, 20), (5.0, 1.6, 1.4), origin_lps_mm=scene.stack(1)[0])
        points = grid.to_lps_mm(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
        values = field_hu(points) + SLOPE_HU_S * times_s[:, :, None, None]
        header = SeriesHeader(StudyHeader(f"condition {name}"), 4, "CT perfusion", contrast_agent="IODINE")
        write_ctp_layout(TimeSeries(values.astype(np.float32), grid, times_s), scene.folder, header, layout)


for each in LAYOUTS:
    _layout(each)


def _moment(seconds, start=START):
    return (start + dt.timedelta(seconds=float(seconds))).strftime("%Y%m%d%H%M%S.%f")


def _perfusion(scene, clock, keep=lambda t, k: True, tags=None, times_s=TIMES_S):
    """A scan of six slices at twelve times; `clock(seconds, t)` gives the tags that say when."""
    stack = scene.stack(K, 5.0)
    pairs = [(t, k) for k in range(K) for t in range(T) if keep(t, k)]
    seconds = [float(times_s[t]) for t, _ in pairs]
    scene.series(
        stack[[k for _, k in pairs]], seconds=seconds, each=lambda n: clock(seconds[n], pairs[n][0]),
        tags={"SliceThickness": 5, "SeriesDescription": "CTP"} | dict(tags or {}),
    )  # fmt: skip


def _by_moment(seconds, _t):
    return {"AcquisitionDateTime": _moment(seconds)}


@condition("time-zone")
def _(scene):
    _perfusion(scene, lambda s, t: {"AcquisitionDateTime": _moment(s) + "+0100"})


@condition("midnight")
def _(scene):
    night = dt.datetime(2026, 3, 1, 23, 59, 50)  # noqa: DTZ001
    _perfusion(scene, lambda s, t: {"AcquisitionTime": _moment(s, night)[8:]})


@condition("date-is-the-start")
def _(scene):
    _perfusion(scene, lambda s, t: {"AcquisitionDateTime": _moment(0), "AcquisitionTime": _moment(s)[8:]})


@condition("content-time-only")
def _(scene):
    _perfusion(scene, lambda s, t: {"ContentTime": _moment(s)[8:]})


@condition("counted-with-resolution")
def _(scene):
    _perfusion(scene, lambda s, t: {"TemporalPositionIdentifier": t + 1, "TemporalResolution": 1500.0})


@condition("counted-only")
def _(scene):
    _perfusion(scene, lambda s, t: {"TemporalPositionIdentifier": t + 1, "AcquisitionNumber": t + 1})


@condition("one-time-for-all")
def _(scene):
    _perfusion(scene, lambda s, t: {"AcquisitionDateTime": _moment(0), "ContentTime": "102030"})


@condition("clocks-contradict")
def _(scene):
    _perfusion(scene, lambda s, t: {"ContentTime": _moment(10 * s)[8:], "TriggerTime": 1000.0 * s})


@condition("last-incomplete")
def _(scene):
    _perfusion(scene, _by_moment, keep=lambda t, k: t < T - 1 or k < 3)


@condition("first-incomplete")
def _(scene):
    _perfusion(scene, _by_moment, keep=lambda t, k: t > 0 or k > 2)
    return Expected(tolerance_hu=None)  # times count from the first image that is used


@condition("hole-in-time")
def _(scene):
    _perfusion(scene, _by_moment, keep=lambda t, k: (t, k) != (5, 2))


@condition("position-lost")
def _(scene):
    _perfusion(scene, _by_moment, keep=lambda t, k: k != 2)


@condition("pause")
def _(scene):
    _perfusion(scene, _by_moment, times_s=np.where(np.arange(T) < 8, 1.5, 3.1) * np.arange(T))


@condition("table-moved")
def _(scene):
    stack = scene.stack(K, 5.0)
    positions = np.array([stack[k] + (0.5 * (t > 6), 0, 0) for t in range(T) for k in range(K)])
    scene.series(positions, each=lambda n: _by_moment(STEP_S * (n // K), 0), tags={"SeriesDescription": "CTP"})


@condition("series-per-time-anonymised")
def _(scene):
    for t in range(T):
        scene.series(scene.stack(16, 5.0), tags={"SeriesNumber": t + 1, "SliceThickness": 5, "SeriesDescription": ""})


@condition("two-slices-of-old")
def _(scene):
    stack = scene.stack(2, 10.0)
    positions = np.array([stack[k] for _ in range(40) for k in range(2)])
    seconds = [float(n // 2) for n in range(80)]
    scene.series(
        positions,
        seconds=seconds,
        each=lambda n: _by_moment(seconds[n], 0),
        tags={"SliceThickness": 10, "SeriesDescription": "CTP"},
    )
