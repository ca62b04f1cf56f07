"""Bring every frame of a CT perfusion to one position of the head, and leave out the frames that cannot be brought there.

The reference is the frame that most frames resemble, so most frames stay as they were, bit for bit.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.grid import Grid, transform
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.report import HeadMotion, QualityNote, Severity
from lvo.core.volume import AIR_HU, Quantity, TimeSeries
from lvo.image.resample import resample
from lvo.image.rigid import BONE_HU, Fit, Frame, Mask, Reference, align, coarse, coarse_grid, find_skull, prepare

__all__ = ["Stilled", "correct_motion"]

Array = NDArray[np.float64]

MIN_SKULL_PIXELS = 300
"""Less bone does not fix six degrees of freedom: one 5 mm slice through a head has 250 pixels of 3 mm."""
STILL_MM = 0.3
"""Frames displaced by less everywhere are left as they are: a third of a pixel, and about the error of the search."""
MIN_LIKENESS = 0.99
"""Correlation of the aligned skulls below which a frame is not believed. Two real heads moved by up to 15 mm and 12 degrees in
5 mm slices keep 0.996; half a slab that moved by 2 mm has 0.98, a frame smeared over 5 mm 0.98; in 10 mm slices nods of
6 degrees, which are found with an error of 2 mm, have 0.98 to 0.99."""
MAX_SHIFT_MM = 15.0
"""Further than the search is known to reach."""
BRAIN_HU = (0.0, 100.0)
"""Range in which the brain is compared, so that neither air nor vessels weigh."""
JUMP_HU = 8.0
"""Step of the whole brain against the frames around it that no bolus makes: grey matter rises by 5 to 10 HU over 5 s."""
STREAK_RATIO, STREAK_HU = 3.0, 5.0
"""A frame whose pixels scatter around the frames beside it so many times more than usual, and by so much, is corrupted."""
LOST = 0.02
"""Share of the head that may lie outside the slab: half of the lowest slice of ten, on one side of it."""
MAX_LOST = 0.15
"""Where too many frames would go, this share is given up instead, in all frames."""
AROUND = 6
"""Coarse pixels around the skull that are read anew: scalp and motion."""
LARGE_SHIFT_MM = 3.0
"""From here on the correction itself is worth a warning: more than half a slice of interpolation between thick slices."""
MAX_UNSEEN = 0.1
"""What is outside the slab in a larger share of the frames is given up; otherwise the frame before stands in."""
HEAD_HU = -200.0
"""Above is head, below air around it."""
MAX_DROPPED = 0.2
"""Share of the frames that may be left out, ours: without one or two frames flow changes by 3 % on average (Oei et al., as
reported), beyond that little is known."""
MAX_GAP_S = 6.0
"""Time without a frame that interpolation bridges: half the width of an arterial first pass (median 12 s, ISLES 2018). One
missing frame is always bridged."""


@dataclass(frozen=True, slots=True, eq=False)
class Stilled:
    """A time series of a head that lies still.

    Args:
        series: the frames in use, on the grid of the original, each with the times at which it was scanned; a frame left out
            leaves a gap in time. Positions that one of them did not see are air in all.
        motion: how the head moved, for all frames of the original.
        notes: what was corrected, left out and given up.
    """

    series: TimeSeries
    motion: HeadMotion
    notes: tuple[QualityNote, ...]


def correct_motion(series: TimeSeries) -> Assessed[Stilled] | NotAssessable:
    """Align all frames with the position that the head held longest.

    Args:
        series: (T, K, J, I) HU of a head or a slab of it, integer or floating; kept as it is.

    Returns:
        The frames that can be used, aligned; or why there is no skull to align, or not enough frames are left.

    Raises:
        ValueError: the series is not in HU.
    """
    if series.quantity is not Quantity.HU:
        msg = f"correct_motion needs HU, got {series.quantity.name}"
        raise ValueError(msg)
    grid, n_binned = coarse_grid(series.grid)
    frames = [coarse(frame, n_binned) for frame in series.array]
    at = _most_usual(frames)
    skull = find_skull(frames[at])
    if int(skull.sum()) < MIN_SKULL_PIXELS:
        return NotAssessable(("no skull to follow in the CT perfusion: the motion of the head cannot be judged",))
    fits = _follow(frames, prepare(frames[at], grid, skull), at)
    inside = _inside(skull)
    faults, lost = _faults(frames, fits, grid, inside), _lost(fits, grid, inside)
    used = _chosen(faults, lost, series.times_s)
    if isinstance(used, NotAssessable):
        return used
    moved = used & np.array([fit.shift_mm > STILL_MM for fit in fits])
    kept, given_up_ml = _resampled(series, fits, used, moved, box=_box(skull, n_binned))
    motion = HeadMotion(
        times_s=series.times_s.mean(axis=1),
        shift_mm=np.array([fit.shift_mm for fit in fits]),
        turn_deg=np.array([fit.turn_deg for fit in fits]),
        used=used,
        corrected=True,
    )
    return Assessed(Stilled(kept, motion, _notes(motion, moved, faults, given_up_ml)))


def _most_usual(frames: list[Frame]) -> int:
    """Index of the frame whose skull lies nearest to those of most others."""
    bone = np.stack([np.clip(frame[:, ::2, ::2], *BONE_HU).ravel() for frame in frames])
    bone -= bone.mean(axis=0)
    product = bone @ bone.T
    own = np.diag(product)
    return int(np.median(own[:, None] + own - 2.0 * product, axis=1).argmin())


def _follow(frames: list[Frame], reference: Reference, at: int) -> list[Fit]:
    """Align every frame, beginning where the one nearer to the reference lay, or anew if that leads nowhere."""
    fits: dict[int, Fit] = {}
    for order in (range(at, len(frames)), range(at - 1, -1, -1)):
        move = np.eye(4)
        for t in order:
            fit = align(frames[t], reference, move)
            if fit.likeness < MIN_LIKENESS and not np.array_equal(move, np.eye(4)):
                fit = max(fit, align(frames[t], reference, np.eye(4)), key=lambda found: found.likeness)
            fits[t] = fit
            if fit.likeness >= MIN_LIKENESS:
                move = fit.move_lps
    return [fits[t] for t in range(len(frames))]


def _inside(skull: Mask) -> Mask:
    """What the skull surrounds in each slice, off the bone."""
    filled = np.stack([ndimage.binary_fill_holes(part) for part in skull])
    near = ndimage.binary_dilation(skull, ndimage.generate_binary_structure(2, 1)[None], iterations=2)
    return np.asarray(filled & ~near)


def _faults(frames: list[Frame], fits: list[Fit], grid: Grid, inside: Mask) -> list[str]:
    """What is wrong with each frame, empty for nothing: the skull does not fit, or the brain jumps or scatters."""
    points = grid.to_lps_mm(np.argwhere(inside)[::2])
    values = np.zeros((len(frames), len(points)), dtype=np.float32)
    for t, (frame, fit) in enumerate(zip(frames, fits, strict=True)):
        index = grid.to_kji(transform(fit.move_lps, points))
        values[t] = np.clip(ndimage.map_coordinates(frame, index.T, order=1, mode="nearest"), *BRAIN_HU)
    padded = np.concatenate([values[:1], values[:1], values, values[-1:], values[-1:]])
    usual = np.median(np.stack([padded[n : n + len(frames)] for n in range(5)]), axis=0)
    jump_hu = np.median(values - usual, axis=1) if len(points) else np.zeros(len(frames))
    scatter_hu = np.median(np.abs(values - usual - jump_hu[:, None]), axis=1) if len(points) else np.zeros(len(frames))
    faults = []
    for fit, jump, scatter in zip(fits, jump_hu, scatter_hu, strict=True):
        if fit.likeness < MIN_LIKENESS:
            faults.append("moved while it was scanned, or too far to follow")
        elif fit.shift_mm > MAX_SHIFT_MM:
            faults.append(f"moved by more than {MAX_SHIFT_MM:.0f} mm")
        elif abs(jump) > JUMP_HU:
            faults.append(f"brain brighter or darker by more than {JUMP_HU:.0f} HU than just before and after")
        elif scatter > max(STREAK_HU, STREAK_RATIO * float(np.median(scatter_hu))):
            faults.append("streaks")
        else:
            faults.append("")
    return faults


def _lost(fits: list[Fit], grid: Grid, inside: Mask) -> Array:
    """Share of the head's inside that each frame did not scan: moved beyond the outer faces of the slab."""
    points = grid.to_lps_mm(np.argwhere(inside))
    return np.array(
        [1.0 - float(grid.contains(transform(fit.move_lps, points)).mean()) if len(points) else 0.0 for fit in fits]
    )


def _chosen(faults: list[str], lost: Array, times_s: Array) -> NDArray[np.bool_] | NotAssessable:
    """The frames in use: those without fault, and those that show the whole slab unless that leaves too few."""
    sound = np.array([not fault for fault in faults])
    for used in (sound & (lost <= LOST), sound & (lost <= MAX_LOST)):
        refusal = _too_few(used, times_s)
        if not refusal:
            return used
    counts = {fault: faults.count(fault) for fault in faults if fault}
    if outside := int((sound & (lost > MAX_LOST)).sum()):
        counts[f"more than {MAX_LOST:.0%} of the head outside the slab"] = outside
    why = "; ".join(f"{n} {'frame' if n == 1 else 'frames'}: {fault}" for fault, n in counts.items())
    return NotAssessable((f"the head moved too much for CT perfusion: {refusal} ({why})",))


def _too_few(used: NDArray[np.bool_], times_s: Array) -> str:
    """Why the frames in use do not carry an analysis; empty when they do."""
    n_dropped, n_frames = int((~used).sum()), used.size
    if n_dropped > MAX_DROPPED * n_frames:
        return f"{n_dropped} of {n_frames} frames cannot be used, at most {MAX_DROPPED:.0%} may be left out"
    kept = np.flatnonzero(used)
    middle_s = times_s.mean(axis=1)
    for before, after in pairwise(kept):
        if after - before > 2 and middle_s[after] - middle_s[before] > MAX_GAP_S:
            when = f"from {middle_s[before]:.0f} to {middle_s[after]:.0f} s"
            return f"no frame can be used {when}, at most {MAX_GAP_S:.0f} s may pass"
    return ""


def _box(skull: Mask, n_binned: int) -> tuple[slice, slice]:
    """Rows and columns of a full frame that hold the head, with room to move; outside there is nothing to read."""
    sides = []
    for axes in ((0, 2), (0, 1)):
        at = np.flatnonzero(skull.any(axis=axes))
        sides.append(slice(max(0, int(at[0]) - AROUND) * n_binned, (int(at[-1]) + 1 + AROUND) * n_binned))
    return sides[0], sides[1]


def _resampled(
    series: TimeSeries, fits: list[Fit], used: NDArray[np.bool_], moved: NDArray[np.bool_], *, box: tuple[slice, slice]
) -> tuple[TimeSeries, float]:
    """The frames in use, those that moved read where the head was; and how many mL of the head are given up."""
    if used.all() and not moved.any():
        return series, 0.0
    kept = np.flatnonzero(used).tolist()
    array = series.array[kept]
    head = array[:, :, *box]
    affine = series.grid.lps_from_kji.copy()
    affine[:3, 3] = series.grid.to_lps_mm((0, box[0].start, box[1].start))
    unseen: dict[int, Mask] = {}
    for n, t in enumerate(kept):
        if moved[t]:
            grid = Grid((head.shape[1], head.shape[2], head.shape[3]), fits[t].move_lps @ affine)
            frame = resample(series.frame(t), grid, order=1, fill=np.nan).array
            unseen[n] = np.isnan(frame)
            frame = np.where(unseen[n], AIR_HU, frame)
            head[n] = np.rint(frame) if np.issubdtype(array.dtype, np.integer) else frame
    given_up = _bridged(head, unseen)
    was_head = np.median(series.array[kept[:3]][:, :, *box], axis=0) > HEAD_HU
    head_ml = float((given_up & was_head).sum()) * series.grid.voxel_ml
    return TimeSeries(array, series.grid, series.times_s[kept], series.quantity), head_ml


def _bridged(array: NDArray[Any], unseen: dict[int, Mask]) -> Mask:
    """Fill, in place, what some frames did not see from the frame before (or after), or with air where too many did not.

    Returns:
        (K, J, I) where the positions were given up.
    """
    times_unseen = np.zeros(array.shape[1:], dtype=np.uint16)
    for mask in unseen.values():
        times_unseen += mask
    given_up = times_unseen > MAX_UNSEEN * len(array)
    k, j, i = np.nonzero((times_unseen > 0) & ~given_up)
    seen = np.ones((len(array), k.size), dtype=bool)
    for n, mask in unseen.items():
        seen[n] = ~mask[k, j, i]
    latest = np.maximum.accumulate(np.where(seen, np.arange(len(array))[:, None], -1), axis=0)
    source = np.where(latest < 0, seen.argmax(axis=0), latest)
    array[:, k, j, i] = array[source, k, j, i]
    array[:, given_up] = AIR_HU
    return given_up


def _notes(motion: HeadMotion, moved: NDArray[np.bool_], faults: list[str], given_up_ml: float) -> tuple[QualityNote, ...]:
    """What a reader should know about the motion."""
    notes = []
    n_frames, n_moved, n_dropped = motion.used.size, int(moved.sum()), int((~motion.used).sum())
    if n_moved:
        severity = Severity.WARNING if float(motion.shift_mm[motion.used].max()) > LARGE_SHIFT_MM else Severity.INFO
        notes.append(QualityNote(
            "ctp.motion", severity,
            f"the head moved by up to {motion.shift_mm[motion.used].max():.1f} mm and {motion.turn_deg[motion.used].max():.1f} "
            f"degrees; {n_moved} of {n_frames} frames were brought back",
        ))  # fmt: skip
    if n_dropped:
        when = ", ".join(
            f"{time_s:.0f} s ({fault or 'head partly outside the slab'})"
            for time_s, used, fault in zip(motion.times_s, motion.used, faults, strict=True)
            if not used
        )
        notes.append(QualityNote(
            "ctp.frames_dropped", Severity.WARNING, f"{n_dropped} of {n_frames} frames were left out, at {when}"
        ))  # fmt: skip
    if given_up_ml > 1.0:
        notes.append(QualityNote(
            "ctp.slab_edge", Severity.WARNING,
            f"{given_up_ml:.0f} mL at the edge of the slab moved out of it and are left out",
        ))  # fmt: skip
    return tuple(notes)
