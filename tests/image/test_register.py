"""The pose is recovered wherever the head lies; a poor match is refused."""

import nibabel
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lvo.core.grid import Grid
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.pose import HeadPose
from lvo.core.report import Side, Site
from lvo.core.volume import Quantity, Volume
from lvo.image.atlas import from_nibabel_ras, load_atlas
from lvo.image.brain import find_brain
from lvo.image.register import register_to_atlas
from lvo.image.resample import resample
from lvo.synth.head import HeadSpec, Occlusion, make_head
from lvo.synth.render import render_cta
from lvo.synth.scanner import Scanner

from .conftest import Phantom

LANDMARKS_ATLAS_MM = np.array(
    [
        (0, 0, 0),
        (14, -4, -14),
        (-14, -4, -14),
        (35, -3, -15),
        (-35, -3, -15),
        (0, 25, -38),
        (0, -60, 10),
        (0, 90, 0),
        (0, 20, 75),
    ]
)
"""Middle, carotid termini, middle cerebral bifurcations, basilar artery, front, back, vertex."""


def posed(volume: Volume, brain: Volume | None = None) -> HeadPose:
    if brain is None:
        found = find_brain(volume)
        assert isinstance(found, Assessed), found
        brain = found.value
    outcome = register_to_atlas(volume, brain)
    assert isinstance(outcome, Assessed), outcome
    return outcome.value


def rotation_error_deg(a: np.ndarray, b: np.ndarray) -> float:
    a, b = (m[:3, :3] / np.linalg.norm(m[:3, :3], axis=0) for m in (a, b))
    return float(np.rad2deg((Rotation.from_matrix(a).inv() * Rotation.from_matrix(b)).magnitude()))


def drawn(pose: HeadPose, grid: Grid, quantity: Quantity = Quantity.HU) -> Volume:
    """The atlas as a patient with that pose; the brain mask or the CT."""
    atlas = load_atlas()
    source = atlas.brain if quantity is Quantity.MASK else atlas.expected_ct
    placed = Volume(source.array, Grid(source.grid.shape_kji, pose.lps_from_atlas @ source.grid.lps_from_kji), quantity)
    masked = quantity is Quantity.MASK
    return resample(placed, grid, order=0 if masked else 1, fill=0 if masked else -1000.0)


def known_pose(angles_deg, shift_mm, scales) -> HeadPose:
    lps_from_atlas = np.eye(4)
    lps_from_atlas[:3, :3] = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix() * scales
    lps_from_atlas[:3, 3] = shift_mm
    return HeadPose(np.linalg.inv(lps_from_atlas), 1.0)


@pytest.mark.parametrize(
    ("angles", "shift", "scales"),
    [
        pytest.param((0, 0, 0), (0, 0, 0), (1, 1, 1), id="as the atlas"),
        pytest.param((25, -25, 25), (60, -40, 500), (0.9, 0.9, 0.9), id="turned about every axis, smaller, far off"),
        pytest.param((-25, 20, -25), (-60, 60, -60), (0.95, 0.85, 0.8), id="turned back, three scales"),
    ],
)
def test_a_known_pose_is_recovered(angles, shift, scales, awkward_grid):
    """Rotation to 1 degree, landmarks to 2 mm, scale to 2.5 %, on a grid that is oblique itself."""
    true = known_pose(angles, shift, scales)
    axes = Rotation.from_euler("xyz", (7, -4, 10), degrees=True).as_matrix() @ np.eye(3)[::-1]
    grid = awkward_grid((3.0, 2.1, 1.9), center=true.to_lps_mm((0, 18, 10)), axes=axes * [[1], [1], [-1]])
    pose = posed(drawn(true, grid), drawn(true, grid, Quantity.MASK))
    error_mm = np.linalg.norm(pose.to_lps_mm(LANDMARKS_ATLAS_MM) - true.to_lps_mm(LANDMARKS_ATLAS_MM), axis=1)
    assert error_mm.max() < 2.0
    assert rotation_error_deg(pose.lps_from_atlas, true.lps_from_atlas) < 1.0
    np.testing.assert_allclose(np.linalg.norm(pose.lps_from_atlas[:3, :3], axis=0), scales, rtol=0.025)
    assert pose.quality > 0.95


def test_a_mirrored_head_gets_the_mirrored_pose(awkward_grid):
    true = known_pose((10, 8, -15), (20, 0, 0), (0.9, 0.95, 0.9))
    grid = awkward_grid((3.0, 2.1, 1.9), center=(0.0, 18.0, 10.0))
    volume, brain = drawn(true, grid), drawn(true, grid, Quantity.MASK)
    pose = posed(volume, brain)
    mirrored = [Volume(v.array[:, :, ::-1], grid, v.quantity) for v in (volume, brain)]
    other = posed(*mirrored)
    mirror = (-1.0, 1.0, 1.0)  # the grid's middle is at x = 0
    there = other.to_lps_mm(LANDMARKS_ATLAS_MM * mirror) * mirror
    np.testing.assert_allclose(there, pose.to_lps_mm(LANDMARKS_ATLAS_MM), atol=0.2)


def test_the_same_scan_gives_the_same_pose_bit_for_bit(awkward_grid):
    true = known_pose((5, 0, -9), (0, 0, 0), (0.9, 0.9, 0.9))
    grid = awkward_grid((4.0, 3.1, 2.9))
    volume, brain = drawn(true, grid), drawn(true, grid, Quantity.MASK)
    np.testing.assert_array_equal(posed(volume, brain).atlas_from_lps, posed(volume, brain).atlas_from_lps)


@pytest.mark.parametrize(
    ("seed", "angles", "shift", "neck"),
    [
        pytest.param(2, (22, 5, -20), (40, 0, 0), True, id="neck"),
        pytest.param(5, (-20, -20, 15), (0, 0, -50), False, id="no neck"),
    ],
)
def test_a_synthetic_angiogram_is_brought_to_the_atlas(seed, angles, shift, neck, awkward_grid):
    """Against the true similarity of a head whose shape also bends by 1.8 mm (SD): 3 degrees and, on average, 4 mm."""
    spec = HeadSpec(seed, Occlusion(Side.LEFT, Site.M1), rotation_deg=angles, shift_mm=shift, neck=neck)
    head = make_head(spec)
    grid = awkward_grid((2.5, 1.9, 2.0), center=head.pose.to_lps_mm((0, 18, 0)), size_mm=(240, 250, 230))
    pose = posed(render_cta(head, grid, Scanner(noise_sd_hu=8, seed=seed)))
    error_mm = np.linalg.norm(pose.to_lps_mm(LANDMARKS_ATLAS_MM) - head.pose.to_lps_mm(LANDMARKS_ATLAS_MM), axis=1)
    assert error_mm.mean() < 4.0
    assert rotation_error_deg(pose.lps_from_atlas, head.pose.lps_from_atlas) < 3.0


@pytest.mark.real
def test_a_ct_template_in_atlas_space_stays_where_it_is(real_data):
    """A template of other people's heads in the same space: 2.5 degrees, landmarks 5 mm."""
    image = nibabel.load(real_data / "templates" / "scct_hu.nii.gz")
    template = from_nibabel_ras(np.asarray(image.dataobj), image.affine, Quantity.HU)
    pose = posed(template, resample(load_atlas().brain, template.grid, order=0, fill=0))
    assert rotation_error_deg(pose.lps_from_atlas, np.eye(4)) < 2.5
    assert np.linalg.norm(pose.to_lps_mm(LANDMARKS_ATLAS_MM) - LANDMARKS_ATLAS_MM, axis=1).max() < 5.0


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "angles", "shift"),
    [("cranium", (25, -25, 25), (60, 0, 0)), ("ge", (-25, 25, -10), (-60, 0, 0))],
)
def test_a_real_head_is_followed_wherever_it_turns(name, angles, shift, real_heads, turned, moved, awkward_grid):
    """The pose of the moved head is the moved pose: 1 degree, 1.5 mm."""
    head = real_heads[name]
    center = head.grid.center_lps_mm
    move = turned(angles, shift, center)
    grid = awkward_grid((2.0, 1.5, 1.4), size_mm=(250, 265, 255), center=center + shift)
    before, after = posed(head), posed(moved(head, move, grid))
    back = after.to_lps_mm(LANDMARKS_ATLAS_MM) @ move[:3, :3].T + move[:3, 3]
    assert np.linalg.norm(back - before.to_lps_mm(LANDMARKS_ATLAS_MM), axis=1).max() < 1.5
    assert rotation_error_deg(move @ after.lps_from_atlas, before.lps_from_atlas) < 1.0


WRONG_WAYS = [
    pytest.param(lambda array: array[::-1], id="upside down"),
    pytest.param(lambda array: array[:, ::-1], id="back to front"),
    pytest.param(lambda array: array[:, ::-1, ::-1], id="turned by 180 degrees"),
    pytest.param(lambda array: np.rot90(array, 1, (1, 2)), id="turned by 90 degrees"),
]


def wrongly_stored(change, *volumes: Volume) -> list[Volume]:
    """The images changed, their header not."""
    arrays = [np.ascontiguousarray(change(volume.array)) for volume in volumes]
    return [
        Volume(array, Grid(array.shape, volume.grid.lps_from_kji), volume.quantity)
        for array, volume in zip(arrays, volumes, strict=True)
    ]


def refusal(volume: Volume, brain: Volume) -> str:
    outcome = register_to_atlas(volume, brain)
    assert isinstance(outcome, NotAssessable), outcome
    return "; ".join(outcome.reasons)


@pytest.mark.parametrize("change", WRONG_WAYS)
def test_refuses_a_head_the_wrong_way_round(change, awkward_grid):
    """Patient coordinates are trusted, so this is no head that lies differently but a wrong image."""
    true = known_pose((0, 0, 0), (0, 0, 0), (0.9, 0.9, 0.9))
    grid = awkward_grid((3.0, 2.1, 1.9))
    assert "orientation" in refusal(*wrongly_stored(change, drawn(true, grid), drawn(true, grid, Quantity.MASK)))


@pytest.mark.real
@pytest.mark.parametrize("name", ["cranium", "ge"])
def test_refuses_a_real_head_whose_rows_are_in_reverse_order(name, real_heads):
    """Of the GE head a pose wrong by 120 degrees fits almost well enough; it is the true one, far off, that tells."""
    (turned,) = wrongly_stored(lambda array: array[:, ::-1], real_heads[name])
    brain = find_brain(turned)
    assert isinstance(brain, Assessed), brain
    assert "orientation" in refusal(turned, brain.value)


def test_a_scan_of_a_prone_patient_feet_first_is_registered_by_its_header(awkward_grid):
    """Images upside down and back to front whose header says so show a head that lies as always."""
    true = known_pose((10, 8, -15), (20, 0, 0), (0.9, 0.95, 0.9))
    grid = awkward_grid((3.0, 2.1, 1.9), center=(0.0, 18.0, 10.0))
    volume, brain = drawn(true, grid), drawn(true, grid, Quantity.MASK)
    there = np.diag([-1.0, -1.0, 1.0, 1.0])
    there[:2, 3] = np.array(grid.shape_kji[:2]) - 1.0
    prone = Grid(grid.shape_kji, grid.lps_from_kji @ there)
    other = posed(*[Volume(np.ascontiguousarray(v.array[::-1, ::-1]), prone, v.quantity) for v in (volume, brain)])
    np.testing.assert_allclose(
        other.to_lps_mm(LANDMARKS_ATLAS_MM), posed(volume, brain).to_lps_mm(LANDMARKS_ATLAS_MM), atol=0.2
    )


@pytest.mark.parametrize(
    ("radii_mm", "filling_hu"), [((75, 75, 75), 0.0), ((68, 86, 66), 0.0), ((66, 80, 70), 35.0)], ids=["ball", "long", "brain"]
)
def test_refuses_a_bony_shell_of_water(radii_mm, filling_hu, awkward_grid):
    """It matches the atlas to 0.84 to 0.86, in any orientation equally."""
    grid = awkward_grid((2.9, 2.7, 2.8), size_mm=(200.0, 220.0, 200.0), center=(0.0, 0.0, 0.0))
    points = grid.to_lps_mm(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
    beyond_mm = (np.linalg.norm(points / np.array(radii_mm), axis=-1) - 1.0) * 72.0
    hu = np.select([beyond_mm < 0, beyond_mm < 7, beyond_mm < 12], [filling_hu, 1000.0, 40.0], -1000.0)
    shell = Volume(hu.astype(np.float32), grid, Quantity.HU)
    brain = find_brain(shell)
    assert isinstance(brain, Assessed), brain
    assert "orientation" in refusal(shell, brain.value)


def test_refuses_a_slab():
    grid = Grid.from_axes((8, 100, 95), (5.0, 2.4, 2.3), origin_lps_mm=(-108, -118, -10))
    volume = Phantom().on(grid)
    brain = find_brain(volume)
    assert isinstance(brain, Assessed), brain
    outcome = register_to_atlas(volume, brain.value)
    assert isinstance(outcome, NotAssessable)
    assert "of the brain lies in the scan" in outcome.reasons[0]


def test_refuses_a_head_of_impossible_size(awkward_grid):
    true = known_pose((0, 0, 0), (0, 0, 0), (0.55, 0.55, 0.55))
    grid = awkward_grid((2.0, 1.9, 2.1))
    outcome = register_to_atlas(drawn(true, grid), drawn(true, grid, Quantity.MASK))
    assert isinstance(outcome, NotAssessable)
    assert "times the atlas" in outcome.reasons[0]


@pytest.mark.parametrize("change", ["quantity", "empty mask"])
def test_refuses_wrong_input(change, awkward_grid):
    grid = awkward_grid((9.0, 9.0, 9.0))
    volume = Volume(np.zeros(grid.shape_kji, np.float32), grid, Quantity.HU if change == "empty mask" else Quantity.CBF)
    with pytest.raises(ValueError, match=r"empty|needs HU"):
        register_to_atlas(volume, Volume(np.zeros(grid.shape_kji, bool), grid, Quantity.MASK))
