"""Images of a head on any grid: CTA, plain CT, vessel labels, tissue, territories.

Anatomy is evaluated as signed distances on a coarse copy of the grid and sharpened on the grid itself; vessels are laid
in with exact partial volume; then the scanner blurs, averages the slice and adds noise. Slab by slab, so memory stays small.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lvo.core.anatomy import ARTERY_TREES, VESSEL_CLASSES
from lvo.core.grid import Grid
from lvo.core.volume import Quantity, Volume
from lvo.synth.field import upsample
from lvo.synth.head import BLOOD_HU, Head
from lvo.synth.scanner import Scanner
from lvo.synth.skull import SolidFields, solid_fields, tissue_fractions
from lvo.synth.tissue import template
from lvo.synth.tubes import Coverage, Tube, cover

__all__ = [
    "ARTERY", "CLOT", "CLOT_CLASS", "CSF", "GREY", "TERRITORY_CODES", "TREE_CODES", "UNSURE_CLASS", "VEIN", "VEIN_CLASS",
    "WHITE", "at_risk",
    "class_labels", "render_cta", "render_ncct",
    "territory_labels", "tissue_labels", "vessel_fractions", "vessel_labels",
]  # fmt: skip

Floats = NDArray[np.float32]

ARTERY: Final = 1
VEIN: Final = 2
CLOT: Final = 3
CSF: Final = 1
GREY: Final = 2
WHITE: Final = 3
TERRITORY_CODES: Final = {
    ("ACA", True): 1, ("MCA", True): 2, ("PCA", True): 3, ("VB", True): 4,
    ("ACA", False): 5, ("MCA", False): 6, ("PCA", False): 7, ("VB", False): 8,
}  # fmt: skip
"""Code of (territory, patient's left side)."""

TREE_CODES: Final = {tree: VESSEL_CLASSES.index(tree) for tree in ARTERY_TREES}
"""Class of an artery by its tree, either side: the side follows from the position."""
VEIN_CLASS: Final = VESSEL_CLASSES.index("vein")
CLOT_CLASS: Final = VESSEL_CLASSES.index("clot")
UNSURE_CLASS: Final = 255
"""Neither vessel nor background: the rim of a vessel, a branch finer than the voxels, a lumen with hardly any contrast."""
_RIM = 0.25
"""A voxel that a vessel fills by this much and not by half is its rim."""
_CLOT_PART = 0.3
_FAINT_HU, _CLEAR_HU = 30.0, 70.0
"""Enhancement: below the first a lumen looks like brain, from the second on it stands out of the noise."""

_TISSUE_MM = 1.0
"""Brain tissue is looked up this finely; the template has no more."""
_SOLID_MM = 1.7
"""Signed distances are smooth: worked out this coarsely, they still place surfaces to a fraction of it."""
_FINEST_SAMPLE_MM = 1.05
"""Voxels longer than this along an axis are averages of several samples."""
_CANAL_MARGIN_MM = 0.6
"""Soft tissue between the lumen and the bone of its canal."""
_SPOT = 0.3
"""Standard deviation of the spot one sample averages over, in sample distances: a box of width 1 has 0.29."""
_SLAB_SAMPLES = 12_000_000
_OPACIFIED = 0.3
"""Label 1 needs this fraction of the arterial contrast."""
_HALF = 0.5
"""A voxel belongs to a vessel when the vessel fills half of it."""
_NEIGHBOURS = 6

# HU: grey 37-41, white 25-32, CSF 0-12, + 3-8 parenchymal enhancement on CTA; muscle 50-70, fat -90; bone 300-2000.
_CSF_HU, _GREY_HU, _WHITE_HU = 8.0, 38.0, 29.0
_GREY_ENHANCEMENT_HU, _WHITE_ENHANCEMENT_HU = 6.0, 3.0
_MUSCLE_HU, _FAT_HU, _AIR_HU = 55.0, -95.0, -1000.0
_CORTEX_HU, _DIPLOE_HU = 1250.0, 480.0
_PLAQUE_HU = 800.0  # 130-1000
_TABLE_MM = 1.7
"""Depth of the compact table before the diploe begins."""
_HEADREST_HU = -150.0
_MIN_HU, _MAX_HU = -1024, 3071


def render_cta(head: Head, grid: Grid, scanner: Scanner) -> Volume:
    """CT angiogram of the head, (K, J, I) int16 HU."""
    return _render(head, grid, scanner, contrast=True)


def render_ncct(head: Head, grid: Grid, scanner: Scanner) -> Volume:
    """Plain CT of the head, (K, J, I) int16 HU; the clot is denser than blood."""
    return _render(head, grid, scanner, contrast=False)


def vessel_labels(head: Head, grid: Grid) -> Volume:
    """(K, J, I) uint8: 0 none, 1 opacified intracranial artery, 2 vein, 3 clot."""
    labels = np.zeros(int(np.prod(grid.shape_kji)), dtype=np.uint8)
    sigma = _SPOT * float(grid.spacing_kji_mm.max())
    for tubes, code in ((head.veins, VEIN), (_intracranial(head), ARTERY), (head.clots, CLOT)):
        found = cover(tubes, grid, sigma_mm=sigma, round_ends=code != CLOT)
        inside = found.fraction >= _HALF
        if code == ARTERY:
            inside &= found.filling > _OPACIFIED
        labels[found.flat_index[inside]] = code
    return Volume(labels.reshape(grid.shape_kji), grid, Quantity.LABEL)


def class_labels(head: Head, grid: Grid) -> Volume:
    """(K, J, I) uint8 codes of `VESSEL_CLASSES`, and `UNSURE_CLASS` where there is no saying.

    A vessel holds the voxels that it fills by half and that its contrast makes clear. A clot holds what it fills by a third,
    whatever lies beyond it.
    """
    labels = np.zeros(int(np.prod(grid.shape_kji)), dtype=np.uint8)
    sigma = _SPOT * float(grid.spacing_kji_mm.max())
    gain_hu = head.arterial_hu - BLOOD_HU
    arteries = _intracranial(head)
    codes = np.array([TREE_CODES[tube.territory] for tube in arteries], dtype=np.uint8)
    for tubes in (head.veins, arteries):
        found = cover(tubes, grid, sigma_mm=sigma)
        enhancement_hu = gain_hu * found.filling
        seen = (found.fraction >= _RIM) & (enhancement_hu >= _FAINT_HU)
        sure = (found.fraction >= _HALF) & (enhancement_hu >= _CLEAR_HU)
        code = codes[found.tube_index] if tubes is arteries else np.uint8(VEIN_CLASS)
        value = np.where(sure, code, np.uint8(UNSURE_CLASS))
        seen &= sure | (labels[found.flat_index] == 0)
        labels[found.flat_index[seen]] = value[seen]
    found = cover(head.clots, grid, sigma_mm=sigma, round_ends=False)
    labels[found.flat_index[found.fraction >= _CLOT_PART]] = CLOT_CLASS
    return Volume(labels.reshape(grid.shape_kji), grid, Quantity.LABEL)


def vessel_fractions(head: Head, grid: Grid) -> tuple[Volume, Volume]:
    """Part of every voxel that holds arterial blood (weighted by filling), and part that holds venous blood.

    Partial volume is right for any voxel size: long voxels are averages of samples. The arterial fraction counts 1 for an
    artery upstream, less where it fills by collaterals, 0 in the clot; the venous fraction is geometric.
    """
    sampled = _Sampling.of(grid)
    artery = np.zeros(sampled.fine.shape_kji, dtype=np.float32)
    vein = np.zeros(sampled.fine.shape_kji, dtype=np.float32)
    found = cover(_intracranial(head), sampled.fine, sigma_mm=sampled.sigma_mm)
    artery.ravel()[found.flat_index] = found.fraction * found.filling
    found = cover(head.veins, sampled.fine, sigma_mm=sampled.sigma_mm)
    vein.ravel()[found.flat_index] = found.fraction
    return (
        Volume(sampled.averaged(artery), grid, Quantity.PROBABILITY),
        Volume(sampled.averaged(vein), grid, Quantity.PROBABILITY),
    )


def tissue_labels(head: Head, grid: Grid) -> Volume:
    """(K, J, I) uint8: 0 outside the brain, 1 CSF, 2 grey, 3 white."""
    coarse = _Coarse.of(head, grid, _TISSUE_MM)
    inner = coarse.on(template().inner_mm.at(coarse.template_mm), grid)
    grey, white = (coarse.on(part, grid) for part in tissue_fractions(head.shape, coarse.template_mm))
    labels = np.where(grey + white < _HALF, CSF, np.where(grey > white, GREY, WHITE)).astype(np.uint8)
    labels[inner > 0] = 0
    return Volume(labels, grid, Quantity.LABEL)


def territory_labels(head: Head, grid: Grid) -> Volume:
    """(K, J, I) uint8: `TERRITORY_CODES` of the artery that feeds the nearest brain point, 0 outside the brain."""
    data = head.territories
    codes = np.array([TERRITORY_CODES[str(name), bool(left)] for name, left in zip(data.territory, data.left, strict=True)])
    labels = np.zeros(grid.shape_kji, dtype=np.uint8)
    inside = tissue_labels(head, grid).array > 0
    points = grid.to_lps_mm(np.argwhere(inside))
    _, nearest = cKDTree(data.points_lps_mm).query(points)
    labels[inside] = codes[nearest]
    return Volume(labels, grid, Quantity.LABEL)


def at_risk(head: Head, grid: Grid) -> Volume:
    """(K, J, I) float32: part of the tissue's supply that the occlusion cuts off, 0 to 1, 0 outside the brain.

    The nearest brain points vote with the inverse square of their distance.
    """
    risk = np.zeros(grid.shape_kji, dtype=np.float32)
    data = head.territories
    if data.at_risk.any():
        inside = tissue_labels(head, grid).array > 0
        points = grid.to_lps_mm(np.argwhere(inside))
        found = cKDTree(data.points_lps_mm).query(points, k=_NEIGHBOURS)
        distance, nearest = np.asarray(found[0]), np.asarray(found[1])
        weight = 1.0 / (distance**2 + 4.0)
        risk[inside] = (weight * data.at_risk[nearest]).sum(axis=1) / weight.sum(axis=1)
    return Volume(risk, grid, Quantity.PROBABILITY)


def _intracranial(head: Head) -> tuple[Tube, ...]:
    return tuple(tube for tube in head.arteries if tube.intracranial)


@dataclass(frozen=True, slots=True, eq=False)
class _Sampling:
    """A grid whose long voxels are divided, and the way back."""

    grid: Grid
    fine: Grid
    factor: tuple[int, int, int]

    @classmethod
    def of(cls, grid: Grid) -> "_Sampling":
        factor = np.ceil(grid.spacing_kji_mm / _FINEST_SAMPLE_MM).astype(int)
        affine = grid.lps_from_kji.copy()
        affine[:3, :3] = affine[:3, :3] / factor
        affine[:3, 3] = grid.to_lps_mm((1.0 / factor - 1.0) / 2.0)
        k, j, i = (int(n) for n in np.array(grid.shape_kji) * factor)
        return cls(grid, Grid((k, j, i), affine), (int(factor[0]), int(factor[1]), int(factor[2])))

    @property
    def sigma_mm(self) -> float:
        """Spot of one sample."""
        return _SPOT * float(self.fine.spacing_kji_mm.max())

    def averaged(self, values: Floats) -> Floats:
        """Average samples to voxels."""
        if self.factor == (1, 1, 1):
            return values
        k, j, i = (n // f for n, f in zip(values.shape, self.factor, strict=True))
        shaped = values.reshape(k, self.factor[0], j, self.factor[1], i, self.factor[2])
        return np.asarray(shaped.mean(axis=(1, 3, 5)), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Coarse:
    """A coarse copy of a grid, aligned with it.

    Args:
        points_lps_mm: (K, J, I, 3) float32 patient positions.
        template_mm: (K, J, I, 3) float32 template positions.
        step_kji: its spacing in voxels of the grid.
    """

    points_lps_mm: Floats
    template_mm: Floats
    step_kji: NDArray[np.float64]

    @classmethod
    def of(cls, head: Head, grid: Grid, step_mm: float) -> "_Coarse":
        """Cover the grid with points every `step_mm`, or every voxel where voxels are larger."""
        step = np.maximum(step_mm / grid.spacing_kji_mm, 1.0)
        shape = np.ceil((np.array(grid.shape_kji) - 1) / step).astype(int) + 1
        index = np.stack(np.meshgrid(*[np.arange(n) * s for n, s in zip(shape, step, strict=True)], indexing="ij"), axis=-1)
        points_lps = grid.to_lps_mm(index)
        atlas = head.pose.to_atlas_mm(points_lps).astype(np.float32)
        return cls(points_lps.astype(np.float32), atlas + _displacement(head, atlas), step)

    def on(self, values: Floats, grid: Grid, slices: range | None = None) -> Floats:
        """Interpolate a field on the coarse copy to slices of the grid."""
        wanted = range(grid.shape_kji[0]) if slices is None else slices
        index = (
            np.arange(wanted.start, wanted.stop) / self.step_kji[0],
            np.arange(grid.shape_kji[1]) / self.step_kji[1],
            np.arange(grid.shape_kji[2]) / self.step_kji[2],
        )
        return upsample(values, index)


@dataclass(frozen=True, slots=True, eq=False)
class _Anatomy:
    """Tissue and solid shapes of a head near a grid."""

    grid: Grid
    tissue: _Coarse
    grey: Floats
    white: Floats
    solid: _Coarse
    fields: SolidFields
    headrest: Floats

    @classmethod
    def of(cls, head: Head, grid: Grid) -> "_Anatomy":
        """Evaluate a head."""
        tissue, solid = _Coarse.of(head, grid, _TISSUE_MM), _Coarse.of(head, grid, _SOLID_MM)
        grey, white = tissue_fractions(head.shape, tissue.template_mm)
        canals = tuple(
            (head.template_mm(tube.points_lps_mm), float(tube.radius_mm.mean()) + _CANAL_MARGIN_MM)
            for tube in head.arteries
            if tube.name in {"ICA", "VA"}
        )
        fields = solid_fields(head.shape, solid.template_mm, canals)
        return cls(grid, tissue, grey, white, solid, fields, _headrest_mm(head, solid.points_lps_mm))


def _displacement(head: Head, atlas: Floats) -> Floats:
    """Atlas to template displacement at (K, J, I, 3) points: worked out on every sixth, interpolated between."""
    every = 6
    coarse = atlas[::every, ::every, ::every].astype(np.float64)
    moved = (head.warp.undone(coarse) - coarse).astype(np.float32)
    index = tuple(np.arange(n) / every for n in atlas.shape[:3])
    edge = tuple((0, 0) if (n - 1) % every == 0 else (0, 1) for n in atlas.shape[:3])
    if any(pad != (0, 0) for pad in edge):  # extrapolate one step so that the border is inside
        moved = np.pad(moved, (*edge, (0, 0)), mode="reflect", reflect_type="odd") if min(moved.shape[:3]) > 1 else moved
    return np.stack([upsample(moved[..., axis], index) for axis in range(3)], axis=-1)


def _headrest_mm(head: Head, points_lps: Floats) -> Floats:
    """Signed distance to the headrest's shell, an arc behind the head, open in front; it does not turn with the head."""
    center = head.pose.to_lps_mm((0.0, 25.0, 0.0))
    radius = 118.0
    distance = np.hypot(points_lps[..., 0] - center[0], points_lps[..., 1] - center[1] - 8.0) - radius
    front = 40.0 - (points_lps[..., 1] - center[1])
    return np.asarray(np.maximum(np.abs(distance) - 1.2, front), dtype=np.float32)


def _render(head: Head, grid: Grid, scanner: Scanner, *, contrast: bool) -> Volume:
    """Draw the head slab by slab."""
    sampling = _Sampling.of(grid)
    anatomy = _Anatomy.of(head, sampling.fine)
    layers = _layers(head, sampling, contrast=contrast, bone=scanner.bone)
    image = np.empty(grid.shape_kji, dtype=np.int16)
    for slices, halo in _slabs(sampling, scanner):
        hu = _tissue_hu(anatomy, halo, scanner, contrast=contrast)
        for found, lumen_hu in layers:
            _lay_in(hu, found, lumen_hu, sampling.fine, halo)
        hu = scanner.blurred(hu, sampling.fine.spacing_kji_mm)
        factor = sampling.factor[0]
        inner = hu[slices.start * factor - halo.start : slices.stop * factor - halo.start]
        voxels = sampling.averaged(inner)
        if scanner.noise_sd_hu > 0:
            voxels = voxels + scanner.noise((grid.shape_kji[1], grid.shape_kji[2]), slices, grid.spacing_kji_mm)
        image[slices.start : slices.stop] = np.clip(np.rint(voxels), _MIN_HU, _MAX_HU)
    return Volume(image, grid, Quantity.HU)


def _slabs(sampling: _Sampling, scanner: Scanner) -> Iterator[tuple[range, range]]:
    """Slices of the grid, and the samples they need with a margin for the blur."""
    n_k, n_j, n_i = sampling.fine.shape_kji
    factor = sampling.factor[0]
    depth = max(_SLAB_SAMPLES // (n_j * n_i * factor), 1)
    margin = int(np.ceil(3.0 * scanner.psf_fwhm_mm / sampling.fine.spacing_kji_mm[0])) + 1
    edges = [*range(0, sampling.grid.shape_kji[0], depth), sampling.grid.shape_kji[0]]
    for start, stop in pairwise(edges):
        yield range(start, stop), range(max(start * factor - margin, 0), min(stop * factor + margin, n_k))


def _layers(head: Head, sampling: _Sampling, *, contrast: bool, bone: float) -> list[tuple[Coverage, Floats]]:
    """Vessels in the order they are laid in, with the attenuation of their lumen."""
    gain = (head.arterial_hu - BLOOD_HU) if contrast else 0.0
    layers = []
    for tubes in (head.veins, head.arteries):
        found = cover(tubes, sampling.fine, sigma_mm=sampling.sigma_mm)
        layers.append((found, (BLOOD_HU + gain * found.filling).astype(np.float32)))
    found = cover(head.plaques, sampling.fine, sigma_mm=sampling.sigma_mm)
    layers.append((found, np.full(len(found.flat_index), _PLAQUE_HU * bone, dtype=np.float32)))
    found = cover(head.clots, sampling.fine, sigma_mm=sampling.sigma_mm, round_ends=False)
    layers.append((found, np.full(len(found.flat_index), head.clot_hu, dtype=np.float32)))
    return layers


def _lay_in(hu: Floats, found: Coverage, lumen_hu: Floats, grid: Grid, halo: range) -> None:
    """Blend vessels into samples, in place."""
    plane = grid.shape_kji[1] * grid.shape_kji[2]
    low, high = np.searchsorted(found.flat_index, (halo.start * plane, halo.stop * plane))
    index = found.flat_index[low:high] - halo.start * plane
    flat = hu.reshape(-1)
    flat[index] += found.fraction[low:high] * (lumen_hu[low:high] - flat[index])


def _tissue_hu(anatomy: _Anatomy, slices: range, scanner: Scanner, *, contrast: bool) -> Floats:
    """Everything but vessels, before blur: (K, J, I) HU of the asked slices."""
    width = np.float32(anatomy.grid.spacing_kji_mm.max())

    def part(distance: Floats) -> Floats:
        return np.asarray(np.clip(np.float32(0.5) - distance / width, 0.0, 1.0), dtype=np.float32)

    def field(values: Floats) -> Floats:
        return anatomy.solid.on(values, anatomy.grid, slices)

    fields = anatomy.fields
    grey_hu = _GREY_HU + _GREY_ENHANCEMENT_HU * contrast - _CSF_HU
    white_hu = _WHITE_HU + _WHITE_ENHANCEMENT_HU * contrast - _CSF_HU
    brain = anatomy.tissue.on(anatomy.grey, anatomy.grid, slices) * np.float32(grey_hu)
    brain += anatomy.tissue.on(anatomy.white, anatomy.grid, slices) * np.float32(white_hu)
    brain += np.float32(_CSF_HU)
    inner = field(fields.inner)
    brain += np.float32(scanner.cupping_hu) * np.exp(np.clip(inner, -90.0, 0.0) / np.float32(12.0))
    hu = np.float32(_MUSCLE_HU) + np.float32(_FAT_HU - _MUSCLE_HU) * field(fields.fat)
    hu += part(inner) * (brain - hu)
    bone = field(fields.bone)
    depth = np.clip((-bone - np.float32(_TABLE_MM)) / np.float32(0.8), 0.0, 1.0)
    bone_hu = np.float32(_CORTEX_HU) + depth * (np.float32(_DIPLOE_HU - _CORTEX_HU) + np.float32(220.0) * field(fields.texture))
    hu += part(bone) * (np.float32(scanner.bone) * bone_hu - hu)
    hu += part(field(fields.cells)) * (np.float32(_AIR_HU) - hu)
    outside = np.full_like(hu, _AIR_HU)
    if scanner.headrest:
        outside += part(field(anatomy.headrest)) * np.float32(_HEADREST_HU - _AIR_HU)
    return np.asarray(outside + part(field(fields.skin)) * (hu - outside), dtype=np.float32)
