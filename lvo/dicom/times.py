"""When each image of a CT perfusion was taken, and which images make up one time point."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvo.core.report import QualityNote, Severity
from lvo.dicom.frames import CLOCKS, Frame
from lvo.errors import GeometryError

__all__ = ["Schedule", "schedule"]

_DAY_S = 86_400.0
_LONG_GAP = 2.0
"""A pause of more than this many typical intervals is worth a note."""

_MIN_STEP_S = 1e-3

_CREATION = frozenset({"ContentTime"})
"""Clocks that say when an image was made, not when the patient was scanned."""

_AGREE = 0.2
"""Two clocks of one scan agree to this fraction."""


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """Which image belongs to which time point.

    Args:
        order: (T, K) number of the image among those given.
        times_s: (T, K) seconds after the first image that is used.
        notes: what was dropped, which clock was used, pauses.
    """

    order: NDArray[np.intp]
    times_s: NDArray[np.float64]
    notes: tuple[QualityNote, ...]


def schedule(frames: Sequence[Frame], slice_of: NDArray[np.intp]) -> Schedule:
    """Rank the images of every position by time.

    The clock is the first of CLOCKS that every image has and that differs between all images of one position: many scanners
    write the start of the series into every image.

    Args:
        frames: images.
        slice_of: (N,) the slice k each of them shows.

    Raises:
        GeometryError: no clock tells the images of one position apart, or images are missing in the middle.
    """
    n_slices = int(slice_of.max()) + 1
    clock, seconds = _clock(frames, slice_of)
    ranked = [_ranked(np.flatnonzero(slice_of == k), seconds) for k in range(n_slices)]
    lengths = [len(images) for images in ranked]
    if max(lengths) - min(lengths) > 1:
        msg = (
            f"positions were scanned {min(lengths)} to {max(lengths)} times; every position is needed at every time point "
            "(only the first or last may be incomplete): images are missing, send the series again"
        )
        raise GeometryError(msg)
    notes: list[QualityNote] = []
    if min(lengths) != max(lengths):
        ranked, dropped = _drop_incomplete(ranked, seconds, max(lengths))
        short = sum(length < max(lengths) for length in lengths)
        text = f"the {dropped} of {max(lengths)} time points lacks {short} of {n_slices} positions; it was left out"
        notes.append(QualityNote("time.point_dropped", Severity.WARNING, text))
    order = np.array(ranked).T
    times_s = seconds[order] - seconds[order].min()
    notes.extend(_notes(clock, times_s))
    return Schedule(order, times_s, tuple(notes))


def _clock(frames: Sequence[Frame], slice_of: NDArray[np.intp]) -> tuple[str, NDArray[np.float64]]:
    """The most trusted clock that works, and its (N,) seconds."""
    tried = []
    for column, name in enumerate(CLOCKS):
        values = [frame.clocks_s[column] for frame in frames]
        present = sum(value is not None for value in values)
        if not present:
            continue
        if present < len(frames):
            tried.append(f"{name} is in {present} of {len(frames)} images")
            continue
        seconds = _unwrapped(np.array(values, dtype=np.float64))
        same = _repeats(seconds, slice_of)
        if not same:
            _check_against_counters(frames, slice_of, name, seconds)
            return name, seconds
        tried.append(f"{name} is the same for {same} images of one position")
    msg = (
        f"the time of {len(frames)} images cannot be known: {'; '.join(tried) or 'no image has a time'}; "
        "acquisition times that differ between the images of one position are needed: send the originals"
    )
    raise GeometryError(msg)


def _check_against_counters(
    frames: Sequence[Frame], slice_of: NDArray[np.intp], name: str, seconds: NDArray[np.float64]
) -> None:
    """Refuse times of creation that contradict a counter of the scanner: reconstruction takes its own time.

    Raises:
        GeometryError: they do.
    """
    if name not in _CREATION:
        return
    span_s = _span_s(seconds, slice_of)
    for counter in CLOCKS[CLOCKS.index(name) + 1 :]:
        values = [frame.clocks_s[CLOCKS.index(counter)] for frame in frames]
        if None in values:
            continue
        counted_s = _span_s(np.array(values, dtype=np.float64), slice_of)
        if counted_s > 0 and abs(span_s - counted_s) > _AGREE * counted_s:
            msg = (
                f"the time of {len(frames)} images cannot be known: by {name} a position was scanned for {span_s:.1f} s, "
                f"by {counter} for {counted_s:.1f} s; acquisition times are needed: send the originals"
            )
            raise GeometryError(msg)


def _span_s(seconds: NDArray[np.float64], slice_of: NDArray[np.intp]) -> float:
    """Typical time from the first to the last image of a position."""
    return float(np.median([np.ptp(seconds[slice_of == k]) for k in range(int(slice_of.max()) + 1)]))


def _unwrapped(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Times of a scan that ran past midnight put in one row; a scan never lasts half a day."""
    span = seconds.max() - seconds.min()
    if _DAY_S / 2 < span <= _DAY_S:
        return np.where(seconds < seconds.max() - _DAY_S / 2, seconds + _DAY_S, seconds)
    return seconds


def _repeats(seconds: NDArray[np.float64], slice_of: NDArray[np.intp]) -> int:
    """Number of images whose time equals that of another at the same position."""
    order = np.lexsort((seconds, slice_of))
    same_slice = np.diff(slice_of[order]) == 0
    return int((same_slice & (np.diff(seconds[order]) < _MIN_STEP_S)).sum())


def _ranked(images: NDArray[np.intp], seconds: NDArray[np.float64]) -> NDArray[np.intp]:
    """Images in order of time."""
    return np.asarray(images[np.argsort(seconds[images], kind="stable")])


def _drop_incomplete(
    ranked: Sequence[NDArray[np.intp]], seconds: NDArray[np.float64], n_times: int
) -> tuple[list[NDArray[np.intp]], str]:
    """Cut the first or the last time point, whichever some positions lack.

    Raises:
        GeometryError: the missing images are neither all at the start nor all at the end.
    """
    reference_s = np.median([seconds[images] for images in ranked if len(images) == n_times], axis=0)
    step_s = float(np.median(np.diff(reference_s)))
    missing_first = []
    for images in ranked:
        if len(images) == n_times:
            continue
        offsets = [seconds[images] - reference_s[1:], seconds[images] - reference_s[:-1]]
        spread = [float(np.ptp(offset)) for offset in offsets]
        if min(spread) > 0.5 * step_s:
            _refuse_hole(len(images), n_times)
        missing_first.append(abs(offsets[0].mean()) < abs(offsets[1].mean()))
    if len(set(missing_first)) != 1:
        _refuse_hole(n_times - 1, n_times)
    if missing_first[0]:
        return [images[1:] if len(images) == n_times else images for images in ranked], "first"
    return [images[: n_times - 1] for images in ranked], "last"


def _refuse_hole(found: int, needed: int) -> None:
    """Refuse a series that lacks images in the middle."""
    msg = (
        f"a position was scanned {found} times, others {needed}; only the first or the last time point may be incomplete: "
        "images are missing, send the series again"
    )
    raise GeometryError(msg)


def _notes(clock: str, times_s: NDArray[np.float64]) -> list[QualityNote]:
    """Say which clock was used when it is not an acquisition time, and where the scan paused."""
    notes = []
    if not clock.startswith(("Frame", "Acquisition")):
        text = f"times come from {clock}, since no usable acquisition time is recorded"
        notes.append(QualityNote("time.source", Severity.WARNING, text))
    if len(times_s) > 2:
        steps_s = np.diff(times_s.mean(axis=1))
        typical_s = float(np.median(steps_s))
        long = steps_s[steps_s > _LONG_GAP * typical_s + _MIN_STEP_S]
        if long.size:
            found = f"{long.size} of {steps_s.size} intervals between time points last up to {long.max():.1f} s"
            text = f"{found}, {typical_s:.1f} s is typical"
            notes.append(QualityNote("time.gap", Severity.INFO, text))
    return notes
