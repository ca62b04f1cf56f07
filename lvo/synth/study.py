"""A whole synthetic stroke study: which series at which geometry, drawn one by one, and the truth beside them."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lvo.core.grid import Grid
from lvo.core.report import Side, Site
from lvo.core.volume import Quantity, TimeSeries, Volume
from lvo.errors import UsageError
from lvo.synth.ctp import draw_bolus, perfusion_truth, render_ctp
from lvo.synth.head import Head, HeadSpec, Occlusion, make_head
from lvo.synth.render import render_cta, render_ncct
from lvo.synth.scanner import Scanner

__all__ = ["SIZES", "Size", "StudySpec", "StudyTruth", "SyntheticStudy", "localizer", "parse_occlusion"]

Size = Literal["full", "small"]

_PAIRED = (Site.ICA, Site.ICA_T, Site.M1, Site.M2, Site.A1, Site.A2, Site.P1, Site.VA)
_MIDDLE_ATLAS_MM = (0.0, 18.0)
_SLAB_Z_ATLAS_MM = 18.0
"""The 80 mm perfusion slab reaches from the circle of Willis to the upper cortex: the middle cerebral territory."""
_CTA_SCANNER = Scanner(noise_sd_hu=11.0)
_NCCT_SCANNER = Scanner(noise_sd_hu=3.5, psf_fwhm_mm=1.0, edge_enhancement=0.0)
_CTP_SCANNER = Scanner(noise_sd_hu=5.0, psf_fwhm_mm=1.2, edge_enhancement=0.0, noise_grain_mm=1.0)
"""Thick slices are less noisy than thin ones; perfusion is scanned at low dose with a smooth kernel."""
_LOCALIZER_GAIN, _LOCALIZER_OFFSET_HU = 2.0, 600.0
"""Brings the mean along a ray, half of it air, into a window that shows bone and soft tissue."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Samples of one scan: shape, spacing, and the height (atlas z) of its middle."""

    shape_kji: tuple[int, int, int]
    spacing_kji_mm: tuple[float, float, float]
    center_z_atlas_mm: float


@dataclass(frozen=True, slots=True)
class StudySize:
    """Geometry of all scans of a study.

    Args:
        cta: thin slices of head and upper neck.
        ctp: a slab of thick slices.
        ncct: thick slices of the head.
        n_frames: frames of the perfusion scan.
        frame_s: seconds between them.
    """

    cta: Matrix
    ctp: Matrix
    ncct: Matrix
    n_frames: int
    frame_s: float


SIZES: dict[Size, StudySize] = {
    "full": StudySize(
        cta=Matrix((300, 512, 512), (0.625, 0.45, 0.45), 2.0),
        ctp=Matrix((16, 256, 256), (5.0, 0.9, 0.9), _SLAB_Z_ATLAS_MM),
        ncct=Matrix((32, 512, 512), (5.0, 0.45, 0.45), 14.0),
        n_frames=45,
        frame_s=1.5,
    ),
    "small": StudySize(
        cta=Matrix((128, 192, 192), (1.2, 1.2, 1.2), 17.0),
        ctp=Matrix((16, 96, 96), (5.0, 2.4, 2.4), _SLAB_Z_ATLAS_MM),
        ncct=Matrix((32, 192, 192), (5.0, 1.2, 1.2), 14.0),
        n_frames=30,
        frame_s=2.0,
    ),
}
"""Full is what scanners deliver; small is for tests."""


@dataclass(frozen=True, slots=True)
class StudySpec:
    """What is asked of a study; everything else follows from the seed.

    Args:
        seed: of anatomy, bolus and noise.
        occlusion: None for a healthy head.
        collateral_grade: 0 to 3.
        rotation_deg: of the head about the patient's x, y and z axis.
        shift_mm: of the head, LPS; the scans stay centred on it.
        size: "full" or "small".
    """

    seed: int = 1
    occlusion: Occlusion | None = None
    collateral_grade: int = 2
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    size: Size = "full"

    @property
    def name(self) -> str:
        """Text that tells this study from every other."""
        parts = (
            self.seed,
            format_occlusion(self.occlusion),
            self.collateral_grade,
            self.rotation_deg,
            self.shift_mm,
            self.size,
        )
        return " ".join(map(str, parts))


@dataclass(frozen=True, slots=True)
class StudyTruth:
    """What a reader should find; positions in LPS mm, volumes within the perfusion slab.

    Args:
        occlusion: as asked, e.g. "left-M1" or "none".
        side: the patient's side, None in a healthy head.
        site: the most proximal interrupted artery, None in a healthy head.
        clot_center_lps_mm: middle of the clot.
        cutoff_lps_mm: where the artery stops.
        collateral_grade: 0 to 3.
        core_ml: brain with CBF < 30 % of normal within the hypoperfusion.
        hypoperfusion_ml: brain with Tmax (delay + MTT / 2) > 6 s.
        arterial_hu: attenuation of an open artery on the CTA.
        bolus_hu: peak enhancement of an open artery on the CTP.
        bolus_arrival_s: when it arrives, after the first CTP image.
        atlas_from_lps: (4, 4) pose of the head.
    """

    occlusion: str
    side: Side | None
    site: Site | None
    clot_center_lps_mm: tuple[float, float, float] | None
    cutoff_lps_mm: tuple[float, float, float] | None
    collateral_grade: int
    core_ml: float
    hypoperfusion_ml: float
    arterial_hu: float
    bolus_hu: float
    bolus_arrival_s: float
    atlas_from_lps: tuple[tuple[float, ...], ...]


class SyntheticStudy:
    """The scans of one head, drawn when they are asked for.

    Args:
        spec: what is asked.

    Raises:
        UsageError: the head cannot be drawn so, e.g. it lacks the artery that is to be occluded.
    """

    def __init__(self, spec: StudySpec) -> None:
        self.spec = spec
        try:
            self.head: Head = make_head(
                HeadSpec(
                    seed=spec.seed,
                    occlusion=spec.occlusion,
                    collateral_grade=spec.collateral_grade,
                    rotation_deg=spec.rotation_deg,
                    shift_mm=spec.shift_mm,
                )
            )
        except ValueError as error:
            raise UsageError(str(error)) from error
        size = SIZES[spec.size]
        self.cta_grid, self.ctp_grid, self.ncct_grid = (self._grid(matrix) for matrix in (size.cta, size.ctp, size.ncct))
        self.ctp_times_s: NDArray[np.float64] = np.repeat(
            np.arange(size.n_frames)[:, None] * size.frame_s, size.ctp.shape_kji[0], axis=1
        )

    def cta(self) -> Volume:
        """CT angiogram."""
        return render_cta(self.head, self.cta_grid, self._scanner(_CTA_SCANNER, 1))

    def ncct(self) -> Volume:
        """Plain CT."""
        return render_ncct(self.head, self.ncct_grid, self._scanner(_NCCT_SCANNER, 2))

    def ctp(self) -> TimeSeries:
        """CT perfusion."""
        return render_ctp(self.head, self.ctp_grid, self.ctp_times_s, _CTP_SCANNER, self.spec.seed)

    def truth(self) -> StudyTruth:
        """What a reader should find."""
        head, perfusion, bolus = self.head, perfusion_truth(self.head, self.ctp_grid), draw_bolus(self.head)
        return StudyTruth(
            occlusion=format_occlusion(self.spec.occlusion),
            side=head.truth.side,
            site=head.truth.site,
            clot_center_lps_mm=_rounded(head.truth.clot_center_lps_mm),
            cutoff_lps_mm=_rounded(head.truth.cutoff_lps_mm),
            collateral_grade=self.spec.collateral_grade,
            core_ml=round(perfusion.core_ml, 1),
            hypoperfusion_ml=round(perfusion.hypoperfusion_ml, 1),
            arterial_hu=round(head.arterial_hu, 1),
            bolus_hu=round(bolus.peak_hu, 1),
            bolus_arrival_s=round(bolus.arrival_s, 2),
            atlas_from_lps=tuple(tuple(round(float(x), 6) for x in row) for row in head.pose.atlas_from_lps),
        )

    def _grid(self, matrix: Matrix) -> Grid:
        """An axial grid centred on the head, as it is planned on the localizer."""
        spacing = np.array(matrix.spacing_kji_mm)
        center = self.head.pose.to_lps_mm((*_MIDDLE_ATLAS_MM, matrix.center_z_atlas_mm))
        half_kji_mm = (np.array(matrix.shape_kji) - 1) * spacing / 2.0
        return Grid.from_axes(matrix.shape_kji, spacing, origin_lps_mm=np.round(center - half_kji_mm[::-1], 1))

    def _scanner(self, scanner: Scanner, number: int) -> Scanner:
        """The scanner with noise of its own."""
        return replace(scanner, seed=self.spec.seed * 10 + number)


def parse_occlusion(text: str) -> Occlusion | None:
    """Read "left-M1", "right-ICA-T", "BA" or "none".

    Raises:
        UsageError: the text names no occlusion that can be drawn; the message lists those that can.
    """
    allowed: dict[str, Occlusion | None] = {"none": None, "BA": Occlusion(Side.MIDLINE, Site.BA)}
    allowed |= {f"{side}-{site}": Occlusion(side, site) for side in (Side.LEFT, Side.RIGHT) for site in _PAIRED}
    for name, occlusion in allowed.items():
        if text.lower() == name.lower():
            return occlusion
    msg = f"there is no occlusion {text!r}; allowed are none, BA, and left- or right- with {', '.join(_PAIRED)}"
    raise UsageError(msg)


def format_occlusion(occlusion: Occlusion | None) -> str:
    """The inverse of `parse_occlusion`."""
    if occlusion is None:
        return "none"
    return str(occlusion.site) if occlusion.side is Side.MIDLINE else f"{occlusion.side}-{occlusion.site}"


def localizer(cta: Volume) -> Volume:
    """Coronal projection of a volume, feet at the bottom: one image as scanners make to plan the others."""
    n_k, n_j, n_i = cta.grid.shape_kji
    to_back, to_head, to_left = cta.grid.lps_from_kji[:3, 1], cta.grid.lps_from_kji[:3, 0], cta.grid.lps_from_kji[:3, 2]
    affine = np.eye(4)
    affine[:3, :3] = np.stack([to_back, -to_head, to_left], axis=1)
    affine[:3, 3] = cta.grid.to_lps_mm((n_k - 1, (n_j - 1) / 2.0, 0))
    projection = cta.array.mean(axis=1, dtype=np.float32)[::-1] + np.float32(_LOCALIZER_OFFSET_HU)
    return Volume(projection[None] * np.float32(_LOCALIZER_GAIN), Grid((1, n_k, n_i), affine), Quantity.HU)


def _rounded(point_lps_mm: tuple[float, float, float] | None) -> tuple[float, float, float] | None:
    """A position to a hundredth of a millimetre."""
    if point_lps_mm is None:
        return None
    x, y, z = (round(value, 2) for value in point_lps_mm)
    return x, y, z
