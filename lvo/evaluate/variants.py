"""The same case shown in another way: call and side should stay what they are."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from lvo.core.grid import Grid
from lvo.core.pose import HeadPose
from lvo.core.report import Side
from lvo.core.volume import Volume
from lvo.evaluate.records import Found, Position
from lvo.synth.cases import Case
from lvo.synth.cropped import ScannedCase, scan_case

__all__ = ["INVARIANCES", "MIRRORED", "WITHOUT_MIRROR", "mirrored", "mirrored_back", "scaled", "shown", "sliced", "turned"]

MIRRORED: Final = "mirrored"
WITHOUT_MIRROR: Final = "network without the mirrored pass"
"""Not another image: the same one, judged with `cta.mirrored` off."""

_SCALES = {"HU x 0.7": 0.7, "HU x 1.3": 1.3}
_SLICE_MM = 1.25
_SLICED: Final = "1.25 mm slices"
_TURN_DEG = 15.0
_TURNED: Final = "turned by 15 degrees"

INVARIANCES = (MIRRORED, *_SCALES, _SLICED, _TURNED)
"""What should change nothing."""

_TISSUE_HU = 40.0
"""Grey matter and blood without contrast: enhancement is counted from here."""
_HIGHEST_HU = 3071.0


@dataclass(frozen=True, slots=True)
class Shown:
    """What is judged instead of the case as it is; `scanned` carries the truth that belongs to it."""

    hu: Volume
    pose: HeadPose
    scanned: ScannedCase


def shown(variant: str, case: Case, scanned: ScannedCase) -> Shown:
    """The images of a variant of a case.

    Args:
        variant: one of INVARIANCES.
        case: the case.
        scanned: its scan as it is.

    Raises:
        KeyError: there is no such variant.
    """
    if variant == MIRRORED:
        return Shown(mirrored(scanned.hu, scanned.pose), scanned.pose, scanned)
    if variant in {_SLICED, _TURNED}:
        changed = sliced(case) if variant == _SLICED else turned(case)
        again = scan_case(changed, spacing_mm=float(scanned.hu.grid.spacing_kji_mm[0]))
        return Shown(again.hu, again.pose, again)
    return Shown(scaled(scanned.hu, _SCALES[variant]), scanned.pose, scanned)


def mirrored(hu: Volume, pose: HeadPose) -> Volume:
    """The head of the mirrored patient, in the same pose: reflected in the atlas plane x = 0."""
    n_i = hu.grid.shape_kji[2]
    flip = np.eye(4)
    flip[2, 2], flip[2, 3] = -1.0, n_i - 1.0
    affine = _reflection(pose) @ hu.grid.lps_from_kji @ flip
    return Volume(hu.array[:, :, ::-1], Grid(hu.grid.shape_kji, affine, hu.grid.frame_of_reference_uid), hu.quantity)


def mirrored_back(found: Found, pose: HeadPose) -> Found:
    """What was found on the mirrored head, carried to the head as it is."""
    swapped = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}
    point: Position | None = None
    if found.location_lps_mm is not None:
        x, y, z = (float(value) for value in (_reflection(pose) @ (*found.location_lps_mm, 1.0))[:3])
        point = (round(x, 1), round(y, 1), round(z, 1))
    side = None if found.side is None else swapped.get(found.side, found.side)
    return Found(call=found.call, probability=found.probability, side=side, site=found.site, location_lps_mm=point)


def scaled(hu: Volume, factor: float) -> Volume:
    """Everything denser than brain scaled about it: a stronger or weaker bolus, or another tube voltage."""
    array = hu.array.astype(np.float32)
    dense = array > _TISSUE_HU
    array[dense] = np.minimum(_TISSUE_HU + (array[dense] - _TISSUE_HU) * factor, _HIGHEST_HU)
    return Volume(np.rint(array).astype(np.int16), hu.grid, hu.quantity)


def sliced(case: Case) -> Case:
    """The case reconstructed in slices of 1.25 mm; thicker ones stay what they are."""
    apart_mm, row_mm, column_mm = case.scan.spacing_kji_mm
    return replace(case, scan=replace(case.scan, spacing_kji_mm=(max(apart_mm, _SLICE_MM), row_mm, column_mm)))


def turned(case: Case) -> Case:
    """The case scanned with the head turned: about x, y or z in turns, one way or the other."""
    rotation = list(case.head.rotation_deg)
    rotation[case.seed % 3] += _TURN_DEG if case.seed % 2 else -_TURN_DEG
    return replace(case, head=replace(case.head, rotation_deg=(rotation[0], rotation[1], rotation[2])))


def _reflection(pose: HeadPose) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """(4, 4) patient LPS to the mirrored patient's LPS."""
    return np.asarray(pose.lps_from_atlas @ np.diag([-1.0, 1.0, 1.0, 1.0]) @ pose.atlas_from_lps)
