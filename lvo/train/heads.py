"""Cases for training: a digital head, scanned and cropped as the pipeline would crop it, registration error included."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lvo.core.grid import Grid
from lvo.core.pose import HeadPose
from lvo.core.report import Side, Site
from lvo.core.volume import Quantity, Volume
from lvo.image.resample import resample
from lvo.infer.window import AIR_HU
from lvo.synth.acquire import Acquisition, acquire, heads_by_slice, scan_grid
from lvo.synth.cases import Case
from lvo.synth.head import Head, HeadSpec, Occlusion, make_head
from lvo.synth.render import VEIN_CLASS, class_labels, render_cta, vessel_labels
from lvo.synth.scanner import Scanner
from lvo.train.config import DataSettings
from lvo.train.tubes import ARTERY, BACKGROUND, VEIN

__all__ = ["HeadCase", "head_case", "render_head", "scan_case"]

Rng = np.random.Generator

_SITES = {
    None: 0.35, Site.ICA: 0.06, Site.ICA_T: 0.13, Site.M1: 0.20, Site.M2: 0.13,
    Site.A1: 0.02, Site.A2: 0.02, Site.P1: 0.03, Site.BA: 0.06,
}  # fmt: skip
"""How often each site is drawn: near the MR CLEAN Registry (ICA 22 %, M1 61 %, M2 16 %), rare sites raised, a third healthy."""

_GRADES = (0.1, 0.3, 0.4, 0.2)  # collaterals 0 to 3; MR CLEAN Registry about 6, 35, 40 and 19 %
_CLOT_MM = (5.0, 25.0)
_ARTERIAL_HU = (180.0, 550.0)  # wider than routine CTA, so that a weak or strong bolus is not new to the network
_NOISE_HU = (4.0, 24.0)
_PSF_FWHM_MM = (0.6, 1.4)
_GRAIN_MM = (0.3, 0.8)
_EDGE = (0.0, 0.4)
_TILT_DEG = 15.0
_BORDER_MM = 8.0


@dataclass(frozen=True, slots=True, eq=False)
class HeadCase:
    """One synthetic CT angiogram, cropped to the atlas box, with its truth.

    Args:
        hu: on the grid that the (wrong by the registration error) pose gives.
        label: 0 background, 1 artery, 2 vein on the same grid; a clot is background.
        pose: what a registration would have found.
        true_pose: what it should have found.
        side, site: of the occlusion, None without one.
        cutoff_lps_mm: where the occluded artery stops, None without one.
        collateral_grade: 0 to 3.
        classes: arteries by tree, veins and clot, of a scanned case; there `label` holds thin branches too.
    """

    hu: Volume
    label: Volume
    pose: HeadPose
    true_pose: HeadPose
    side: Side | None
    site: Site | None
    cutoff_lps_mm: tuple[float, float, float] | None
    collateral_grade: int
    classes: Volume | None = None


def head_case(seed: int, settings: DataSettings) -> HeadCase:
    """Draw a head, occlude it or not, scan it and crop it; the same seed and settings give the same bits."""
    rng = np.random.default_rng((seed, 4242))
    head = _draw_head(rng, seed)
    pose = _misregistered(rng, head.pose, settings)
    grid = pose.crop(settings.low_atlas_mm, settings.high_atlas_mm, spacing_mm=settings.spacing_mm)
    scanner = Scanner(
        noise_sd_hu=rng.uniform(*_NOISE_HU),
        psf_fwhm_mm=rng.uniform(*_PSF_FWHM_MM),
        noise_grain_mm=rng.uniform(*_GRAIN_MM),
        edge_enhancement=rng.uniform(*_EDGE),
        seed=seed,
    )
    vessels = vessel_labels(head, grid).array
    label = np.select([vessels == 1, vessels == 2], [ARTERY, VEIN], BACKGROUND).astype(np.uint8)
    truth = head.truth
    return HeadCase(
        hu=render_cta(head, grid, scanner),
        label=Volume(label, grid, Quantity.LABEL),
        pose=pose,
        true_pose=head.pose,
        side=truth.side,
        site=truth.site,
        cutoff_lps_mm=truth.cutoff_lps_mm,
        collateral_grade=head.spec.collateral_grade,
    )


def scan_case(case: Case, settings: DataSettings) -> HeadCase:
    """Scan a case on the scanner's own slices and crop it as the pipeline would, registration error included."""
    head = make_head(case.head)
    pose = _misregistered(np.random.default_rng((case.seed, 4343)), head.pose, settings)
    crop = pose.crop(settings.low_atlas_mm, settings.high_atlas_mm, spacing_mm=settings.spacing_mm)
    box = (_widened(settings.low_atlas_mm, -_BORDER_MM), _widened(settings.high_atlas_mm, _BORDER_MM))
    grid = scan_grid(head.pose, box, case.scan.spacing_kji_mm)
    hu = resample(acquire(head, grid, case.scan), crop, fill=AIR_HU)
    classes = _classes(head, crop, grid, case.scan)
    artery = (classes > 0) & (classes < VEIN_CLASS)
    label = np.select([classes == VEIN_CLASS, artery], [VEIN, ARTERY], BACKGROUND).astype(np.uint8)
    truth = head.truth
    return HeadCase(
        hu=Volume(np.rint(hu.array).astype(np.int16), crop, Quantity.HU),
        label=Volume(label, crop, Quantity.LABEL),
        pose=pose,
        true_pose=head.pose,
        side=truth.side,
        site=truth.site,
        cutoff_lps_mm=truth.cutoff_lps_mm,
        collateral_grade=case.head.collateral_grade,
        classes=Volume(classes, crop, Quantity.LABEL),
    )


def _classes(head: Head, crop: Grid, grid: Grid, scan: Acquisition) -> NDArray[np.uint8]:
    """Classes on the crop; after a movement they are where the slices show them."""
    parts = heads_by_slice(head, grid, scan)
    out = np.asarray(class_labels(parts[0][1], crop).array).copy()
    if len(parts) > 1:
        k = grid.to_kji(crop.to_lps_mm(np.moveaxis(np.indices(crop.shape_kji), 0, -1)))[..., 0]
        for slices, here in parts[1:]:
            later = k > slices.start - 0.5
            out[later] = class_labels(here, crop).array[later]
    return np.asarray(out, dtype=np.uint8)


def _widened(corner: tuple[float, float, float], by_mm: float) -> tuple[float, float, float]:
    """A corner of the atlas box moved along each axis: the registration error needs the room."""
    return corner[0] + by_mm, corner[1] + by_mm, corner[2] + by_mm


def render_head(seed: int, settings: DataSettings) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """(K, J, I) HU and labels of one seed."""
    case = head_case(seed, settings)
    return case.hu.array.astype(np.int16), case.label.array.astype(np.uint8)


def _draw_head(rng: Rng, seed: int) -> Head:
    """A head with the occlusion that was drawn; on the other side where this head lacks the artery, healthy where both do."""
    site = list(_SITES)[int(rng.choice(len(_SITES), p=list(_SITES.values())))]
    sides = [Side.MIDLINE] if site is Site.BA else list(rng.permutation([Side.LEFT, Side.RIGHT]))
    length_mm = float(rng.uniform(*_CLOT_MM))
    spec = HeadSpec(
        seed=seed,
        collateral_grade=int(rng.choice(4, p=_GRADES)),
        rotation_deg=(
            rng.uniform(-_TILT_DEG, _TILT_DEG),
            rng.uniform(-_TILT_DEG, _TILT_DEG),
            rng.uniform(-_TILT_DEG, _TILT_DEG),
        ),
        arterial_hu=float(rng.uniform(*_ARTERIAL_HU)),
    )
    if site is not None:
        for side in sides:
            try:
                return make_head(replace(spec, occlusion=Occlusion(Side(side), site, length_mm)))
            except ValueError:  # this person lacks the artery: a variant
                continue
    return make_head(spec)


def _misregistered(rng: Rng, pose: HeadPose, settings: DataSettings) -> HeadPose:
    """The pose with a registration error about the middle of the box: normal, cut at the largest error of the settings."""

    def draw(largest: float, n: int) -> NDArray[np.float64]:
        return np.clip(rng.normal(0.0, 0.5, n), -1.0, 1.0) * largest

    middle = (np.array(settings.low_atlas_mm) + np.array(settings.high_atlas_mm)) / 2.0
    error = np.eye(3) * (1.0 + float(draw(settings.scale, 1)[0]))
    for (first, second), angle in zip(((0, 1), (0, 2), (1, 2)), np.deg2rad(draw(settings.rotation_deg, 3)), strict=True):
        turn = np.eye(3)
        turn[[first, second], [first, second]] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        error = error @ turn
    affine = np.eye(4)
    affine[:3, :3] = error
    affine[:3, 3] = middle - error @ middle + draw(settings.shift_mm, 3)
    return HeadPose(affine @ pose.atlas_from_lps, 1.0)
