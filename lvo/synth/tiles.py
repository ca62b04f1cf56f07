"""Tissue curves of known flow, without anatomy: the two phantoms that deconvolution is judged on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lvo.synth.tracer import S_PER_MIN, Artery, Transit

__all__ = ["KUDO_RESIDUES", "MISMATCHED_ARTERY", "MISMATCHED_RESIDUES", "TWO_PATHWAYS", "Tiles", "make_tiles"]

Floats = NDArray[np.float64]
Blend = tuple[tuple[float, float, Transit], ...]
"""Pathways in parallel: the share of the flow through each, its mean transit time over that of the whole, its transit."""

MTT_S = (24.0, 12.0, 8.0, 6.0, 4.8, 4.0, 3.43)
CBV_ML_100G = (1.0, 2.0, 3.0, 4.0, 5.0)
DELAYS_S = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
"""Columns, groups and rows of Kudo et al. 2013, doi:10.1148/radiol.12112618: flows from 2.5 to 87.5 mL/100 g/min."""
KUDO_RESIDUES: Mapping[str, Transit] = MappingProxyType({name: Transit(name) for name in ("exp", "linear", "box")})
MISMATCHED_RESIDUES: Mapping[str, Transit] = MappingProxyType(
    {f"gamma {shape:g}": Transit("gamma", shape) for shape in (1.5, 3.0, 6.0)} | {"log-normal": Transit("lognormal", 0.5)}
)
"""Transit times as they are measured rather than assumed: gamma (Mouridsen et al. 2014, doi:10.1038/jcbfm.2013.224) and, with a
relative spread of 53 %, log-normal. A dictionary of box, linear and exponential residues holds none of them; one with gamma
distributions comes near, so `TWO_PATHWAYS` asks for more."""
TWO_PATHWAYS: Mapping[str, "Blend"] = MappingProxyType({
    "fast and slow": ((0.6, 0.5, Transit("gamma", 3.0)), (0.4, 1.75, Transit("gamma", 3.0))),
    "with a shunt": ((0.2, 0.2, Transit("exp")), (0.8, 1.2, Transit("gamma", 4.0))),
})  # fmt: skip
"""Residues with two time scales, as of a voxel that holds two kinds of tissue or a shunt: no family of one shape has them."""
MISMATCHED_ARTERY = Artery(recirculation=0.12, dispersion_s=1.0)
"""12 % of the agent come round again, and the bolus was smeared by 1 s on its way to where it is measured."""


@dataclass(frozen=True, slots=True, eq=False)
class Tiles:
    """N pieces of tissue fed by one artery.

    Args:
        times_s: (T,) seconds, not necessarily even.
        artery_hu: (T,) enhancement where the artery is measured.
        curves_hu: (T, N) enhancement of the tissue.
        cbf: (N,) mL/100 g/min.
        cbv: (N,) mL/100 g.
        mtt_s: (N,) mean transit time.
        delay_s: (N,) arrival after the artery.
        residue: (N,) name of the residue.
    """

    times_s: Floats
    artery_hu: Floats
    curves_hu: Floats
    cbf: Floats
    cbv: Floats
    mtt_s: Floats
    delay_s: Floats
    residue: NDArray[np.str_]

    def noisy(self, sd_hu: float, *, repeats: int, seed: int) -> "Tiles":
        """The same tissue, each piece several times, with white noise; the artery, averaged over many voxels, has none."""

        def again(values: NDArray[np.generic]) -> NDArray[np.generic]:
            return np.tile(values, repeats)

        curves = np.tile(self.curves_hu, (1, repeats))
        curves += np.random.default_rng(seed).normal(0.0, sd_hu, curves.shape)
        truth = (self.cbf, self.cbv, self.mtt_s, self.delay_s)
        cbf, cbv, mtt_s, delay_s = (np.asarray(again(values), dtype=np.float64) for values in truth)
        return Tiles(self.times_s, self.artery_hu, curves, cbf, cbv, mtt_s, delay_s, np.tile(self.residue, repeats))


def make_tiles(
    times_s: ArrayLike,
    *,
    residues: Mapping[str, Transit | Blend] = KUDO_RESIDUES,
    artery: Artery | None = None,
    tissue_artery: Artery | None = None,
    delays_s: Sequence[float] = DELAYS_S,
    mtts_s: Sequence[float] = MTT_S,
    cbvs_ml_100g: Sequence[float] = CBV_ML_100G,
) -> Tiles:
    """Every residue with every transit time, delay and blood volume.

    Args:
        times_s: (T,) seconds of the frames.
        residues: by name; a blend of pathways is possible.
        artery: where it is measured; a first pass from 8 s on to 400 HU when omitted.
        tissue_artery: what reaches the tissue, when that is not the same, e.g. because the bolus is dispersed in between.
        delays_s: arrivals after the artery.
        mtts_s: mean transit times.
        cbvs_ml_100g: blood volumes.
    """
    times, measured = np.asarray(times_s, dtype=np.float64), artery or Artery()
    source = tissue_artery or measured
    mtt_s, delay_s = (np.array(column) for column in zip(*product(mtts_s, delays_s), strict=True))

    def of_unit_volume(transit: Transit | Blend) -> Floats:
        blend = ((1.0, 1.0, transit),) if isinstance(transit, Transit) else transit
        parts = [
            source.tissue_hu(
                times[:, None], kind, cbf_ml_100g_min=share * S_PER_MIN / mtt_s, mtt_s=factor * mtt_s, delay_s=delay_s
            )
            for share, factor, kind in blend
        ]
        return np.asarray(np.sum(parts, axis=0))

    columns = [of_unit_volume(transit) for transit in residues.values()]
    unit = np.concatenate(columns, axis=1)  # of 1 mL/100 g; curves are proportional to it
    volumes = np.asarray(cbvs_ml_100g, dtype=np.float64)
    cbv = np.repeat(volumes, unit.shape[1])
    mtt_all, delay_all = (np.tile(values, len(residues) * volumes.size) for values in (mtt_s, delay_s))
    names = np.tile(np.repeat(np.array(list(residues)), mtt_s.size), volumes.size)
    curves = np.tile(unit, (1, volumes.size)) * cbv
    return Tiles(times, measured.hu(times), curves, S_PER_MIN * cbv / mtt_all, cbv, mtt_all, delay_all, names)
