"""A head that moved between slices, metal and missing bone are found; heads that lay still raise no alarm."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from lvo.core.grid import Grid
from lvo.core.pose import HeadPose
from lvo.core.report import Severity, Side
from lvo.core.volume import Quantity, Volume
from lvo.image.atlas import from_nibabel_ras
from lvo.image.brain import find_brain
from lvo.image.scan_quality import ScanQuality, check_scan, quality_notes
from lvo.synth.acquire import Acquisition, Jolt, Metal, acquire, scan_grid
from lvo.synth.head import HeadSpec, make_head
from lvo.synth.mimics import Craniotomy
from lvo.synth.render import tissue_labels
from lvo.synth.scanner import Scanner

STILL = ScanQuality(jolts=(), largest_jolt_mm=0.0, metal_ml=0.0, metal_slices=(), spoiled=0.0, open_skull_cm2=0.0)
UPRIGHT = HeadPose(np.eye(4), 1.0)


def codes(quality: ScanQuality) -> dict[str, Severity]:
    return {note.code: note.severity for note in quality_notes(quality)}


# ---- what is said


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, {}, id="nothing found"),
        pytest.param({"largest_jolt_mm": 1.4}, {}, id="less than half of M1"),
        pytest.param({"largest_jolt_mm": 1.6}, {"cta.motion": Severity.WARNING}, id="half of M1"),
        pytest.param({"largest_jolt_mm": 5.2}, {"cta.motion": Severity.REFUSAL}, id="arteries torn"),
        pytest.param({"jolts": None}, {"cta.motion_unchecked": Severity.WARNING}, id="slices too far apart"),
        pytest.param({"metal_ml": 0.5}, {}, id="metal without streaks"),
        pytest.param({"metal_ml": 0.5, "metal_slices": (3,)}, {"cta.metal": Severity.WARNING}, id="streaks"),
        pytest.param(
            {"metal_ml": 0.5, "metal_slices": (3,), "spoiled": 0.3}, {"cta.metal": Severity.REFUSAL}, id="streaks everywhere"
        ),
        pytest.param({"open_skull_cm2": 9.0}, {}, id="burr hole"),
        pytest.param({"open_skull_cm2": 30.0}, {"cta.operated": Severity.WARNING}, id="craniectomy"),
    ],
)
def test_notes(change, expected):
    assert codes(replace(STILL, **change)) == expected


# ---- a real head


@pytest.fixture(scope="module")
def real_head(real_data):
    """Scan, brain, and a pose that puts the middle of the brain where the atlas has it."""
    image = nibabel.load(real_data / "ncct_cranium" / "cranium_lps.nii.gz")
    scan = from_nibabel_ras(np.asanyarray(image.dataobj), image.affine, Quantity.HU)
    brain = find_brain(scan).value
    pose = np.eye(4)
    pose[:3, 3] = (0.0, 18.0, 0.0) - scan.grid.to_lps_mm(np.argwhere(brain.array)).mean(axis=0)
    return scan, brain, HeadPose(pose, 1.0)


def in_plane(slices: np.ndarray, shift_px: tuple[float, float], turn_deg: float, middle_ji: np.ndarray) -> np.ndarray:
    """Turn and shift every slice in its plane, with scipy alone."""
    c, s = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    back = np.array([[c, s], [-s, c]])
    offset = middle_ji - back @ (middle_ji + shift_px)
    return np.stack([ndimage.affine_transform(one, back, offset, order=1, mode="nearest") for one in slices.astype(np.float32)])


@pytest.mark.real
def test_a_real_head_that_lay_still_raises_no_alarm(real_head):
    quality = check_scan(*real_head)
    assert quality.jolts == ()
    assert quality_notes(quality) == ()


@pytest.mark.real
@pytest.mark.parametrize("level", [0.35, 0.55])
@pytest.mark.parametrize(
    ("shift_mm", "turn_deg"), [((1.2, -1.6), 0.0), ((-2.0, 0.0), 0.0), ((0.0, 0.0), 2.0), ((0.0, 0.0), -2.0)]
)
def test_a_real_head_whose_upper_slices_were_moved(real_head, level, shift_mm, turn_deg):
    """2 mm, or 2 degrees, which move the brain by 1.7 mm: one jolt, at the slice, and of the size within 30 %."""
    scan, brain, pose = real_head
    inside = np.argwhere(brain.array)
    k = int(np.quantile(inside[:, 0], level))
    pixel = scan.grid.spacing_kji_mm[1:]
    middle = inside[:, 1:].mean(axis=0)
    moved = in_plane(scan.array[k:], tuple(shift_mm / pixel), turn_deg, middle)
    quality = check_scan(Volume(np.concatenate([scan.array[:k], moved]), scan.grid, scan.quantity), brain, pose)
    arm = np.linalg.norm((inside[inside[:, 0] == k][:, 1:] - middle) * pixel, axis=1)
    true_mm = max(float(np.hypot(*shift_mm)), float(np.deg2rad(abs(turn_deg)) * np.sqrt((arm**2).mean())))
    assert quality.jolts is not None
    assert [jolt.slice_index for jolt in quality.jolts] == [k]
    assert quality.jolts[0].shift_mm == pytest.approx(true_mm, rel=0.3)
    assert abs(float(scan.grid.to_kji(quality.jolts[0].position_lps_mm)[0]) - (k - 0.5)) < 0.01


@pytest.mark.real
def test_thick_slices_are_not_judged(real_data):
    """2.6 mm apart, read off slices of 4 and 7 mm: no movement is claimed, nor denied."""
    image = nibabel.load(real_data / "ncct_ge_tilt" / "ge_dcm2niix_Tilt_Eq.nii.gz")
    scan = from_nibabel_ras(np.asanyarray(image.dataobj), image.affine, Quantity.HU)
    assert scan.grid.spacing_kji_mm[0] > 2.0
    quality = check_scan(scan, find_brain(scan).value, UPRIGHT)
    assert quality.jolts is None
    assert codes(quality) == {"cta.motion_unchecked": Severity.WARNING}


@pytest.mark.real
def test_any_order_of_the_axes(real_head):
    """Slices from head to feet, columns to the right: the same jolt at the same place."""
    scan, brain, pose = real_head
    k = int(np.quantile(np.argwhere(brain.array)[:, 0], 0.5))
    array = scan.array.copy()
    array[k:] = np.roll(array[k:], 3, axis=1)
    turned = np.diag([-1.0, 1.0, -1.0, 1.0])
    turned[0, 3], turned[2, 3] = scan.grid.shape_kji[0] - 1, scan.grid.shape_kji[2] - 1
    grid = Grid(scan.grid.shape_kji, scan.grid.lps_from_kji @ turned)
    straight = check_scan(Volume(array, scan.grid, scan.quantity), brain, pose)
    flipped = check_scan(
        Volume(array[::-1, :, ::-1].copy(), grid, scan.quantity),
        Volume(brain.array[::-1, :, ::-1].copy(), grid, Quantity.MASK),
        pose,
    )
    assert straight.jolts is not None
    assert flipped.jolts is not None
    assert [jolt.slice_index for jolt in flipped.jolts] == [scan.grid.shape_kji[0] - k]
    assert flipped.largest_jolt_mm == pytest.approx(straight.largest_jolt_mm, rel=0.05)
    assert flipped.largest_jolt_mm == pytest.approx(2.87, rel=0.2)
    np.testing.assert_allclose(flipped.jolts[0].position_lps_mm, straight.jolts[0].position_lps_mm, atol=1.5)


# ---- heads of the generator, which knows nothing of this module

BOX_ATLAS_MM = ((-88.0, -80.0, -46.0), (88.0, 108.0, 44.0))
SPACING_MM = (1.0, 1.5, 1.5)


def scanned(spec: HeadSpec, **changes) -> tuple[Volume, Volume, HeadPose]:
    """A scan of a head, its brain and its pose."""
    head = make_head(spec)
    grid = scan_grid(head.pose, BOX_ATLAS_MM, SPACING_MM)
    acquisition = Acquisition(spacing_kji_mm=SPACING_MM, scanner=Scanner(noise_sd_hu=10.0, seed=3), **changes)
    brain = Volume(tissue_labels(head, grid).array > 0, grid, Quantity.MASK)
    return acquire(head, grid, acquisition), brain, head.pose


SPEC = HeadSpec(31, rotation_deg=(6.0, -3.0, 4.0))


@pytest.fixture(scope="module")
def at_rest():
    return scanned(SPEC)


def test_a_drawn_head_at_rest(at_rest):
    quality = check_scan(*at_rest)
    assert quality.jolts == ()
    assert quality_notes(quality) == ()


def test_jolts_of_the_generator_are_found_where_they_were(at_rest):
    """A turn of 3 degrees below, a shift of 2.2 mm above: both slices, and their sizes within a third."""
    at = (0.3, 0.6)
    jolts = (Jolt(at[0], rotation_deg=(0.0, 0.0, 3.0)), Jolt(at[1], rotation_deg=(0.0, 0.0, 3.0), shift_mm=(1.8, -1.2, 0.4)))
    _, brain, pose = at_rest
    moved = scanned(SPEC, jolts=jolts)[0]
    quality = check_scan(moved, brain, pose)
    assert quality.jolts is not None
    assert [jolt.slice_index for jolt in quality.jolts] == [round(one * moved.grid.shape_kji[0]) for one in at]
    turned, shifted = quality.jolts
    assert turned.turn_deg == pytest.approx(3.0, rel=0.33)
    assert shifted.shift_mm == pytest.approx(2.2, rel=0.33)
    assert codes(quality) == {"cta.motion": Severity.WARNING}


def test_metal_at_the_terminal_carotid_and_metal_that_harms_nothing(at_rest):
    scan, brain, pose = at_rest
    clip, *_ = scanned(SPEC, metal=(Metal((16.0, -3.0, -14.0), 2.5, 500.0),))
    quality = check_scan(clip, brain, pose)
    assert codes(quality)["cta.metal"] is not Severity.INFO
    assert quality.metal_ml == pytest.approx(4.0 / 3.0 * np.pi * 2.5**3 / 1000.0, rel=0.5)
    levels = pose.to_atlas_mm(scan.grid.to_lps_mm([(k, *np.array(scan.grid.shape_kji[1:]) / 2) for k in quality.metal_slices]))
    assert np.abs(levels[:, 2] + 14.0).max() < 14.0  # the head is tilted: the middle of a slice lies off the clip
    screw = scan.array.copy()
    middle = np.rint(scan.grid.to_kji(pose.to_lps_mm((66.0, 0.0, 20.0)))).astype(int)
    screw[tuple(slice(n - 1, n + 2) for n in middle)] = 3071
    harmless = check_scan(Volume(screw, scan.grid, scan.quantity), brain, pose)
    assert harmless.metal_ml == pytest.approx(27 * scan.grid.voxel_ml)
    assert codes(harmless) == {}


def test_a_missing_flap_is_measured():
    gone, brain, pose = scanned(replace(SPEC, mimics=(Craniotomy(Side.LEFT, (62.0, -8.0, 18.0), 28.0, removed=True),)))
    quality = check_scan(gone, brain, pose)
    assert quality.missing_skull
    assert quality.open_skull_cm2 == pytest.approx(np.pi * 2.8**2, rel=0.4)
    assert "cta.operated" in codes(quality)


# ---- what is refused


def test_what_cannot_be_checked(at_rest):
    scan, brain, pose = at_rest
    with pytest.raises(ValueError, match="needs HU"):
        check_scan(brain, brain, pose)
    other = Volume(
        brain.array[1:], Grid((brain.array.shape[0] - 1, *brain.array.shape[1:]), brain.grid.lps_from_kji), brain.quantity
    )
    with pytest.raises(ValueError, match="grid of the scan"):
        check_scan(scan, other, pose)
    with pytest.raises(ValueError, match="brain mask is empty"):
        check_scan(scan, Volume(np.zeros_like(brain.array), brain.grid, brain.quantity), pose)
