"""Masks and volumes against a reference: overlap, distance, volume error, and limits of agreement.

Limits of agreement: Bland and Altman 1986, doi:10.1016/S0140-6736(86)90837-8. Distances: 95th percentile of both directed
surface distances together, larger of the two (Huttenlocher; as MONAI has it).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import t
from skimage.morphology import skeletonize

from lvo.core.anatomy import ARTERY_PROBABILITY
from lvo.core.grid import Grid
from lvo.core.volume import Quantity, Volume
from lvo.errors import InputError
from lvo.evaluate.metrics import Estimate
from lvo.evaluate.reference.numbers import Number
from lvo.evaluate.reference.records import MASKS, VOLUMES, Case
from lvo.evaluate.reference.resample import interval
from lvo.evaluate.segmentation import center_line_dice, dice
from lvo.image.resample import resample
from lvo.nifti.volumes import from_nibabel_ras

__all__ = ["CHAPTER", "Agreement", "MaskScores", "agree", "compare_masks", "hausdorff95_mm", "mask_numbers", "volume_numbers",
           "volume_pairs"]  # fmt: skip

CHAPTER: Final = "maps and volumes"
Mask = NDArray[np.bool_]
_CUT: Mapping[str, float] = {"artery_mask": ARTERY_PROBABILITY}
"""Where a map becomes a mask; the others are masks already."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Differences, found less reference: their mean, and the limits between which 95 % of them lie, each with its interval."""

    bias: Estimate
    lower: Estimate
    upper: Estimate
    spread: float


@dataclass(frozen=True, slots=True)
class MaskScores:
    """One mask against its reference; distance is NaN where one of them is empty.

    Args:
        dice: overlap.
        center_line_dice: overlap along the centre lines, NaN where these are no vessels.
        hausdorff95_mm: distance of the surfaces.
        found_ml: volume that was found.
        true_ml: volume of the reference.
    """

    dice: float
    center_line_dice: float
    hausdorff95_mm: float
    found_ml: float
    true_ml: float


def agree(found: Sequence[float], reference: Sequence[float]) -> Agreement:
    """Bland and Altman's limits of agreement; NaN with fewer than two pairs."""
    difference = np.asarray(found, dtype=np.float64) - np.asarray(reference, dtype=np.float64)
    n = len(difference)
    if n < 2:
        nothing = Estimate(np.nan, np.nan, np.nan, n)
        return Agreement(nothing, nothing, nothing, np.nan)
    mean, spread = float(difference.mean()), float(difference.std(ddof=1))
    width = float(t.ppf(0.975, n - 1))
    of_mean, of_limit = width * spread / np.sqrt(n), width * spread * np.sqrt(3.0 / n)
    limits = (mean - 2.0 * spread, mean + 2.0 * spread)
    bias = Estimate(mean, float(mean - of_mean), float(mean + of_mean), n)
    lower, upper = (Estimate(limit, float(limit - of_limit), float(limit + of_limit), n) for limit in limits)
    return Agreement(bias, lower, upper, spread)


def hausdorff95_mm(found: Mask, reference: Mask, spacing_kji_mm: Sequence[float]) -> float:
    """95th percentile of the distance between two surfaces; NaN where one of them is empty."""
    if not found.any() or not reference.any():
        return float("nan")
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (found, reference)]
    away = [ndimage.distance_transform_edt(~edge, sampling=spacing_kji_mm) for edge in edges]
    return float(max(np.percentile(away[1][edges[0]], 95), np.percentile(away[0][edges[1]], 95)))


def compare_masks(found: Mask, reference: Mask, grid: Grid, *, vessels: bool) -> MaskScores:
    """All scores of one mask; centre lines are compared where the masks are of vessels."""
    return MaskScores(
        dice(found, reference),
        _line_dice(found, reference) if vessels else float("nan"),
        hausdorff95_mm(found, reference, tuple(grid.spacing_kji_mm)),
        float(found.sum()) * grid.voxel_ml,
        float(reference.sum()) * grid.voxel_ml,
    )


def _line_dice(found: Mask, reference: Mask) -> float:
    """Overlap along the centre lines; NaN where thinning leaves nothing of a mask, as it does of some compact ones."""
    if any(mask.any() and not skeletonize(mask).any() for mask in (found, reference)):
        return float("nan")
    return center_line_dice(found, reference, unsure=np.zeros_like(found))


def mask_numbers(cases: Sequence[Case]) -> tuple[list[Number], list[str]]:
    """Means over cases for every kind of mask that the table has, and notes on masks that could not be compared."""
    numbers, notes = [], []
    for column, name in MASKS.items():
        scores = []
        for case in cases:
            if column not in case.truth.masks:
                continue
            try:
                scores.append(_scores(case, column, name))
            except InputError as error:
                notes.append(f"study {case.truth.study}, {column}: {error}; it is in no figure")
        if scores:
            numbers += _means(column.replace("_", " "), scores)
    return numbers, notes


def _scores(case: Case, column: str, name: str) -> MaskScores:
    """Compare on the grid of the result; the reference is read at its voxels."""
    folder = None if case.result is None else case.result.folder
    if folder is None:
        msg = "there is no result folder"
        raise InputError(msg)
    found, reference = _load(folder / "maps" / f"{name}.nii.gz"), _load(case.truth.masks[column])
    mask = Volume(reference.array > 0, reference.grid, Quantity.MASK)
    same = resample(mask, found.grid, order=0, fill=0.0).array > 0
    outside = mask.array.sum() * mask.grid.voxel_ml - same.sum() * found.grid.voxel_ml
    if same.sum() == 0 and outside > 0.0:
        msg = "the mask lies outside the map: is it of this study?"
        raise InputError(msg)
    return compare_masks(found.array >= _CUT.get(column, 0.5), same, found.grid, vessels=column == "artery_mask")


def _load(path: Path) -> Volume:
    try:
        image = nibabel.load(path)
        values = np.asarray(image.get_fdata(dtype=np.float32))
        grid = from_nibabel_ras(image.affine, image.shape)
    except (OSError, ValueError, ImageFileError) as error:
        msg = f"{path.name} cannot be read as a NIfTI volume ({type(error).__name__})"
        raise InputError(msg) from error
    if values.ndim != 3:
        msg = f"{path.name} has {values.ndim} axes, 3 are needed"
        raise InputError(msg)
    return Volume(values.transpose(2, 1, 0), grid, Quantity.PROBABILITY)


def _means(what: str, scores: Sequence[MaskScores]) -> list[Number]:
    figures = {
        "Dice": [one.dice for one in scores],
        "clDice": [one.center_line_dice for one in scores if not np.isnan(one.center_line_dice)],
        "HD95, mm": [one.hausdorff95_mm for one in scores if not np.isnan(one.hausdorff95_mm)],
        "volume error, mL": [one.found_ml - one.true_ml for one in scores],
        "absolute volume error, mL": [abs(one.found_ml - one.true_ml) for one in scores],
    }
    return [
        Number(CHAPTER, name, _mean(values), "mean, bootstrap over cases", what) for name, values in figures.items() if values
    ]


def _mean(values: Sequence[float]) -> Estimate:
    x = np.asarray(values, dtype=np.float64)
    if not x.size:
        return Estimate(np.nan, np.nan, np.nan, 0)
    return Estimate(float(x.mean()), *interval(lambda index: float(x[index].mean()), len(x)), len(x))


def volume_pairs(cases: Sequence[Case], name: str) -> tuple[list[float], list[float]]:
    """Volumes that were found and those of the table, of the cases that have both."""
    pairs = [
        (case.result.volumes_ml[name], case.truth.volumes_ml[name])
        for case in cases
        if case.result is not None and name in case.result.volumes_ml and name in case.truth.volumes_ml
    ]
    return [found for found, _ in pairs], [reference for _, reference in pairs]


def volume_numbers(cases: Sequence[Case]) -> list[Number]:
    """Limits of agreement of every volume that both sides have, and how many results lack one."""
    numbers = []
    for name in VOLUMES:
        asked = [case for case in cases if name in case.truth.volumes_ml]
        found, reference = volume_pairs(cases, name)
        if not asked:
            continue
        limits, what = agree(found, reference), name.removesuffix("_ml")
        method = "Bland and Altman"
        numbers += [
            Number(CHAPTER, "bias, mL", limits.bias, method, what),
            Number(CHAPTER, "lower limit of agreement, mL", limits.lower, method, what),
            Number(CHAPTER, "upper limit of agreement, mL", limits.upper, method, what),
            Number(CHAPTER, "absolute error, mL", _mean(np.abs(np.subtract(found, reference)).tolist()),
                   "mean, bootstrap over cases", what),
            Number(CHAPTER, "volume not given", Estimate((len(asked) - len(found)) / len(asked), np.nan, np.nan, len(asked),
                                                          len(asked) - len(found)), "", what),
        ]  # fmt: skip
    return numbers
