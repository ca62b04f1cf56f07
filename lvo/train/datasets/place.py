"""Where an occlusion lies, told from masks alone: side by the mid-line, site by the nearest named artery.

ISLES 2024 says neither, and its clot hardly ever overlaps the arteries, since what is blocked is not opacified; distance tells
(users of the release: 5 mm is sure, 15 mm the limit, and the basilar artery attracts whatever else is not labelled).
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lvo.core.anatomy import VESSEL_CLASSES
from lvo.core.volume import Volume
from lvo.train.datasets.labels import class_of, side_of
from lvo.train.datasets.record import Place

__all__ = ["mid_x_mm", "place_of_clot", "swapped_sides"]

FAR_MM = 15.0
"""A clot farther from every named artery lies beyond the circle of Willis: its site stays unknown."""
BASILAR_MM = 5.0
"""The basilar artery counts only this near."""
_AS_NEAR_MM = 1.0
"""Voxels do not tell such distances apart."""
MIDLINE_MM = 4.0
"""A clot nearer to the mid-line has no side."""
_BONE_HU = 300.0
_SITES: Mapping[str, str] = {"ICA": "ICA", "MCA": "M1", "ACA": "A1", "PCA": "P1", "VB": "BA"}
"""The site of `lvo.core.report.Site` that a tree of the circle of Willis stands for."""


def place_of_clot(clot: Volume, arteries: Volume | None, names: Mapping[int, str], image: Volume) -> tuple[Place, str]:
    """Side and site of a clot.

    Args:
        clot: its mask, not empty.
        arteries: label map, on any grid.
        names: of its codes.
        image: the scan in HU, for the mid-line where labels do not tell it.

    Returns:
        The patient's side; the site, empty where no named artery is near.
    """
    points = clot.grid.to_lps_mm(np.argwhere(clot.array))
    off_mm = float(points[:, 0].mean()) - mid_x_mm(arteries, names, image)
    side: Place = "midline" if abs(off_mm) < MIDLINE_MM else "left" if off_mm > 0.0 else "right"
    site = "" if arteries is None else _nearest(points, arteries, names)
    return ("midline" if site == "BA" else side), site


def _nearest(points_lps_mm: NDArray[np.float64], arteries: Volume, names: Mapping[int, str]) -> str:
    """Site of the named artery that comes nearest; a clot between two lies where they part.

    What joins the open ends of ICA and MCA is M1, and the carotid T where the ACA is as near.
    """
    tree = cKDTree(points_lps_mm)
    away_mm: dict[str, float] = {}
    for code, name in names.items():
        index = np.argwhere(arteries.array == code)
        site = _SITES.get(VESSEL_CLASSES[class_of(name)] if class_of(name) < len(VESSEL_CLASSES) else "", "")
        if index.size == 0 or not site:
            continue
        nearest_mm = float(np.min(tree.query(arteries.grid.to_lps_mm(index))[0]))
        if nearest_mm < (BASILAR_MM if site == "BA" else FAR_MM):
            away_mm[site] = min(nearest_mm, away_mm.get(site, FAR_MM))
    best_mm = min(away_mm.values(), default=FAR_MM)
    near = {site for site, mm in away_mm.items() if mm <= best_mm + _AS_NEAR_MM}
    if {"ICA", "M1"} <= near:
        return "ICA-T" if "A1" in near else "M1"
    return min(away_mm, key=away_mm.__getitem__, default="")


def mid_x_mm(arteries: Volume | None, names: Mapping[int, str], image: Volume) -> float:
    """LPS x of the mid-line: between the arteries of both sides, else the middle of the bone, else that of the image."""
    if arteries is not None:
        pairs = [(right + left) / 2.0 for right, left in _pairs(arteries, names)]
        if pairs:
            return float(np.median(pairs))
    bone = np.argwhere(np.asarray(image.array) > _BONE_HU)
    if len(bone):
        return float(np.median(image.grid.to_lps_mm(bone)[:, 0]))
    return float(image.grid.center_lps_mm[0])


def swapped_sides(arteries: Volume, names: Mapping[int, str]) -> tuple[int, int]:
    """How many pairs of arteries have their left one on the patient's right, and how many pairs there are."""
    pairs = _pairs(arteries, names)
    return sum(left <= right for right, left in pairs), len(pairs)


def _pairs(arteries: Volume, names: Mapping[int, str]) -> list[tuple[float, float]]:
    """(right, left) mean LPS x of every artery that is there on both sides."""
    found: dict[str, dict[str, float]] = {}
    for code, name in names.items():
        side = side_of(name)
        index = np.argwhere(arteries.array == code) if side else np.empty((0, 3))
        if len(index):
            found.setdefault(name.split("-", 1)[-1].lower(), {})[side] = float(arteries.grid.to_lps_mm(index)[:, 0].mean())
    return [(of["right"], of["left"]) for of in found.values() if len(of) == 2]
