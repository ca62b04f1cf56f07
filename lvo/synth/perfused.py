"""CT perfusion of any anatomy with a lesion of the asked size: curves in closed form, so its truth is known to the voxel.

Unlike `lvo.synth.ctp`, where the lesion follows from an occluded artery, its volume is what is asked for here, and the artery
may be any curve, measured ones too. Tissue is in one of four states, far from the thresholds: whatever is hypoperfused arrives
at least 7 s late, everything else has delay + MTT / 2 (Kudo et al. 2013, doi:10.1148/radiol.12112618) of at most 5 s, so that
Tmax > 6 s outlines the same tissue whichever way Tmax is read from a residue. The core has 12 % of the flow of its kind of
tissue (grey 7, white 3 mL/100 g/min); the least flow outside it, 19 in white penumbra, is 43 % of the mean of normal brain.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.grid import Grid, Plane
from lvo.core.report import Side
from lvo.core.volume import Quantity, TimeSeries
from lvo.synth.head import Head
from lvo.synth.lesion import BRAIN_FRACTION, NORMAL_CBF, NORMAL_CBV, NORMAL_DELAY_S, TISSUES, brain_fractions
from lvo.synth.render import GREY, WHITE, render_ncct, vessel_fractions
from lvo.synth.scanner import Scanner
from lvo.synth.tracer import S_PER_MIN, Artery, SampledArtery, Transit

__all__ = ["Anatomy", "Bolus", "Perfused", "Wanted", "draw_anatomy", "place_lesion", "render_perfusion"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class State:
    """What a state does to normal tissue: shares of its flow and volume, and how much later it is reached."""

    cbf: dict[int, float]
    cbv: float
    later_s: float


STATES = {
    "normal": State({GREY: 1.0, WHITE: 1.0}, 1.0, 0.0),
    "oligaemia": State({GREY: 0.85, WHITE: 0.85}, 1.05, 1.0),
    "penumbra": State({GREY: 0.5, WHITE: 0.75}, 1.1, 6.5),
    "core": State({GREY: 0.12, WHITE: 0.12}, 0.4, 7.5),
}
"""Penumbra keeps its blood volume and core loses it (Murphy et al. 2008, doi:10.1148/radiol.2473070551); benign oligaemia
around it is a little slow and must not be counted."""
LATE_ARTERY_S = 5.0
"""Arteries inside the lesion fill by collaterals, before its tissue."""
ARTERY_REACH_MM = 3.0
"""So far around the lesion arteries belong to it."""
TEXTURE = 0.08
"""Standard deviation of the blood supply from place to place, within one kind of tissue."""
TEXTURE_MM = 6.0
MIDLINE_MM = 5.0
"""A lesion stays this far from the other hemisphere."""
ROUGHNESS = 0.15
"""How much the border of a lesion leaves an ellipsoid, as a share of its radius."""
ROUGHNESS_MM = 8.0
EDGE_MM = 1.0
"""Standard deviation of the blur between states: the point spread of the scanner."""


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """A head on the grid of a scan, without contrast agent and without noise.

    Args:
        grid: where.
        plain_hu: (K, J, I) attenuation.
        fraction: GREY and WHITE: (K, J, I) part of the voxel that each fills.
        artery: (K, J, I) part filled with arterial blood.
        vein: (K, J, I) part filled with venous blood.
        midplane: its normal points to the patient's left.
    """

    grid: Grid
    plain_hu: Floats
    fraction: dict[int, Floats]
    artery: Floats
    vein: Floats
    midplane: Plane

    @property
    def brain(self) -> Mask:
        """(K, J, I) voxels that are mostly grey and white matter."""
        return np.asarray(self.fraction[GREY] + self.fraction[WHITE] >= BRAIN_FRACTION)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The lesion that is asked for.

    Args:
        side: None for no lesion.
        hypoperfusion_ml: core included.
        core_ml: may be 0.
        oligaemia_ml: around it.
        seed: of its shape.
    """

    side: Side | None = None
    hypoperfusion_ml: float = 0.0
    core_ml: float = 0.0
    oligaemia_ml: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Perfused:
    """A lesion in an anatomy.

    Args:
        anatomy: the head.
        share: (K, J, I) part of each voxel in each state, by its name; they add up to 1.
        core: (K, J, I) brain that is core: the truth.
        hypoperfusion: (K, J, I) brain that is core or penumbra: the truth.
    """

    anatomy: Anatomy
    share: dict[str, Floats]
    core: Mask
    hypoperfusion: Mask

    @property
    def core_ml(self) -> float:
        """Volume of the core."""
        return float(self.core.sum() * self.anatomy.grid.voxel_ml)

    @property
    def hypoperfusion_ml(self) -> float:
        """Volume of the hypoperfusion, with the core."""
        return float(self.hypoperfusion.sum() * self.anatomy.grid.voxel_ml)


@dataclass(frozen=True, slots=True, eq=False)
class Bolus:
    """What flows in: the artery without partial volume, the vein, and the residue of all tissue."""

    artery: Artery | SampledArtery
    vein: Artery | SampledArtery
    transit: Transit


def draw_anatomy(head: Head, grid: Grid, scanner: Scanner) -> Anatomy:
    """A synthetic head; `scanner` blurs it, its noise is left out."""
    smooth = replace(scanner, noise_sd_hu=0.0, edge_enhancement=0.0)
    plain = render_ncct(head, grid, smooth).array.astype(np.float32)
    fraction = {tissue: smooth.blurred(part, grid.spacing_kji_mm) for tissue, part in brain_fractions(head, grid).items()}
    artery, vein = (smooth.blurred(part.array, grid.spacing_kji_mm) for part in vessel_fractions(head, grid))
    return Anatomy(grid, plain, fraction, artery, vein, head.pose.midplane)


def place_lesion(anatomy: Anatomy, wanted: Wanted) -> Perfused:
    """Grow a lesion from the middle of a hemisphere until it has the asked volumes.

    Raises:
        ValueError: the hemisphere is smaller than the lesion.
    """
    brain, n_wanted = anatomy.brain, [
        round(ml / anatomy.grid.voxel_ml)
        for ml in (wanted.core_ml, wanted.hypoperfusion_ml, wanted.hypoperfusion_ml + wanted.oligaemia_ml)
    ]  # fmt: skip
    order = _from_the_middle(anatomy, wanted) if wanted.side else np.zeros(0, dtype=np.intp)
    if n_wanted[-1] > order.size:
        needed_ml, there_ml = (n * anatomy.grid.voxel_ml for n in (n_wanted[-1], order.size))
        msg = f"a lesion of {needed_ml:.0f} mL does not fit into {there_ml:.0f} mL"
        raise ValueError(msg)
    inside = []
    for n in n_wanted:
        mask = np.zeros(brain.size, dtype=bool)
        mask[order[:n]] = True
        inside.append(mask.reshape(brain.shape))
        sigma = EDGE_MM / anatomy.grid.spacing_kji_mm * (0.0, 1.0, 1.0)
    soft_core, soft_hypo, soft_slow = (ndimage.gaussian_filter(mask.astype(np.float32), sigma) for mask in inside)
    share = {
        "normal": 1.0 - soft_slow, "oligaemia": soft_slow - soft_hypo, "penumbra": soft_hypo - soft_core, "core": soft_core,
    }  # fmt: skip
    return Perfused(anatomy, share, inside[0], inside[1])


def render_perfusion(
    perfused: Perfused,
    bolus: Bolus,
    times_s: NDArray[np.float64],
    scanner: Scanner,
    *,
    moves_lps: Sequence[NDArray[np.float64] | None] = (),
) -> TimeSeries:
    """Scan it.

    Args:
        perfused: head and lesion.
        bolus: what flows in.
        times_s: (T, K) seconds at which each slice is scanned.
        scanner: for the noise, of which every frame gets its own.
        moves_lps: for each frame, where it saw the head: a (4, 4) matrix from true to seen positions, None for unmoved.

    Returns:
        (T, K, J, I) int16 HU.
    """
    anatomy = perfused.anatomy
    grid, blood = anatomy.grid, np.clip(anatomy.artery + anatomy.vein, 0.0, 1.0)
    supply = _texture(grid, scanner.seed) * (1.0 - blood)
    tissue = [
        (supply * anatomy.fraction[kind] * perfused.share[name]).astype(np.float32) for name in STATES for kind in TISSUES
    ]
    reach_j, reach_i = (max(1, round(ARTERY_REACH_MM / float(mm))) for mm in grid.spacing_kji_mm[1:])
    near = ndimage.binary_dilation(perfused.hypoperfusion, np.ones((1, 2 * reach_j + 1, 2 * reach_i + 1), dtype=bool))
    weights = np.stack([*tissue, anatomy.artery * ~near, anatomy.artery * near, anatomy.vein])
    curves = _curves(bolus, np.asarray(times_s, dtype=np.float64)).astype(np.float32)
    frames = np.empty((len(times_s), *grid.shape_kji), dtype=np.int16)
    for t in range(len(times_s)):
        hu = anatomy.plain_hu + np.einsum("ck,ckji->kji", curves[:, t], weights)
        if len(moves_lps) and moves_lps[t] is not None:
            hu = _moved(hu, grid, np.asarray(moves_lps[t]))
        grain = replace(scanner, seed=scanner.seed * 100_003 + t + 1)
        hu = hu + grain.noise(grid.shape_kji[1:], range(grid.shape_kji[0]), grid.spacing_kji_mm)
        frames[t] = np.clip(np.rint(hu), -1024, 3071)
    return TimeSeries(frames, grid, np.asarray(times_s, dtype=np.float64), Quantity.HU)


def _from_the_middle(anatomy: Anatomy, wanted: Wanted) -> NDArray[np.intp]:
    """Flat indices of the brain of a hemisphere, from the middle of the middle cerebral territory outwards."""
    grid = anatomy.grid
    inside = np.argwhere(anatomy.brain)
    points = grid.to_lps_mm(inside)
    left_mm = anatomy.midplane.signed_distance_mm(points) * (1.0 if wanted.side is Side.LEFT else -1.0)
    own = left_mm > MIDLINE_MM
    points, inside = points[own], inside[own]
    rng = np.random.default_rng((wanted.seed, 41))
    bumps = _smooth_noise(rng, grid, ROUGHNESS_MM)
    distance_mm = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    rough = distance_mm * (1.0 + ROUGHNESS * np.clip(bumps[tuple(inside.T)], -2.0, 2.0))
    nearest_first = inside[np.argsort(rough, kind="stable")]
    return np.asarray(np.ravel_multi_index(tuple(nearest_first.T), grid.shape_kji), dtype=np.intp)


def _texture(grid: Grid, seed: int) -> Floats:
    """(K, J, I) blood supply around 1."""
    field = _smooth_noise(np.random.default_rng((seed, 42)), grid, TEXTURE_MM)
    return np.asarray(np.clip(1.0 + TEXTURE * field, 1.0 - 2.0 * TEXTURE, 1.0 + 2.0 * TEXTURE), dtype=np.float32)


def _smooth_noise(rng: np.random.Generator, grid: Grid, scale_mm: float) -> Floats:
    """(K, J, I) random field of mean 0 and standard deviation 1."""
    field = ndimage.gaussian_filter(rng.standard_normal(grid.shape_kji, dtype=np.float32), scale_mm / grid.spacing_kji_mm)
    return np.asarray(field / field.std(), dtype=np.float32)


def _curves(bolus: Bolus, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """(C, T, K) enhancement: grey and white of every state, artery, late artery, vein."""
    cbf, cbv, delay_s = (
        np.array(column)
        for column in zip(
            *[
                (NORMAL_CBF[kind] * state.cbf[kind], NORMAL_CBV[kind] * state.cbv, NORMAL_DELAY_S[kind] + state.later_s)
                for state in STATES.values() for kind in TISSUES
            ],
            strict=True,
        )
    )  # fmt: skip
    tissue = bolus.artery.tissue_hu(
        times_s[..., None], bolus.transit, cbf_ml_100g_min=cbf, mtt_s=S_PER_MIN * cbv / cbf, delay_s=delay_s
    )
    vessels = (bolus.artery.hu(times_s), bolus.artery.hu(times_s - LATE_ARTERY_S), bolus.vein.hu(times_s))
    return np.concatenate([np.moveaxis(tissue, -1, 0), np.stack(vessels)])


def _moved(hu: Floats, grid: Grid, move_lps: NDArray[np.float64]) -> Floats:
    """The frame of a head that was moved by a rigid matrix; what comes from outside the slab continues its border."""
    index = np.linalg.inv(grid.lps_from_kji) @ np.linalg.inv(move_lps) @ grid.lps_from_kji
    return np.asarray(ndimage.affine_transform(hu, index[:3, :3], index[:3, 3], order=1, mode="nearest"), dtype=np.float32)
