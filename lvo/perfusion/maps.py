"""CBF, CBV, MTT, Tmax and arrival delay from curves, with the constants of blood and tissue."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvo.config import PerfusionSettings
from lvo.perfusion.arterial import Inputs
from lvo.perfusion.deconvolve import deconvolve, inverse_operator
from lvo.perfusion.match import build, match

__all__ = ["Maps", "blood_volume_ml_100g", "compute_maps"]

HEMATOCRIT_FACTOR = 0.73
"""(1 - 0.45) / (1 - 0.25): contrast agent stays in plasma, and capillaries hold more plasma than arteries (Ostergaard 1996,
doi:10.1002/mrm.1910360510; Fieselmann 2011, doi:10.1155/2011/467563)."""
DENSITY_G_PER_ML = 1.04
"""Mass of brain per volume (same sources)."""
PER_100G = 100.0 * HEMATOCRIT_FACTOR / DENSITY_G_PER_ML
"""mL of blood per mL of voxel, as the curves give it, to mL per 100 g of tissue. HU are proportional to iodine in both."""
S_PER_MIN = 60.0
LEAD_S = 3.0
"""The residue may peak this much before the matched arrival: deconvolution blurs it over about a frame on either side."""
LAG_S = 5.0
"""It peaks within the matched transit time after the arrival, and is given at least this much."""
MIN_CBF_ML_100G_MIN = 0.1
"""Below this flow the transit time CBV / CBF has no meaning and is written as the length of the record."""


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """(N,) values per voxel: mL/100 g/min, mL/100 g, and three times in seconds."""

    cbf: NDArray[np.float32]
    cbv: NDArray[np.float32]
    mtt: NDArray[np.float32]
    tmax: NDArray[np.float32]
    delay: NDArray[np.float32]


def blood_volume_ml_100g(curves: NDArray[np.float32], inputs: Inputs) -> NDArray[np.float32]:
    """Blood volume of (T, N) curves, as in the CBV map."""
    found = match(curves, build(_arterial_hu(inputs), _interval_s(inputs)))
    return found.blood_ml_ml * np.float32(PER_100G)


def compute_maps(curves: NDArray[np.float32], inputs: Inputs, settings: PerfusionSettings) -> Maps:
    """Maps of (T, N) curves on the uniform time base of the inputs.

    Tmax is the time of the maximum of the block-circulant residue (the quantity the 6 s rule is defined on; it is negative
    where tissue fills before the chosen artery), CBF its height. CBV and the true arrival delay come from
    `lvo.perfusion.match`; MTT is CBV / CBF.

    With `match_curves` the CBF is read from the residue of the closest curve of the dictionary instead. A maximum takes the
    highest noise for flow: at 1 HU of noise a core reads nearly three times its flow. The closest curve has little noise
    left, so a finer threshold can be used besides, which flattens short transits less. Tmax stays with the curve itself: at
    the border of a lesion, where early and late tissue mix, no single delay of the dictionary fits.
    """
    dt_s, aif_hu = _interval_s(inputs), _arterial_hu(inputs)
    dictionary = build(aif_hu, dt_s)
    found = match(curves, dictionary)
    first_s, last_s = dictionary.delay_s - LEAD_S, dictionary.delay_s + np.maximum(dictionary.transit_s, LAG_S)
    usual = inverse_operator(aif_hu, dt_s, threshold=settings.svd_threshold)
    residue = deconvolve(curves, usual, (first_s[found.atom], last_s[found.atom]))
    peak_per_s = residue.peak_per_s
    if settings.match_curves:
        fine = inverse_operator(aif_hu, dt_s, threshold=settings.flow_svd_threshold)
        of_atoms = deconvolve(np.ascontiguousarray(dictionary.curves.T), fine, (first_s, last_s))
        peak_per_s = found.share * of_atoms.peak_per_s[found.atom]
    cbf = np.maximum(peak_per_s, 0.0) * np.float32(PER_100G * S_PER_MIN)
    cbv = found.blood_ml_ml * np.float32(PER_100G)
    longest_s = float(inputs.aif.times_s[-1] - inputs.aif.times_s[0])
    mtt = np.where(cbf > MIN_CBF_ML_100G_MIN, S_PER_MIN * cbv / np.maximum(cbf, MIN_CBF_ML_100G_MIN), longest_s)
    return Maps(cbf, cbv, np.minimum(mtt, longest_s).astype(np.float32), residue.peak_s, dictionary.delay_s[found.atom])


def _arterial_hu(inputs: Inputs) -> NDArray[np.float64]:
    """The arterial curve without partial volume."""
    return np.asarray(inputs.aif.enhancement_hu * inputs.scale)


def _interval_s(inputs: Inputs) -> float:
    return float(inputs.aif.times_s[1] - inputs.aif.times_s[0])
