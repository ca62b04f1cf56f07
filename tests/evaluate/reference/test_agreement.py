"""Limits of agreement of the published data; masks against MONAI and by hand."""

import numpy as np
import pytest

from lvo.core.grid import Grid
from lvo.core.volume import Quantity, Volume
from lvo.evaluate.metrics import Estimate
from lvo.evaluate.reference.agreement import agree, compare_masks, hausdorff95_mm, mask_numbers, volume_numbers
from lvo.evaluate.reference.numbers import find
from lvo.evaluate.reference.records import Case, StudyResult, Truth
from lvo.nifti.volumes import write_nifti

WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
"""Peak flow of 17 people by two meters, l/min, first readings: Bland and Altman, Lancet 1986, table."""


def test_limits_of_agreement_of_bland_and_altman():
    """Bias -2.1 (-22.1 to 17.8), SD 38.8, limits -79.7 (-114.3 to -45.1) and 75.5 (40.9 to 110.1)."""
    found = agree(WRIGHT, MINI)
    assert round(found.spread, 1) == 38.8
    for line, published in (
        (found.bias, (-2.1, -22.1, 17.8)), (found.lower, (-79.7, -114.3, -45.1)), (found.upper, (75.5, 40.9, 110.1)),
    ):  # fmt: skip
        assert (line.value, line.low, line.high) == pytest.approx(published, abs=0.2)  # they rounded on the way


def test_one_pair_has_no_limits():
    assert np.isnan(agree([1.0], [2.0]).bias.value)


def two_blobs(rng):
    """Two masks that overlap in part, on voxels of three different edges."""
    index = np.stack(np.meshgrid(*map(np.arange, (14, 20, 24)), indexing="ij"), axis=-1)
    centers = rng.uniform((5, 7, 8), (9, 13, 16), (2, 3))
    return [
        np.linalg.norm((index - center) * (1.5, 0.8, 0.5), axis=-1) < radius
        for center, radius in zip(centers, (4.0, 3.2), strict=True)
    ]


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI about itself
@pytest.mark.parametrize("seed", range(4))
def test_distance_and_overlap_agree_with_monai(seed):
    torch = pytest.importorskip("torch", reason="torch and MONAI are in the train extra")
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance
    from monai.metrics.meandice import compute_dice

    found, reference = two_blobs(np.random.default_rng(seed))
    tensors = [torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (found, reference)]
    theirs = compute_hausdorff_distance(*tensors, include_background=True, percentile=95, spacing=[1.5, 0.8, 0.5])
    assert hausdorff95_mm(found, reference, (1.5, 0.8, 0.5)) == pytest.approx(float(theirs[0, 0]), abs=1e-4)
    grid = Grid.from_axes(found.shape, (1.5, 0.8, 0.5), origin_lps_mm=(0, 0, 0))
    scores = compare_masks(found, reference, grid, vessels=False)
    assert scores.dice == pytest.approx(float(compute_dice(*tensors)[0, 0]), abs=1e-6)
    assert scores.found_ml == pytest.approx(found.sum() * 0.6 / 1000.0)


def test_distance_by_hand():
    found, reference = np.zeros((3, 3, 40), bool), np.zeros((3, 3, 40), bool)
    found[1, 1, 5], reference[1, 1, 25] = True, True
    assert hausdorff95_mm(found, reference, (1.0, 1.0, 0.5)) == 10.0
    assert np.isnan(hausdorff95_mm(found, np.zeros_like(found), (1.0, 1.0, 0.5)))


def test_centre_lines_are_compared_of_vessels_alone():
    """A line and its first half: all of what was found is right, half of the truth is found, so clDice is 2/3."""
    truth, found = np.zeros((7, 7, 44), bool), np.zeros((7, 7, 44), bool)
    truth[2:5, 2:5, 2:42], found[2:5, 2:5, 2:22] = True, True
    grid = Grid.from_axes(truth.shape, (1.0, 1.0, 1.0), origin_lps_mm=(0, 0, 0))
    assert compare_masks(found, truth, grid, vessels=True).center_line_dice == pytest.approx(2 / 3, abs=0.03)
    assert np.isnan(compare_masks(found, truth, grid, vessels=False).center_line_dice)


def with_masks(folder, found, reference, grid, *, reference_grid=None):
    (folder / "maps").mkdir()
    write_nifti(Volume(found.astype(np.float32), grid, Quantity.PROBABILITY), folder / "maps" / "core.nii.gz")
    write_nifti(Volume(reference, reference_grid or grid, Quantity.MASK), folder / "truth.nii.gz")
    truth = Truth("1.2", 2, lvo=True, masks={"core_mask": folder / "truth.nii.gz"})
    return Case(truth, "positive", StudyResult("1.2", None, folder=folder))


def test_masks_of_files_are_compared_where_they_lie(tmp_path):
    """The reference lies on a grid of its own, mirrored along i: what counts is the place in the patient."""
    found, reference = two_blobs(np.random.default_rng(1))
    axes = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    grid = Grid.from_axes(found.shape, (1.5, 0.8, 0.5), origin_lps_mm=(10, -20, 300), axes_lps=axes)
    last = grid.to_lps_mm([0, 0, found.shape[2] - 1])
    mirrored = Grid.from_axes(found.shape, (1.5, 0.8, 0.5), origin_lps_mm=last, axes_lps=axes * [[1], [1], [-1]])
    case = with_masks(tmp_path, found, reference[:, :, ::-1], grid, reference_grid=mirrored)
    numbers, notes = mask_numbers([case])
    expected = compare_masks(found, reference, grid, vessels=False)
    assert notes == []
    assert find(numbers, "Dice", group="core mask").estimate.value == pytest.approx(expected.dice)
    assert find(numbers, "HD95, mm", group="core mask").estimate.value == pytest.approx(expected.hausdorff95_mm)
    error = find(numbers, "volume error, mL", group="core mask").estimate.value
    assert error == pytest.approx(expected.found_ml - expected.true_ml)


def test_a_mask_that_cannot_be_compared_is_named(tmp_path):
    found, reference = two_blobs(np.random.default_rng(1))
    grid = Grid.from_axes(found.shape, (1.5, 0.8, 0.5), origin_lps_mm=(0, 0, 0))
    elsewhere = Grid.from_axes(found.shape, (1.5, 0.8, 0.5), origin_lps_mm=(500, 0, 0))
    case = with_masks(tmp_path, found, reference, grid, reference_grid=elsewhere)
    numbers, notes = mask_numbers([case])
    assert numbers == []
    assert notes == ["study 1.2, core_mask: the mask lies outside the map: is it of this study?; it is in no figure"]
    gone = Case(Truth("1.3", 3, lvo=True, masks={"artery_mask": tmp_path / "none.nii.gz"}), "positive", case.result)
    assert "arteries.nii.gz cannot be read as a NIfTI volume" in mask_numbers([gone])[1][0]
    missing = Case(gone.truth, "positive", None)
    assert "there is no result folder" in mask_numbers([missing])[1][0]


def test_volumes_that_were_not_given_are_counted():
    def case(number, found, truth):
        volumes = {} if found is None else {"core_ml": found}
        return Case(Truth(f"1.{number}", 2, lvo=True, volumes_ml={"core_ml": truth}), "positive",
                    StudyResult(f"1.{number}", None, volumes_ml=volumes))  # fmt: skip

    cases = [case(number, *pair) for number, pair in enumerate(zip(WRIGHT, MINI, strict=True))] + [case(99, None, 50.0)]
    numbers = volume_numbers(cases)
    assert find(numbers, "bias, mL", group="core").estimate.value == pytest.approx(-2.1, abs=0.05)
    assert find(numbers, "volume not given", group="core").estimate == Estimate(
        pytest.approx(1 / 18), pytest.approx(np.nan, nan_ok=True), pytest.approx(np.nan, nan_ok=True), 18, 1
    )
