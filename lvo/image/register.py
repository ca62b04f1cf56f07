"""Bring a head to the atlas: rotation, shift and one scale per axis of the brain.

The atlas predicts what CT shows of a brain and the skull around it (`Atlas.expected_ct`). From 27 orientations around the
patient's axes a Gauss-Newton ascent (Lucas-Kanade on normalised images) maximises the correlation of that prediction with
the scan, first with 8 mm between samples, then with 4 mm. No random numbers, no threads: the same scan gives the same
pose.

Patient coordinates are checked, not repaired: the 23 other ways to put a head along the axes are tried as well, and a head
that fits one of them as well or better is refused. A head is nearly its own mirror image, so rows in reverse order look like
a head turned by 180 degrees and are refused, but left and right exchanged look like nothing and pass.

One scale per axis and not one for all: heads are longer or rounder than the atlas, and the correlation rises from 0.73 to
0.88 and from 0.87 to 0.92 on the two real heads at hand.
"""

import itertools
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from lvo.core.grid import Grid
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.pose import HeadPose
from lvo.core.volume import Quantity, Volume
from lvo.image.atlas import load_atlas
from lvo.image.brain import known_space
from lvo.image.resample import coarsen
from lvo.image.windows import compressed, cropped, extent

__all__ = ["register_to_atlas"]

Array = NDArray[np.float64]

SHELL_MM = 7.0
"""How far beyond the brain samples reach: into the skull, not through it."""

SCANNER_SIGMA_MM = 1.2
"""Blur of a scan averaged to 2 mm. Compression widens blurred bone, so the expected bone must be as blurred."""

START_DEG = (-22.0, 0.0, 22.0)
"""Orientations tried about each axis; the ascent reaches some 20 degrees further."""

N_REFINED = 4
"""How many of the coarse results are followed to the end, of the starts near the patient's axes and of the others."""

USUAL_PITCH_DEG = -12.0
"""How heads lie in a scanner, about the patient's x axis: the chin lifted against the atlas (-22, -11 and 0 in three)."""

MAX_TURN_DEG = 60.0
"""Head turned further than this from how heads usually lie: no patient can, it is the header that is wrong. 25 degrees about
every axis, at worst, add up to 53 beside a pitch of -22; an exchanged axis is 90, less the 25 of a head that leans."""

MIN_QUALITY = 0.82
"""Correlation below which a pose is refused."""

MIN_DISTINCT = 0.03
"""Correlation, at 8 mm, by which the pose must lead all that are turned beyond MAX_TURN_DEG. Measured with MIN_QUALITY:

======================================================  ==============  ===============
scan                                                    correlation     lead
======================================================  ==============  ===============
thick plain CT (GE), thin plain CT, CT template         .89 .93 .92     .09 .15 .10
five synthetic angiograms                               .95 to .98      .15 to .22
the real ones with an old infarct or a bleed drawn in   .87 to .93      .08 to .15
the real ones with a piece of skull taken out           .83 .88 .85     .08 .10 .08
the real ones cut 45 mm below the atlas origin          .88 .91 .90     .05 .12 .11
false maxima of all of them, turned by 60 degrees up    .81 or less     below 0
water or brain in bony spheres and ellipsoids           .84 to .89      .02 or less
======================================================  ==============  ===============

Water in a shell shaped like a slim head, narrower in front, leads by .10 and passes: the skull weighs most. Structures deep
in the brain would tell it, but a large bleed or slit ventricles hide them in patients.
"""

MIN_COVERED = 0.85
"""Part of the atlas brain that must lie inside the scan."""

SCALE_RANGE = (0.7, 1.2)
"""Patient mm per atlas mm. The atlas brain is large (1.89 L); 0.7 is a head 20 % shorter than average along one axis."""


@dataclass(frozen=True, slots=True, eq=False)
class _Expected:
    """What the atlas predicts: (N, 3) positions relative to the centre of its brain, (N,) values, (N,) inside the brain."""

    offsets_atlas_mm: Array
    values: Array
    in_brain: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class _Scan:
    """The scan, compressed and smoothed, with its slope along LPS x, y, z per mm, and where it was imaged (0 to 1)."""

    image: NDArray[np.float32]
    slopes_lps: tuple[NDArray[np.float32], ...]
    known: NDArray[np.float32]
    grid: Grid


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """A pose (rotation vector, brain centre in LPS mm, log scales), its score, and the sampled values behind it."""

    parameters: Array
    score: float
    values: Array
    weights: Array
    index_kji: Array


def register_to_atlas(volume: Volume, brain: Volume) -> Assessed[HeadPose] | NotAssessable:
    """Find how the head lies.

    The quality of the pose is the correlation, over brain and skull, of the compressed HU of the scan with those expected
    from the atlas, times the square root of the part of the samples that lie in the scan.

    Args:
        volume: HU, the whole head, on any grid.
        brain: its brain mask, on any grid.

    Returns:
        The pose, or why none is trusted: too little of the brain in the scan, an impossible size, a head that fits as well
        in an orientation the header does not allow, or a poor match.

    Raises:
        ValueError: the volume is not in HU, the mask is no mask, or empty.
    """
    if volume.quantity is not Quantity.HU or brain.quantity is not Quantity.MASK:
        msg = f"register_to_atlas needs HU and a mask, got {volume.quantity.name} and {brain.quantity.name}"
        raise ValueError(msg)
    center_lps_mm, low_lps_mm, high_lps_mm, brain_ml = extent(brain)
    near = cropped(coarsen(volume, 2.0), low_lps_mm - 40.0, high_lps_mm + 40.0)
    known = known_space(near, float(volume.array.min()))

    atlas = load_atlas().brain
    log_scale = np.log(brain_ml / (float(atlas.array.sum()) * atlas.grid.voxel_ml)) / 3.0
    upright, other = _search(_scan(near, known, 4.0, 4.0), np.array([*center_lps_mm, log_scale]))
    if upright is None:
        return NotAssessable((_disoriented(other, "no other orientation fits"),))

    fine, scan = _expected(4, 2.0), _scan(near, known, 2.0, 2.0)
    best = _climb(upright.parameters, fine, scan, max_steps=20)
    one_scale = best.parameters
    best = _climb(np.concatenate([one_scale, one_scale[[6, 6]]]), fine, scan, max_steps=30)
    return _judged(best, fine, upright, other)


def _search(scan: _Scan, place_and_scale: Array) -> tuple[_Fit | None, _Fit]:
    """The best pose of a patient whose header is right, None where there is none, and the best of all others."""
    coarse = _expected(8, 4.0)
    fits = []
    for turns in (_near_turns(), _other_turns()):
        starts = [_climb(np.concatenate([turn, place_and_scale]), coarse, scan, max_steps=4) for turn in turns]
        starts.sort(key=lambda fit: -fit.score)
        fits += [_climb(fit.parameters, coarse, scan, max_steps=20) for fit in starts[:N_REFINED]]
    fits.sort(key=lambda fit: -fit.score)
    upright = next((fit for fit in fits if _turn_deg(fit) <= MAX_TURN_DEG), None)
    other = next((fit for fit in fits if _turn_deg(fit) > MAX_TURN_DEG), replace(fits[-1], score=-1.0))
    return upright, other


def _near_turns() -> list[Array]:
    """Rotation vectors around the patient's axes."""
    angles = itertools.product(START_DEG, repeat=3)
    return [Rotation.from_euler("xyz", turn, degrees=True).as_rotvec() for turn in angles]


def _other_turns() -> list[Array]:
    """Rotation vectors of the 23 other ways to put a head along the axes, as exchanged or reversed axes would."""
    return [turn.as_rotvec() for turn in Rotation.create_group("O") if turn.magnitude() > 0.1]


def _turn_deg(fit: _Fit) -> float:
    """How far a head is turned from how heads usually lie."""
    usual = Rotation.from_euler("x", USUAL_PITCH_DEG, degrees=True)
    return float(np.rad2deg((Rotation.from_rotvec(fit.parameters[:3]) * usual.inv()).magnitude()))


def _judged(fit: _Fit, expected: _Expected, upright: _Fit, other: _Fit) -> Assessed[HeadPose] | NotAssessable:
    """Turn the best fit into a pose, or say why it is not believed.

    Args:
        fit: the final pose.
        expected: what it was fitted to.
        upright: the pose it was found from, at 8 mm.
        other: the best at 8 mm of those turned beyond reason.
    """
    covered = float(fit.weights[expected.in_brain].mean())
    scales = np.exp(fit.parameters[6:])
    reasons = []
    if covered < MIN_COVERED:
        reasons.append(f"only {covered:.0%} of the brain lies in the scan, at least {MIN_COVERED:.0%} is needed")
    if scales.min() < SCALE_RANGE[0] or scales.max() > SCALE_RANGE[1]:
        found = " x ".join(f"{s:.2f}" for s in scales)
        reasons.append(f"the brain would be {found} times the atlas, expected {SCALE_RANGE[0]} to {SCALE_RANGE[1]}")
    if other.score > upright.score - MIN_DISTINCT:
        reasons.append(_disoriented(other, f"as the header says only with {upright.score:.2f}"))
    elif _turn_deg(fit) > MAX_TURN_DEG:
        reasons.append(_disoriented(fit, "no other orientation fits"))
    elif fit.score < MIN_QUALITY:
        reasons.append(f"head and atlas match with a correlation of {fit.score:.2f}, at least {MIN_QUALITY} is needed")
    if reasons:
        return NotAssessable(tuple(reasons))
    lps_from_atlas = np.eye(4)
    lps_from_atlas[:3, :3] = _linear(fit.parameters)
    lps_from_atlas[:3, 3] = fit.parameters[3:6] - lps_from_atlas[:3, :3] @ _atlas_center_mm()
    return Assessed(HeadPose(np.asarray(np.linalg.inv(lps_from_atlas)), min(1.0, fit.score)))


def _disoriented(turned: _Fit, instead: str) -> str:
    """Why the header is not believed."""
    return (
        f"the head's orientation is not certain: it fits the atlas turned by {_turn_deg(turned):.0f} degrees against the "
        f"header with a correlation of {turned.score:.2f}, {instead}; "
        "check the position and orientation tags and send the originals"
    )


def _atlas_center_mm() -> Array:
    """Centre of the atlas brain, on the mid-plane."""
    brain = load_atlas().brain
    return np.asarray(brain.grid.to_lps_mm(np.argwhere(brain.array)).mean(axis=0))


@lru_cache(maxsize=2)
def _expected(step_mm: int, sigma_mm: float) -> _Expected:
    """Sample the atlas every so many mm in the brain, and in the skull where it closely follows the brain."""
    atlas = load_atlas()
    grid, every = atlas.brain.grid, int(step_mm / atlas.brain.grid.spacing_kji_mm[0])
    blurred = ndimage.gaussian_filter(atlas.expected_ct.array, SCANNER_SIGMA_MM / grid.spacing_kji_mm)
    smooth = ndimage.gaussian_filter(compressed(blurred), sigma_mm / grid.spacing_kji_mm)
    closed = ndimage.binary_closing(atlas.brain.array, iterations=4)
    beyond_mm = ndimage.distance_transform_edt(~closed, sampling=grid.spacing_kji_mm)
    middle = grid.shape_kji[2] // 2  # keep samples symmetric about x = 0
    chosen = np.zeros(grid.shape_kji, dtype=bool)
    chosen[::every, ::every, middle % every :: every] = True
    index = np.argwhere(chosen)
    positions = grid.to_lps_mm(index)
    _, y, z = positions.T
    at = tuple(index.T)
    vault = (z > -10.0) | ((y > 20.0) & (z > -45.0))  # elsewhere face, orbits and sinuses follow, not an even skull
    wanted = ((beyond_mm[at] == 0.0) | ((beyond_mm[at] <= SHELL_MM) & vault)) & (z > -62.0)
    at = tuple(index[wanted].T)
    return _Expected(positions[wanted] - _atlas_center_mm(), smooth[at].astype(np.float64), atlas.brain.array[at])


def _scan(near: Volume, known: NDArray[np.bool_], spacing_mm: float, sigma_mm: float) -> _Scan:
    """Prepare one resolution level of the scan."""
    level = coarsen(Volume(compressed(near.array), near.grid, near.quantity), spacing_mm)
    image = ndimage.gaussian_filter(level.array, sigma_mm / spacing_mm)
    slopes_kji = np.gradient(image) if min(image.shape) > 1 else [np.zeros_like(image)] * 3
    kji_from_lps = level.grid.kji_from_lps[:3, :3]
    slopes_lps = tuple(
        np.asarray(sum(slopes_kji[n] * kji_from_lps[n, axis] for n in range(3)), dtype=np.float32) for axis in range(3)
    )
    seen = coarsen(Volume(known.astype(np.float32), near.grid, Quantity.PROBABILITY), spacing_mm)
    return _Scan(image, slopes_lps, seen.array, level.grid)


def _linear(parameters: Array) -> Array:
    """(3, 3) part of atlas offset to LPS: scale along the atlas axes, then rotate."""
    scales = np.exp(parameters[6:] if parameters.size == 9 else np.repeat(parameters[6], 3))
    return np.asarray(Rotation.from_rotvec(parameters[:3]).as_matrix() * scales)


def _fit(parameters: Array, expected: _Expected, scan: _Scan) -> _Fit:
    """Read the scan where a pose puts the samples, and correlate."""
    lps_mm = expected.offsets_atlas_mm @ _linear(parameters).T + parameters[3:6]
    index_kji = np.ascontiguousarray(scan.grid.to_kji(lps_mm).T)
    values = ndimage.map_coordinates(scan.image, index_kji, order=1, mode="nearest").astype(np.float64)
    weights = (ndimage.map_coordinates(scan.known, index_kji, order=1, cval=0.0) > 0.99).astype(np.float64)
    if weights.sum() < 0.1 * weights.size:
        return _Fit(parameters, -1.0, values, weights, index_kji)
    ours, theirs = _standardised(values, weights), _standardised(expected.values, weights)
    score = float((weights * ours * theirs).sum() / np.sqrt(weights.sum() * weights.size))
    return _Fit(parameters, score, values, weights, index_kji)


def _standardised(values: Array, weights: Array) -> Array:
    """Shift and scale to weighted mean 0 and variance 1."""
    centred = values - (weights * values).sum() / weights.sum()
    variance = (weights * centred**2).sum() / weights.sum()
    return np.asarray(centred / np.sqrt(max(variance, 1e-12)))


def _climb(parameters: Array, expected: _Expected, scan: _Scan, *, max_steps: int) -> _Fit:
    """Follow the correlation uphill: Gauss-Newton on the standardised difference, damped (Levenberg-Marquardt)."""
    fit, damping = _fit(parameters, expected, scan), 1e-3
    for _ in range(max_steps):
        if fit.score < 0.0:
            break
        jacobian, difference = _linearised(fit, expected, scan)
        normal, toward = jacobian.T @ jacobian, jacobian.T @ difference
        better = None
        while better is None and damping < 1e3:
            step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)) + 1e-9 * np.eye(len(normal)), toward)
            trial = _fit(fit.parameters + step, expected, scan)
            if trial.score > fit.score:
                better = trial
            else:
                damping *= 8.0
        if better is None:
            break
        gain, fit, damping = better.score - fit.score, better, max(damping / 8.0, 1e-5)
        if gain < 1e-5:
            break
    return fit


def _linearised(fit: _Fit, expected: _Expected, scan: _Scan) -> tuple[Array, Array]:
    """Derivative of the standardised scan values by the parameters (N, P), and expected minus found (N,)."""
    slopes = np.stack([ndimage.map_coordinates(s, fit.index_kji, order=1, mode="nearest") for s in scan.slopes_lps], axis=1)
    base, delta = _linear(fit.parameters), 1e-4
    jacobian = np.empty((fit.values.size, fit.parameters.size))
    jacobian[:, 3:6] = slopes
    for n in (0, 1, 2, *range(6, fit.parameters.size)):
        moved = fit.parameters.copy()
        moved[n] += delta
        jacobian[:, n] = ((expected.offsets_atlas_mm @ ((_linear(moved) - base) / delta).T) * slopes).sum(axis=1)
    weights = fit.weights
    mean = (weights * fit.values).sum() / weights.sum()
    spread = np.sqrt(max((weights * (fit.values - mean) ** 2).sum() / weights.sum(), 1e-12))
    jacobian = (jacobian - (weights @ jacobian) / weights.sum()) / spread
    ours, theirs = _standardised(fit.values, weights), _standardised(expected.values, weights)
    jacobian -= np.outer(ours, (weights * ours) @ jacobian / weights.sum())  # standardising undoes a change of contrast
    return jacobian * weights[:, None], (theirs - ours) * weights
