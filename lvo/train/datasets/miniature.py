"""A small ISLES 2024 of synthetic heads: the layout of the release, invented content, to try every step without data.

As in the release, the angiogram comes thin (raw data) and once more on thick slices after an unknown move, and the labels fit
the second only. The truth is that of `lvo.synth`, cut back to the circle of Willis.
"""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from lvo.core.anatomy import VESSEL_CLASSES
from lvo.core.grid import Grid
from lvo.core.volume import AIR_HU, Quantity, Volume
from lvo.errors import OutputError
from lvo.image.resample import resample
from lvo.nifti.volumes import write_nifti
from lvo.synth.head import Head
from lvo.synth.render import CLOT_CLASS, class_labels
from lvo.synth.study import StudySpec, SyntheticStudy, parse_occlusion

__all__ = ["OCCLUSIONS", "write_isles24"]

OCCLUSIONS = ("left-M1", "none", "right-M1", "left-ICA-T", "none", "right-ICA-T", "left-M1", "none")
"""Of the subjects in turn; the release itself has hardly any without."""

FIRST_SEED = 300
"""Below 1000: nothing that is shipped has learnt from these heads."""
_THICK_MM = 2.4
_CIRCLE_MM = 42.0
"""Labels reach this far from the middle of the circle of Willis: M1 and the first M2, A2, P2."""
_CENTRE_ATLAS_MM = np.array([0.0, 0.0, -10.0])
_CODES = {"ICA": (4, 6), "MCA": (5, 7), "ACA": (11, 12), "PCA": (2, 3), "VB": (1, 1)}
"""Right and left code of a tree, as TopCoW has them."""


def write_isles24(root: Path, *, subjects: int = 4) -> None:
    """Write the miniature.

    Args:
        root: folder to make.
        subjects: how many; the same number gives the same files.

    Raises:
        OutputError: the folder holds something already, or cannot be written.
    """
    if root.exists() and any(root.iterdir()):
        msg = f"{root} is not empty; give a new folder, nothing is overwritten"
        raise OutputError(msg)
    try:
        for number in range(1, subjects + 1):
            _subject(root, number)
    except OSError as error:
        msg = f"{root} cannot be written: {error.strerror}"
        raise OutputError(msg) from error


def _subject(root: Path, number: int) -> None:
    """One subject: its angiogram twice, its masks, its line of the phenotype."""
    occlusion = OCCLUSIONS[(number - 1) % len(OCCLUSIONS)]
    drawn = parse_occlusion(occlusion)
    study = SyntheticStudy(StudySpec(FIRST_SEED + number, drawn, collateral_grade=1 + number % 2, size="small"))
    native, move = study.cta(), _move(number, study.cta_grid)
    thick = _thick(study.cta_grid)
    behind = Grid(thick.shape_kji, move @ thick.lps_from_kji)  # where the copy's voxels lie in the native scan
    copy = Volume(np.rint(resample(native, behind, fill=AIR_HU).array).astype(np.int16), thick, Quantity.HU)
    classes = class_labels(study.head, behind).array
    name = f"sub-stroke{number:04d}"
    derived = root / "derivatives" / name / "ses-01"
    stem = f"{name}_ses-01_space-ncct"
    write_nifti(native, root / "raw_data" / name / "ses-01" / f"{name}_ses-01_cta.nii.gz")
    write_nifti(copy, derived / f"{stem}_cta.nii.gz")
    write_nifti(Volume(_circle(classes, behind, study.head), thick, Quantity.LABEL), derived / f"{stem}_cow-msk.nii.gz")
    write_nifti(Volume(classes == CLOT_CLASS, thick, Quantity.MASK), derived / f"{stem}_lvo-msk.nii.gz")
    table = root / "phenotype" / name / "ses-01" / f"{name}_ses-01_demographic_baseline.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w", newline="", encoding="utf-8") as stream:
        header = ["Age", "Sex", "NIHSS at admission", "Center"]
        csv.writer(stream).writerows([header, [60 + number, "F", "nan", 1 + number % 2]])


def _move(number: int, grid: Grid) -> NDArray[np.float64]:
    """(4, 4) copy to native: a few degrees about the middle, a few millimetres."""
    rng = np.random.default_rng((number, 24))
    move = np.eye(4)
    move[:3, :3] = Rotation.from_euler("xyz", rng.uniform(-4, 4, 3), degrees=True).as_matrix()
    middle = grid.center_lps_mm
    move[:3, 3] = middle - move[:3, :3] @ middle + rng.uniform(-6, 6, 3)
    return move


def _thick(grid: Grid) -> Grid:
    """The same space on thicker slices."""
    spacing = grid.spacing_kji_mm
    k, j, i = grid.shape_kji
    thick = int(k * float(spacing[0]) / _THICK_MM)
    return Grid.from_axes(
        (thick, j, i), (_THICK_MM, float(spacing[1]), float(spacing[2])), origin_lps_mm=grid.to_lps_mm((0, 0, 0))
    )


def _circle(classes: NDArray[np.uint8], grid: Grid, head: Head) -> NDArray[np.uint8]:
    """Codes of TopCoW near the circle of Willis; further out, and in veins, nobody labelled anything."""
    out = np.zeros(classes.shape, dtype=np.uint8)
    for tree, codes in _CODES.items():
        index = np.argwhere(classes == VESSEL_CLASSES.index(tree))
        places = head.pose.to_atlas_mm(grid.to_lps_mm(index))
        near = np.linalg.norm(places - _CENTRE_ATLAS_MM, axis=1) < _CIRCLE_MM
        index, left = index[near], (places[near, 0] > 0.0).astype(int)
        out[tuple(index.T)] = np.array(codes, dtype=np.uint8)[left]
    return out
