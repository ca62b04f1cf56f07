"""Turn the files of a series into a volume, or a time series of volumes, in Hounsfield units on an even, orthogonal grid."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvo.core.report import QualityNote, Severity
from lvo.core.study import SeriesRef
from lvo.core.volume import Quantity, TimeSeries, Volume
from lvo.dicom.frames import Frame
from lvo.dicom.geometry import Spacing, Stack, slice_spacing, stack_frames, unit_of
from lvo.dicom.headers import Header, read_header
from lvo.dicom.order import miscounted, strangers
from lvo.dicom.pixels import AIR_HU, Decoded, decode_hu
from lvo.dicom.regrid import Regrid, plan_regrid
from lvo.dicom.times import schedule
from lvo.errors import GeometryError

__all__ = ["LoadedTimeSeries", "LoadedVolume", "frame_of_reference", "load_time_series", "load_volume", "positions_of"]

_SAME_POSITION_MM = 0.05
"""Images of one slice at different times agree to this, half a tenth of the thinnest slice."""

_MIN_TIMES = 2

_MAX_NAMED = 6


@dataclass(frozen=True, slots=True, eq=False)
class LoadedVolume:
    """A series as one image.

    Args:
        volume: (K, J, I) HU, float32 or int16 as asked; k grows to the head when the slices are axial.
        sop_instance_uids: for each slice k the source image; the nearest one where slices were resampled.
        notes: what was corrected on the way.
        slice_thickness_mm: largest Slice Thickness recorded, None without any; larger than the distance where slices overlap.
    """

    volume: Volume
    sop_instance_uids: tuple[str, ...]
    notes: tuple[QualityNote, ...]
    slice_thickness_mm: float | None


@dataclass(frozen=True, slots=True, eq=False)
class LoadedTimeSeries:
    """One or more series as images over time.

    Args:
        series: (T, K, J, I) float32 HU, with the time of every slice.
        sop_instance_uids: for each slice k the source image of the first time point; the nearest one where resampled.
        notes: what was corrected or left out on the way.
    """

    series: TimeSeries
    sop_instance_uids: tuple[str, ...]
    notes: tuple[QualityNote, ...]


def load_volume(series: SeriesRef, *, allow_uneven: bool = False, whole_hu: bool = False) -> LoadedVolume:
    """Load a series as one volume.

    Args:
        series: its files, in any order.
        allow_uneven: accept a scan made with two slice distances and resample it to the smaller; for plain CT only.
        whole_hu: int16 instead of float32, in half the memory; values are rounded to whole HU.

    Raises:
        GeometryError: a slice is missing, repeated or out of place, images do not belong together, or a file is cut short.
        InputError: a file cannot be read or decoded.
    """
    frames, frame_uid = _frames_of([series])
    stack = stack_frames(frames)
    spacing = slice_spacing(stack, allow_uneven=allow_uneven)
    plan = None if stack.straight and spacing.even else plan_regrid(stack, spacing, frame_uid)
    decoded = decode_hu(
        [frames[n] for n in stack.order],
        dtype=np.int16 if whole_hu else np.float32,
        room_ji=plan.room_ji if plan else None,
    )
    uids = [frames[n].sop_instance_uid for n in stack.order]
    notes = (*_order_notes([frames[n] for n in stack.order], decoded), *_pixel_notes(decoded))
    thickness_mm = max((frame.thickness_mm for frame in frames if frame.thickness_mm), default=None)
    if plan is None:
        grid = stack.grid(spacing.distance_mm, frame_uid)
        return LoadedVolume(Volume(decoded.slices_hu, grid, Quantity.HU), tuple(uids), notes, thickness_mm)
    volume = Volume(plan.apply(decoded.slices_hu, AIR_HU), plan.grid, Quantity.HU)
    notes = (*_regrid_notes(stack, spacing, plan), *notes)
    return LoadedVolume(volume, tuple(uids[n] for n in plan.nearest), notes, thickness_mm)


def load_time_series(series: tuple[SeriesRef, ...]) -> LoadedTimeSeries:
    """Load a CT perfusion: one series with every time point, or one series per time point.

    Images are grouped by position, then ranked by time; a first or last time point that some positions lack is left out.

    Raises:
        GeometryError: as for `load_volume`; or positions differ between time points, or the time of images cannot be known.
        InputError: a file cannot be read or decoded.
    """
    frames, frame_uid = _frames_of(series)
    slice_of, firsts = positions_of(frames)
    stack = stack_frames([frames[n] for n in firsts])
    spacing = slice_spacing(stack, allow_uneven=False)
    rank = np.empty(len(stack.order), dtype=np.intp)
    rank[list(stack.order)] = np.arange(len(stack.order))
    plan_of_times = schedule(frames, rank[slice_of])
    if len(plan_of_times.order) < _MIN_TIMES:
        msg = f"the series has {len(plan_of_times.order)} image per position, a time series needs at least {_MIN_TIMES}"
        raise GeometryError(msg)
    plan = None if stack.straight else plan_regrid(stack, spacing, frame_uid)
    decoded = decode_hu([frames[n] for n in plan_of_times.order.ravel()], room_ji=plan.room_ji if plan else None)
    array = decoded.slices_hu.reshape(*plan_of_times.order.shape, *decoded.slices_hu.shape[1:])
    uids = [frames[n].sop_instance_uid for n in plan_of_times.order[0]]
    notes = (*plan_of_times.notes, *_pixel_notes(decoded))
    if plan is None:
        loaded = TimeSeries(array, stack.grid(spacing.distance_mm, frame_uid), plan_of_times.times_s)
        return LoadedTimeSeries(loaded, tuple(uids), notes)
    for volume_hu in array:
        plan.apply(volume_hu, AIR_HU)  # an even stack is shifted in its own memory
    loaded = TimeSeries(array, plan.grid, plan_of_times.times_s)
    return LoadedTimeSeries(loaded, tuple(uids), (*_regrid_notes(stack, spacing, plan), *notes))


def positions_of(frames: Sequence[Frame], *, strict: bool = True) -> tuple[NDArray[np.intp], tuple[int, ...]]:
    """Group images by position.

    Args:
        frames: images in any order.
        strict: False accepts images displaced in their plane: for saying what a series is, not for loading it.

    Returns:
        For each image the number of its group, groups counted along the normal, and one image of each group.

    Raises:
        GeometryError: see `lvo.dicom.geometry.unit_of`; or images of one group are displaced in their plane.
    """
    unit = unit_of(frames)
    positions = np.array([frame.position_lps_mm for frame in frames])
    depth_mm = positions @ unit.normal_lps
    order = np.argsort(depth_mm, kind="stable")
    group = np.concatenate([[0], np.cumsum(np.diff(depth_mm[order]) > _SAME_POSITION_MM)])
    slice_of = np.empty(len(frames), dtype=np.intp)
    slice_of[order] = group
    firsts = tuple(int(order[n]) for n in np.unique(group, return_index=True)[1])
    off_mm = float(np.abs(positions - positions[np.array(firsts)[slice_of]]).max())
    if strict and off_mm > 2 * _SAME_POSITION_MM:
        msg = (
            f"images at one table position are displaced by up to {off_mm:.2f} mm within their plane; "
            "every time point must show the same positions: a series of this kind is not one perfusion scan"
        )
        raise GeometryError(msg)
    return slice_of, firsts


def _frames_of(series: Iterable[SeriesRef]) -> tuple[list[Frame], str]:
    """Every image plane of the series, and their frame of reference."""
    headers = [read_header(instance.path) for one in series for instance in one.instances]
    return [frame for header in headers for frame in header.frames], frame_of_reference(headers)


def frame_of_reference(headers: Sequence[Header]) -> str:
    """The Frame of Reference UID of all images.

    Raises:
        GeometryError: they have several.
    """
    frame_uids = {header.frame_of_reference_uid for header in headers if header.frames}
    if len(frame_uids) > 1:
        msg = f"the images have {len(frame_uids)} frames of reference, one is needed: positions cannot be compared"
        raise GeometryError(msg)
    return next(iter(frame_uids), "")


def _regrid_notes(stack: Stack, spacing: Spacing, plan: Regrid) -> tuple[QualityNote, ...]:
    """Say how the slices were moved."""
    notes = []
    if not stack.straight:
        size = " x ".join(map(str, plan.grid.shape_kji[::-1]))
        text = (
            f"the gantry was tilted by {stack.tilt_deg:.1f} degrees; "
            f"slices were shifted within their planes onto an orthogonal grid of {size}"
        )
        notes.append(QualityNote("geometry.tilt_corrected", Severity.INFO, text))
    if not spacing.even:
        text = f"slices are {spacing.text} apart; they were resampled to one distance of {spacing.distance_mm:.2f} mm"
        notes.append(QualityNote("geometry.resampled", Severity.WARNING, text))
    return tuple(notes)


def _order_notes(frames: Sequence[Frame], decoded: Decoded) -> tuple[QualityNote, ...]:
    """Say which slices may not lie where their positions say."""
    rows, columns = frames[0].shape_ji
    odd = sorted({*miscounted(frames), *strangers(decoded.slices_hu[:, :rows, :columns])})
    if not odd:
        return ()
    which = ", ".join(str(k + 1) for k in odd[:_MAX_NAMED]) + ", ..." * (len(odd) > _MAX_NAMED)
    text = (
        f"slice {which} of {len(frames)}, counted from the feet, may not lie where its position says: it does not look like "
        "its neighbours, or the scanner counted it elsewhere; positions may be exchanged, or the patient moved"
    )
    return (QualityNote("geometry.order", Severity.WARNING, text),)


def _pixel_notes(decoded: Decoded) -> tuple[QualityNote, ...]:
    """Say what was odd about the pixels."""
    notes = []
    if decoded.lossy:
        text = f"{decoded.lossy} of {len(decoded.slices_hu)} images were compressed with loss; small vessels may have changed"
        notes.append(QualityNote("pixels.lossy", Severity.WARNING, text))
    if decoded.odd_padding_hu:
        text = (
            f"Pixel Padding Value stands for {decoded.odd_padding_hu[0]:.0f} HU, which tissue has; it was not taken for padding"
        )
        notes.append(QualityNote("pixels.padding_in_tissue", Severity.WARNING, text))
    return tuple(notes)
