"""How the scanners of four vendors store a CT perfusion, so that phantoms can be written in each way.

A layout says when the slices of a time point are scanned (together, sweeping to and fro, or in two slabs by turns), which
attributes tell the time, how images are numbered, and whether they lie in one series, in a series per time point, or in
multi-frame objects. The layouts follow published descriptions and converters' bug reports, not vendors' own statements;
Manufacturer stays "lvo phantom", for nothing here pretends to be a scanner. `docs/reference/dicom-input.md` lists them.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import UID

from lvo.core.volume import TimeSeries
from lvo.dicom.enhanced import enhanced_ct
from lvo.dicom.source import SeriesHeader, ct_images, write_images

__all__ = ["LAYOUTS", "Layout", "Motion", "write_ctp_layout"]


class Motion(StrEnum):
    """How the slices of one time point follow each other."""

    TOGETHER = "together"
    SHUTTLE = "shuttle"
    JOG = "jog"


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to store a CT perfusion.

    Args:
        words: what it is like.
        motion: how the slices of a time point follow each other.
        thinning: sample every second time in the last third, as after the first pass of the bolus.
        clock: name of the function below that writes the times.
        numbering: of the images: by "time", by "position", or "random".
        split: one series per time point.
        enhanced: number of time points in each multi-frame object, 0 for single images, -1 for all of them.
    """

    words: str
    motion: Motion = Motion.TOGETHER
    thinning: bool = False
    clock: str = "moment"
    numbering: str = "time"
    split: bool = False
    enhanced: int = 0

    def slice_times_s(self, times_s: NDArray[np.float64], n_slices: int) -> NDArray[np.float64]:
        """(T, K) when each slice is scanned.

        Args:
            times_s: (T,) start of each time point, evenly spaced.
            n_slices: K.
        """
        times_s = np.array(times_s, dtype=np.float64)
        frame_s = float(np.median(np.diff(times_s)))
        if self.thinning:
            late = np.clip(np.arange(len(times_s)) - 2 * len(times_s) // 3, 0, None)
            times_s += late * frame_s
        if self.motion is Motion.JOG:
            within_s = np.where(np.arange(n_slices) < n_slices // 2, 0.0, frame_s / 2)
            return times_s[:, None] + within_s
        if self.motion is Motion.SHUTTLE:
            up_s = 0.75 * frame_s * np.linspace(0.0, 1.0, n_slices)
            odd = np.arange(len(times_s)) % 2 == 1
            return times_s[:, None] + np.where(odd[:, None], up_s[::-1], up_s)
        return np.repeat(times_s[:, None], n_slices, axis=1)


LAYOUTS = {
    "plain": Layout("one series, every image with its moment"),
    "ge-cine": Layout(
        "one series, position by position, TriggerTime counts from one start", clock="trigger", numbering="position"
    ),
    "ge-shuttle": Layout("one series, two slabs by turns, a time of day per pass", motion=Motion.JOG, clock="time_of_day"),
    "ge-enhanced": Layout("one multi-frame object, two slabs by turns, a time per frame", motion=Motion.JOG, enhanced=-1),
    "siemens": Layout("one series, AcquisitionNumber per time point"),
    "siemens-series": Layout("one series per time point", split=True),
    "siemens-shuttle": Layout("one series, slices sweep to and fro, each with its own time", motion=Motion.SHUTTLE),
    "siemens-enhanced": Layout(
        "one multi-frame object per time point, slices sweep to and fro, a time per frame", motion=Motion.SHUTTLE, enhanced=1
    ),
    "canon": Layout(
        "one series of whole volumes, dense, then sparse; date and time apart", thinning=True, clock="date_and_time"
    ),
    "canon-enhanced": Layout("one multi-frame object per time point, dense, then sparse", thinning=True, enhanced=1),
    "philips": Layout("one series, temporal positions counted, images numbered at random", clock="counted", numbering="random"),
    "philips-jog": Layout(
        "one series, two slabs by turns, images numbered at random", motion=Motion.JOG, clock="counted", numbering="random"
    ),
    "philips-enhanced": Layout("one multi-frame object with everything", enhanced=-1),
}  # fmt: skip
"""Every layout that `lvo phantom ctp --layout` writes."""


def write_ctp_layout(
    series: TimeSeries,
    folder: Path,
    header: SeriesHeader,
    layout: Layout,
    *,
    on_image: Callable[[], None] | None = None,
) -> tuple[Path, ...]:
    """Write a time series as a scanner of that layout would.

    Args:
        series: (T, K, J, I) HU; its times should be those of `Layout.slice_times_s`.
        folder: existing folder that receives the files.
        header: what the series share; `scan_s` is ignored.
        layout: how to store it.
        on_image: called after each file.

    Raises:
        GeometryError, ValueError, OutputError: as `lvo.dicom.source.write_ct_series`.
    """
    n_times = series.array.shape[0]
    if layout.enhanced:
        per_object = n_times if layout.enhanced < 0 else layout.enhanced
        starts = range(0, n_times, per_object)
        images: Iterator[Dataset] = (
            enhanced_ct(series, range(first, min(first + per_object, n_times)), header, instance_number=number)
            for number, first in enumerate(starts, start=1)
        )
    else:
        images = (image for t in range(n_times) for image in _classic(series, t, header, layout))
    return write_images(images, folder, on_image)


def _classic(series: TimeSeries, t: int, header: SeriesHeader, layout: Layout) -> Iterator[Dataset]:
    """The single images of one time point."""
    n_times, n_slices = series.array.shape[:2]
    if layout.split:
        header = replace(header, number=100 * header.number + t + 1)
    for k, image in enumerate(ct_images(series.frame(t), header, series.times_s[t], t)):
        image.InstanceNumber = _number(t, k, (n_times, n_slices), layout, image.SOPInstanceUID)
        _CLOCKS[layout.clock](image, header, _When(t, n_times, layout.motion, k >= n_slices // 2, series.times_s[t, k]))
        yield image


def _number(t: int, k: int, shape_tk: tuple[int, int], layout: Layout, uid: UID) -> int:
    """Instance Number."""
    match layout.numbering:
        case "position":
            return k * shape_tk[0] + t + 1
        case "random":
            return int(hashlib.sha256(uid.encode()).hexdigest()[:7], 16) + 1
        case _:
            return k + 1 if layout.split else t * shape_tk[1] + k + 1


@dataclass(frozen=True, slots=True)
class _When:
    """Time point t of n, whether in the upper slab, and the seconds of the image."""

    t: int
    n_times: int
    motion: Motion
    upper: bool
    seconds: float


def _moment(_image: Dataset, _header: SeriesHeader, _when: _When) -> None:
    """Every clock tells the time of the image, as `ct_images` leaves it."""


def _time_of_day(image: Dataset, _header: SeriesHeader, when: _When) -> None:
    """Acquisition Time alone; every pass over a slab is an acquisition."""
    del image.AcquisitionDateTime, image.AcquisitionDate
    image.AcquisitionNumber = 2 * when.t + when.upper + 1


def _date_and_time(image: Dataset, header: SeriesHeader, when: _When) -> None:
    """Acquisition Date and Time apart; Content Time is when the volume was reconstructed."""
    del image.AcquisitionDateTime
    made = header.when(when.seconds + 30.0 + 0.1 * when.t)
    image.ContentDate, image.ContentTime = f"{made:%Y%m%d}", f"{made:%H%M%S.%f}"


def _trigger(image: Dataset, header: SeriesHeader, when: _When) -> None:
    """One start for all in every clock, Trigger Time counts milliseconds from it."""
    start = header.when(0.0)
    del image.AcquisitionDateTime
    image.AcquisitionDate, image.AcquisitionTime = f"{start:%Y%m%d}", f"{start:%H%M%S.%f}"
    image.ContentDate, image.ContentTime = image.AcquisitionDate, image.AcquisitionTime
    image.AcquisitionNumber = 1
    image.TriggerTime = f"{1000.0 * when.seconds:.3f}"
    image.ImagesInAcquisition = when.n_times


def _counted(image: Dataset, _header: SeriesHeader, when: _When) -> None:
    """Temporal Position counts time points, or passes over slabs; Acquisition Time gives seconds."""
    del image.AcquisitionDateTime
    jog = when.motion is Motion.JOG
    image.TemporalPositionIdentifier = 2 * when.t + when.upper + 1 if jog else when.t + 1
    image.NumberOfTemporalPositions = when.n_times * (1 + jog)


_CLOCKS: dict[str, Callable[[Dataset, SeriesHeader, _When], None]] = {
    "moment": _moment, "time_of_day": _time_of_day, "date_and_time": _date_and_time, "trigger": _trigger, "counted": _counted,
}  # fmt: skip
