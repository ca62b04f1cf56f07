"""Shared by the rooms: servers, where the real scans are, and a made-up report of a head with its left M1 stopped."""

import importlib.util
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from lvo.core.anatomy import VESSEL_CLASSES
from lvo.core.grid import Grid
from lvo.core.outcome import Assessed
from lvo.core.pose import HeadPose
from lvo.core.report import (
    Call,
    CollateralFilling,
    Criterion,
    CriterionCheck,
    CtaResult,
    Curve,
    CurveCandidate,
    Finding,
    HeadMotion,
    ModelUse,
    PerfusionResult,
    QualityNote,
    Report,
    SegmentRow,
    SegmentSide,
    SeriesRow,
    Severity,
    Side,
    Site,
    TerritoryVolume,
    TimeToPeakFallback,
)  # fmt: skip
from lvo.core.study import Role
from lvo.core.volume import Quantity, Volume

_SPEC = importlib.util.spec_from_file_location("lvo_tests_servers", Path(__file__).with_name("servers.py"))
sys.modules["lvo_tests_servers"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(sys.modules["lvo_tests_servers"])


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real scans; skips where it is absent."""
    folder = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real scans here")
    return folder


CENTER_LPS_MM = np.array([12.0, -31.0, 640.0])
"""Middle of the made-up head: off the origin, so that a lost offset shows."""

OBLIQUE_AXES_LPS = np.linalg.qr(np.array([[0.10, -0.25, 1.0], [-0.15, 1.0, 0.25], [1.0, 0.15, -0.06]]).T)[0].T
OBLIQUE_AXES_LPS = OBLIQUE_AXES_LPS * np.sign(np.diag(OBLIQUE_AXES_LPS[:, ::-1]))[:, None]
"""Unit directions of k, j, i: a head tilted about every axis."""

SITE_LPS_MM = tuple(np.add(CENTER_LPS_MM, (22.0, -5.0, -18.0)).tolist())
"""Where the left M1 stops."""


@dataclass(frozen=True)
class ReportPhantom:
    """A made-up head on any grid; positions are relative to its middle, x to the patient's left."""

    cta_shape_kji: tuple[int, int, int] = (30, 26, 23)
    cta_spacing_kji_mm: tuple[float, float, float] = (6.0, 7.7, 7.1)
    ctp_shape_kji: tuple[int, int, int] = (5, 24, 21)
    ctp_spacing_kji_mm: tuple[float, float, float] = (12.0, 8.5, 7.9)

    def grid(self, role: Role) -> Grid:
        """Oblique, non-square, off-origin; the CTP has its own frame of reference."""
        cta = role is Role.CTA
        shape, spacing = (self.cta_shape_kji, self.cta_spacing_kji_mm) if cta else (self.ctp_shape_kji, self.ctp_spacing_kji_mm)
        half = (np.array(shape) - 1) / 2.0 * spacing
        origin = CENTER_LPS_MM - half @ OBLIQUE_AXES_LPS
        uid = "1.2.3.4.5" if cta else "1.2.3.4.6"
        return Grid.from_axes(shape, spacing, origin_lps_mm=origin, axes_lps=OBLIQUE_AXES_LPS, frame_of_reference_uid=uid)

    def volumes(self) -> dict[str, Volume]:
        """CTA, artery probability and brain mask; the unenhanced CTP."""
        grid = self.grid(Role.CTA)
        points = _points(grid)
        radius = _ellipsoid(points)
        hu = np.full(grid.shape_kji, -1000.0, np.float32)
        hu[radius < 1.12] = 40.0
        hu[(radius >= 0.95) & (radius < 1.05)] = 1100.0
        hu[radius < 0.95] = 35.0
        size = max(self.cta_spacing_kji_mm)
        arteries = np.zeros(grid.shape_kji, np.float32)
        for start, end, width_mm in _TUBES:
            arteries = np.maximum(arteries, _tube(points, start, end, max(width_mm, 0.6 * size)))
        hu = np.where(arteries >= 0.5, 360.0, hu)
        hu += np.random.default_rng(1).normal(0.0, 8.0, hu.shape)
        return {
            "cta": Volume(hu.round().astype(np.int16), grid, Quantity.HU),
            "arteries": Volume(arteries, grid, Quantity.PROBABILITY),
            "brain": Volume(radius < 0.93, grid, Quantity.MASK),
            "ctp": self.baseline(),
        }

    def baseline(self) -> Volume:
        """Grey brain in a skull, on the CTP grid."""
        grid = self.grid(Role.CTP)
        radius = _ellipsoid(_points(grid))
        hu = np.select([radius < 0.93, radius < 1.05, radius < 1.12], [35.0, 1100.0, 40.0], -1000.0)
        return Volume(hu.astype(np.float32), grid, Quantity.HU)

    def fallback(self) -> TimeToPeakFallback:
        """Late tissue on the patient's left."""
        maps = self.maps()
        late = maps["hypoperfusion"]
        ml = float(late.array.sum()) * late.grid.voxel_ml
        return TimeToPeakFallback(4.5, ml, 0.0, maps["tmax"], late)

    def maps(self) -> dict[str, Volume]:
        """Perfusion maps with a lesion on the patient's left: core inside hypoperfusion."""
        grid = self.grid(Role.CTP)
        points = _points(grid)
        brain = _ellipsoid(points) < 0.93
        lesion = brain & (np.linalg.norm((points - (38.0, 5.0, 5.0)) / (26.0, 34.0, 30.0), axis=-1) < 1.0)
        core = brain & (np.linalg.norm(points - (34.0, 0.0, 2.0), axis=-1) < 17.0)
        rng = np.random.default_rng(2)

        def values(normal: float, in_lesion: float, in_core: float) -> np.ndarray:
            noisy = np.select([core, lesion, brain], [in_core, in_lesion, normal]) * rng.normal(1.0, 0.12, grid.shape_kji)
            return np.where(brain, noisy, 0.0).astype(np.float32)

        cbf = values(52.0, 24.0, 9.0)
        cbv = values(3.2, 3.4, 1.1)
        made = {
            "cbf": (cbf, Quantity.CBF), "cbv": (cbv, Quantity.CBV), "mtt": (values(4.2, 8.5, 7.5), Quantity.MTT),
            "tmax": (values(2.0, 8.5, 12.0), Quantity.TMAX), "delay": (values(1.0, 5.0, 6.0), Quantity.DELAY),
            "core": (core, Quantity.MASK), "hypoperfusion": (lesion | core, Quantity.MASK), "brain": (brain, Quantity.MASK),
        }  # fmt: skip
        return {name: Volume(array, grid, quantity) for name, (array, quantity) in made.items()}

    def cta_result(self, call: Call = Call.SUSPECTED) -> CtaResult:
        """The call with everything around it."""
        found = call is not Call.NOT_DETECTED
        return CtaResult(
            finding=Finding(
                call=call,
                probability={Call.SUSPECTED: 0.93, Call.INDETERMINATE: 0.34, Call.NOT_DETECTED: 0.06}[call],
                threshold=0.5,
                side=Side.LEFT if found else None,
                site=Site.M1 if found else None,
                location_lps_mm=SITE_LPS_MM if found else None,
                evidence=("The left M1 ends 8 mm after its origin; the right one runs on for 24 mm.",) if found else (),
            ),
            vessels=(TerritoryVolume("MCA", 0.81, 2.9, 0.28), TerritoryVolume("ACA", 1.1, 1.2, 0.92)),
            collateral=CollateralFilling(2, 0.61) if found else None,
            arterial_hu=358.0,
            phase="peak arterial",
        )

    def perfusion_result(self) -> PerfusionResult:
        """Maps, volumes and curves that agree with each other."""
        maps = self.maps()
        ml = maps["core"].grid.voxel_ml
        core, hypo = (float(maps[name].array.sum()) * ml for name in ("core", "hypoperfusion"))
        times = np.arange(0.0, 60.0, 1.5)
        aif, vof = _curve(times, 14.0, 62.0), _curve(times, 20.0, 240.0)
        beside = tuple(np.add(CENTER_LPS_MM, (30.0, 0.0, 0.0)).tolist())
        measures = {"peak_hu": 62.0, "arrival_s": 9.5, "width_s": 8.0, "roughness": 0.05}
        shift_mm = np.where(np.arange(times.size) == 12, 4.4, 0.3)
        return PerfusionResult(
            core_ml=core, hypoperfusion_ml=hypo, mismatch_ml=hypo - core, mismatch_ratio=hypo / core, hir=0.31, cbv_index=0.82,
            side=Side.LEFT, volumes_ml={"tmax>6": hypo, "tmax>10": 0.31 * hypo, "rcbf<30": core},
            thresholds={"tmax_hypoperfusion_s": 6.0, "core_rcbf": 0.3}, aif=aif, vof=vof,
            maps=maps, notes=(QualityNote("aif-partial-volume", Severity.WARNING, "The AIF peak is low against the VOF."),),
            candidates=(
                CurveCandidate("aif", Curve(times, 0.5 * aif.enhancement_hu, beside, 4), False, 0.44, measures),
                CurveCandidate("aif", aif, True, 0.87, measures), CurveCandidate("vof", vof, True, 0.91, measures),
            ),
            motion=HeadMotion(times, shift_mm, 0.4 * shift_mm, shift_mm < 4.0, corrected=True),
            methods={"cbf": "oscillation-limited SVD", "delay": "model matching"},
            measures={"duration_s": 58.5, "interval_s": 1.5, "noise_hu": 2.3456, "brain_ml": 1012.34},
        )  # fmt: skip

    def report(self, *, call: Call = Call.SUSPECTED) -> Report:
        """Both parts judged."""
        return Report(
            study_instance_uid="1.2.826.0.1.3680043.8.498.77",
            cta=Assessed(self.cta_result(call)),
            perfusion=Assessed(self.perfusion_result()),
            series=(
                SeriesRow("1.2.3.77.1", Role.CTA, True, "thin arterial CT of the whole head", self.cta_shape_kji[0]),
                SeriesRow("1.2.3.77.2", Role.CTP, True, "40 frames", 40 * self.ctp_shape_kji[0], "", "5 x 12.0 mm"),
                SeriesRow("1.2.3.77.3", Role.LOCALIZER, False, "a localizer", 2),
            ),
            criteria=(
                Criterion(
                    "DEFUSE 3", "doi:10.1056/NEJMoa1713973", "2018-02-22", None,
                    (
                        CriterionCheck("core volume", 20.62344, "core_ml < 70", True),
                        CriterionCheck("mismatch ratio", 1.2, "mismatch_ratio >= 1.8", False),
                        CriterionCheck(
                            "time since onset", None, "onset_to_imaging_h >= 6 and onset_to_imaging_h <= 16", None
                        ),
                    ),
                ),
            ),
            quality=(
                QualityNote("tilt", Severity.INFO, "The gantry was tilted; the images were resampled."),
                QualityNote("synthetic", Severity.WARNING, "Motion between frames 12 and 13: 3 mm."),
            ),
            models=(ModelUse("arteries", "1", "ab" * 32),),
            config_sha256="cd" * 32,
            timings_s={"load": 3.2, "perfusion": 20.4},
            volumes=self.volumes(),
        )  # fmt: skip

    def vessels(self) -> Volume:
        """The arteries by tree, and a clot beyond the site."""
        grid = self.grid(Role.CTA)
        points = _points(grid)
        codes = np.zeros(grid.shape_kji, np.uint8)
        size = max(self.cta_spacing_kji_mm)
        for (start, end, width_mm), tree in zip(_TUBES, _TREES, strict=True):
            codes[_tube(points, start, end, max(width_mm, 0.6 * size)) >= 0.5] = VESSEL_CLASSES.index(tree)
        codes[(_tube(points, (24, -5, -18), (33, -5, -17), 0.6 * size) >= 0.5) & (codes == 0)] = VESSEL_CLASSES.index("clot")
        return Volume(codes, grid, Quantity.LABEL)

    def detailed(self, *, call: Call = Call.SUSPECTED) -> Report:
        """Both parts judged, with trees, segments, coverage, pose and courses."""
        report = self.report(call=call)
        pose = np.eye(4)
        pose[:3, 3] = -CENTER_LPS_MM
        result = replace(
            self.cta_result(call),
            segments=(
                SegmentRow("ICA-T", SegmentSide(0.11, 0.93, 0.0, 355.0), SegmentSide(0.12, 1.02, 0.0, 351.0)),
                SegmentRow("M1", SegmentSide(0.05, 0.31, 13.7, 214.0), SegmentSide(0.16, 1.07, 0.0, 342.0)),
                SegmentRow("A1", SegmentSide(0.04, None, None, None), SegmentSide(0.05, 0.9, 0.0, 333.0)),
                SegmentRow("BA", SegmentSide(0.31, 0.98, 0.0, 347.0)),
            ),
            covered=("carotid terminus", "M1", "M2", "basilar artery"),
            not_covered=("A1", "vertebral arteries", "M3 and beyond"),
            pose=HeadPose(pose, 0.9),
            course_lps_mm=_course(1.0),
            mirror_course_lps_mm=_course(-1.0),
        )
        return replace(report, cta=Assessed(result), volumes={**report.volumes, "vessels": self.vessels()})


_TUBES = (
    ((-14, -2, -40), (-14, -4, -14), 2.4), ((14, -2, -40), (14, -4, -14), 2.4), ((-14, -4, -14), (-36, -4, -15), 1.6),
    ((14, -4, -14), (22, -5, -18), 1.6), ((-36, -4, -15), (-44, 12, 12), 1.2), ((-36, -4, -15), (-42, -10, 14), 1.2),
    ((14, -4, -14), (3, -16, -12), 1.2), ((-14, -4, -14), (-3, -16, -12), 1.2), ((3, -16, -12), (2.5, -34, 14), 1.0),
    ((0, 28, -50), (0, 17, -18), 1.6), ((0, 17, -18), (20, 28, -9), 1.0), ((0, 17, -18), (-20, 28, -9), 1.0),
)  # fmt: skip
"""Arteries: start and end relative to the middle of the head (LPS mm) and radius; the left M1 stops at the site."""

_TREES = ("ICA", "ICA", "MCA", "MCA", "MCA", "MCA", "ACA", "ACA", "ACA", "VB", "PCA", "PCA")


def _course(left: float) -> tuple[tuple[float, float, float], ...]:
    """From carotid to M2; 1 is the patient's left, -1 the right."""
    way = ((14, -2, -40), (14, -4, -14), (22, -5, -18), (36, -4, -15), (44, 12, 12))
    return tuple((left * x + CENTER_LPS_MM[0], y + CENTER_LPS_MM[1], z + CENTER_LPS_MM[2]) for x, y, z in way)


def _points(grid: Grid) -> np.ndarray:
    """(K, J, I, 3) positions relative to the middle of the head."""
    return grid.to_lps_mm(np.moveaxis(np.indices(grid.shape_kji), 0, -1)) - CENTER_LPS_MM


def _ellipsoid(points: np.ndarray) -> np.ndarray:
    """Distance from the middle, 1 at the skull."""
    return np.linalg.norm(points / (72.0, 88.0, 78.0), axis=-1)


def _tube(points: np.ndarray, start: tuple[float, ...], end: tuple[float, ...], radius_mm: float) -> np.ndarray:
    """1 inside a straight tube, falling to 0 over its radius."""
    a, b = np.array(start, float), np.array(end, float)
    along = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0.0, 1.0)
    distance = np.linalg.norm(points - (a + along[..., None] * (b - a)), axis=-1)
    return np.clip(1.5 - distance / radius_mm, 0.0, 1.0).astype(np.float32)


def _curve(times_s: np.ndarray, peak_s: float, peak_hu: float) -> Curve:
    """A gamma-variate bolus."""
    t = np.clip((times_s - 5.0) / (peak_s - 5.0), 0.0, None)
    return Curve(times_s, peak_hu * t**3 * np.exp(3 * (1 - t)), tuple(CENTER_LPS_MM.tolist()), 9)


@pytest.fixture(scope="session")
def report_phantom() -> ReportPhantom:
    """The made-up head at its small size."""
    return ReportPhantom()
