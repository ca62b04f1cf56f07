"""CBF, CBV, MTT, Tmax and arrival delay from curves, with the constants of blood and tissue."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lvo.config import PerfusionSettings
from lvo.perfusion.arterial import Inputs
from lvo.perfusion.deconvolve import Operator, adapted_strength, deconvolve, inverse_operator
from lvo.perfusion.match import Dictionary, blood_volume, dictionary, family, match
from lvo.perfusion.sampling import SliceTimes, interpolation

__all__ = ["Maps", "blood_volume_ml_100g", "compute_maps", "methods"]

HEMATOCRIT_FACTOR = 0.73
"""(1 - 0.45) / (1 - 0.25): contrast agent stays in plasma, and capillaries hold more plasma than arteries (Ostergaard 1996,
doi:10.1002/mrm.1910360510; Fieselmann 2011, doi:10.1155/2011/467563)."""
DENSITY_G_PER_ML = 1.04
"""Mass of brain per volume (same sources)."""
PER_100G = 100.0 * HEMATOCRIT_FACTOR / DENSITY_G_PER_ML
"""mL of blood per mL of voxel, as the curves give it, to mL per 100 g of tissue. HU are proportional to iodine in both."""
S_PER_MIN = 60.0
MIN_CBF_ML_100G_MIN = 0.1
"""Below this flow the transit time CBV / CBF has no meaning and is written as the length of the record."""
LEAD_S = 3.0
"""The residue may peak this much before the matched arrival: deconvolution blurs it over about a frame on either side."""
LAG_S = 5.0
"""It peaks within the matched transit time after the arrival, and is given at least this much."""
CHUNK = 4096
"""Voxels at a time: the working set stays in the cache, and memory does not grow with their number."""
NAMES = {"bcsvd": "block-circulant SVD", "osvd": "oscillation-limited SVD", "tikhonov": "Tikhonov deconvolution"}


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """(N,) values per voxel: mL/100 g/min, mL/100 g, and three times in seconds; no delay without matching."""

    cbf: NDArray[np.float32]
    cbv: NDArray[np.float32]
    mtt: NDArray[np.float32]
    tmax: NDArray[np.float32]
    delay: NDArray[np.float32] | None


def methods(settings: PerfusionSettings) -> dict[str, str]:
    """Which method gives each map."""
    inverse = NAMES[settings.method]
    if not settings.match_curves:
        return {"cbf": inverse, "cbv": "area under the curve", "mtt": "CBV / CBF", "tmax": inverse}
    matching = "model matching"
    return {"cbf": f"CBV / MTT of {matching}", "cbv": matching, "mtt": matching, "tmax": inverse, "delay": matching}


def blood_volume_ml_100g(curves: NDArray[np.float32], inputs: Inputs, frames: SliceTimes | None = None) -> NDArray[np.float32]:
    """Rough blood volume of (T, N) curves, good to a quarter, to tell vessels from tissue by."""
    known = family(_arterial_hu(inputs), inputs.aif.times_s)

    def work(words: Dictionary, few: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        return (blood_volume(few, words) * np.float32(PER_100G),)

    return _by_chunk(_Way(lambda times_s: dictionary(known, times_s), work), curves, inputs, frames)[0]


def compute_maps(
    curves: NDArray[np.float32], inputs: Inputs, settings: PerfusionSettings, frames: SliceTimes | None = None
) -> Maps:
    """Maps of (T, N) curves.

    Tmax is the time of the maximum of the deconvolved residue (the quantity the 6 s rule is defined on; it is negative where
    tissue fills before the chosen artery). It stays with the curve itself: at the border of a lesion, where early and late
    tissue mix, no single delay fits. CBV, MTT and the true arrival delay come from `lvo.perfusion.match`, and CBF is
    CBV / MTT. The height of a residue takes the highest noise for flow (at 1 HU a core reads three times its flow) and
    flattens short transits (4 s read 0.7 to 0.8); matching does neither, also with residues and arteries it does not know.

    Without `match_curves` there is deconvolution alone: CBF is the height of the residue and CBV the area under the curve.

    Args:
        curves: HU above baseline.
        inputs: artery and its scale, on an even time base.
        settings: method and regularisation.
        frames: when the voxels were scanned; None when at the times of the inputs.
    """
    strength = _strength(curves, inputs, settings, frames)
    way = (_matched if settings.match_curves else _alone)(inputs, settings, strength)
    cbf, cbv, mtt, tmax, *delay = _by_chunk(way, curves, inputs, frames)
    return Maps(cbf, cbv, mtt, tmax, delay[0] if delay else None)


@dataclass(frozen=True, slots=True)
class _Way:
    """How curves become numbers: something prepared once for all voxels with the same frame times, and what is done with it."""

    prepare: Callable[[NDArray[np.float64]], Any]
    work: Callable[[Any, NDArray[np.float32]], tuple[NDArray[np.float32], ...]]


def _matched(inputs: Inputs, settings: PerfusionSettings, strength: float) -> _Way:
    """Deconvolution near the time at which matching finds the bolus, and all but Tmax from the matching."""
    known = family(_arterial_hu(inputs), inputs.aif.times_s)

    def prepare(times_s: NDArray[np.float64]) -> tuple[Dictionary, Operator]:
        return dictionary(known, times_s), _operator(inputs, settings, times_s, strength)

    def work(ready: tuple[Dictionary, Operator], few: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        found = match(few, ready[0])
        last_s = found.delay_s + np.maximum(found.transit_s, np.float32(LAG_S))
        residue = deconvolve(few, ready[1], (found.delay_s - np.float32(LEAD_S), last_s))
        cbv = found.blood_ml_ml * np.float32(PER_100G)
        return cbv * np.float32(S_PER_MIN) / found.transit_s, cbv, found.transit_s, residue.peak_s, found.delay_s

    return _Way(prepare, work)


def _alone(inputs: Inputs, settings: PerfusionSettings, strength: float) -> _Way:
    """Deconvolution and nothing else."""
    base_s = inputs.aif.times_s
    longest_s = np.float32(base_s[-1] - base_s[0])
    arterial_area = float(_trapezoid(base_s) @ _arterial_hu(inputs))

    def prepare(times_s: NDArray[np.float64]) -> tuple[Operator, NDArray[np.float32]]:
        return _operator(inputs, settings, times_s, strength), (_trapezoid(times_s) / arterial_area).astype(np.float32)

    def work(ready: tuple[Operator, NDArray[np.float32]], few: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        residue = deconvolve(few, ready[0])
        cbf = np.maximum(residue.peak_per_s, 0.0) * np.float32(PER_100G * S_PER_MIN)
        cbv = np.maximum(ready[1] @ few, 0.0) * np.float32(PER_100G)
        mtt = np.float32(S_PER_MIN) * cbv / np.maximum(cbf, np.float32(MIN_CBF_ML_100G_MIN))
        return cbf, cbv, np.minimum(mtt, longest_s), residue.peak_s

    return _Way(prepare, work)


def _strength(curves: NDArray[np.float32], inputs: Inputs, settings: PerfusionSettings, frames: SliceTimes | None) -> float:
    """Regularisation, adapted to the noise of a sample of the curves where that is asked for."""
    least = settings.tikhonov_lambda if settings.method == "tikhonov" else settings.svd_threshold
    if not settings.adapt_to_noise or settings.method == "osvd" or curves.shape[1] == 0:
        return least
    usual = 0 if frames is None else int(np.bincount(frames.row).argmax())  # the times that most voxels share
    same = np.arange(curves.shape[1]) if frames is None else np.flatnonzero(frames.row == usual)
    some = curves[:, same[:: max(1, same.size // CHUNK)]]
    times_s = inputs.aif.times_s if frames is None else frames.times_s[usual]
    return adapted_strength(some, least, lambda strength: _operator(inputs, settings, times_s, strength))


def _operator(inputs: Inputs, settings: PerfusionSettings, times_s: NDArray[np.float64], strength: float) -> Operator:
    """Deconvolution of curves sampled at (T,) times."""
    base_s = inputs.aif.times_s
    return inverse_operator(
        _arterial_hu(inputs),
        float(base_s[1] - base_s[0]),
        method=settings.method,
        strength=strength,
        max_oscillation=settings.oscillation_index,
        to_base=None if times_s is base_s else interpolation(times_s, base_s),
    )


def _by_chunk(way: _Way, curves: NDArray[np.float32], inputs: Inputs, frames: SliceTimes | None) -> list[NDArray[np.float32]]:
    """Values of (T, N) curves, (N,) each, a few thousand voxels at a time on every core."""
    if frames is None:
        ready, runs = {0: way.prepare(inputs.aif.times_s)}, [(0, slice(0, curves.shape[1]))]
    else:
        ready = {row: way.prepare(frames.times_s[row]) for row in np.unique(frames.row).tolist()}
        runs = list(frames.runs())
    pieces = [(row, slice(at, min(at + CHUNK, here.stop))) for row, here in runs for at in range(here.start, here.stop, CHUNK)]
    if not pieces:
        return list(way.work(way.prepare(inputs.aif.times_s), curves))

    def piece(row: int, here: slice) -> tuple[NDArray[np.float32], ...]:
        return way.work(ready[row], curves[:, here])

    with threadpool_limits(limits=1), ThreadPoolExecutor(os.cpu_count()) as cores:
        done = list(cores.map(piece, *zip(*pieces, strict=True)))
    return [np.concatenate(part) for part in zip(*done, strict=True)]


def _trapezoid(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T,) weights that integrate a curve at these times."""
    half = 0.5 * np.diff(times_s)
    return np.asarray(np.concatenate([half, [0.0]]) + np.concatenate([[0.0], half]))


def _arterial_hu(inputs: Inputs) -> NDArray[np.float64]:
    """The arterial curve without partial volume."""
    return np.asarray(inputs.aif.enhancement_hu * inputs.scale)
