"""The synthetic CTA against a real one, and the vessels against expert labels; skipped where these are absent."""

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from lvo.core.grid import Grid
from lvo.synth.head import HeadSpec, make_head
from lvo.synth.render import render_cta
from lvo.synth.scanner import Scanner

SPACING_KJI_MM = (0.7, 0.4395, 0.4395)


def figures(hu: np.ndarray) -> dict[str, float]:
    """Brain level, noise and edge width of a CTA crop of the circle of Willis."""
    top, bottom = ndimage.maximum_filter(hu, 9), ndimage.minimum_filter(hu, 9)
    flat = (top < 95) & (bottom > -40)
    residual = hu - ndimage.gaussian_filter(hu, 3)
    slope = np.sqrt(sum(part**2 for part in np.gradient(hu, *SPACING_KJI_MM)))
    wall = (top > 220) & (top < 480) & (hu > 90) & (hu < 250)
    pair = flat & np.roll(flat, 1, axis=1)
    return {
        "brain_hu": float(np.median(hu[flat])),
        "noise_sd_hu": float(residual[flat].std()),
        "noise_correlation": float((residual * np.roll(residual, 1, axis=1))[pair].mean() / residual[flat].var()),
        "edge_per_mm": float(np.percentile((slope / (top - 30))[wall], 75)),
    }


@pytest.mark.real
def test_brain_noise_and_sharpness_match_a_real_cta(real_data):
    """Real crop: brain 37 HU, noise 12 HU, correlation of neighbours in the slice 0.80, wall slope 0.63 per mm."""
    image = nibabel.load(real_data / "cow" / "cta_cow_crop.nii.gz")
    real = figures(np.asarray(image.dataobj).astype(np.float64).transpose(2, 1, 0))
    made = []
    for seed in (11, 12, 13):
        head = make_head(HeadSpec(seed, arterial_hu=320.0))
        center = head.pose.to_lps_mm((0.0, 2.0, -18.0))
        half = np.array([93, 80, 31])[::-1] / 2 * SPACING_KJI_MM
        grid = Grid.from_axes((32, 81, 94), SPACING_KJI_MM, origin_lps_mm=center - half[::-1])
        made.append(figures(render_cta(head, grid, Scanner(seed=seed)).array.astype(np.float64)))
    mean = {key: np.mean([one[key] for one in made]) for key in real}
    assert mean["brain_hu"] == pytest.approx(real["brain_hu"], abs=5.0)
    assert mean["noise_sd_hu"] == pytest.approx(real["noise_sd_hu"], rel=0.2)
    assert mean["noise_correlation"] == pytest.approx(real["noise_correlation"], abs=0.12)
    assert mean["edge_per_mm"] == pytest.approx(real["edge_per_mm"], rel=0.25)


def label_radius_mm(mask: np.ndarray, spacing_mm: tuple[float, ...]) -> float:
    """Median over the ridge of the distance to the edge of a label."""
    depth = ndimage.distance_transform_edt(mask, sampling=spacing_mm)
    ridge = (depth == ndimage.maximum_filter(depth, size=5)) & mask
    return float(np.median(depth[ridge]))


@pytest.mark.real
def test_radii_agree_with_expert_labels(real_data):
    """BA, ICA, PCA, ACA: mean synthetic radius within 35 % of three labelled people (labels include the wall)."""
    codes = {"BA": (1,), "PCA": (2, 3), "ICA": (4, 6), "ACA": (11, 12)}
    found: dict[str, list[float]] = {name: [] for name in codes}
    for path in sorted((real_data / "cow").glob("topcow_ct_roi_*.nii.gz")):
        image = nibabel.load(path)
        label, spacing = np.asarray(image.dataobj), tuple(float(s) for s in image.header.get_zooms())
        for name, numbers in codes.items():
            found[name] += [label_radius_mm(label == n, spacing) for n in numbers]
    trunks = {"BA": ("BA",), "PCA": ("P1", "P2"), "ICA": ("ICA",), "ACA": ("A1", "A2")}
    for name, members in trunks.items():
        made = [
            tube.radius_mm[-30:].mean()
            for seed in range(8)
            for tube in make_head(HeadSpec(seed)).arteries
            if tube.name in members
        ]
        assert np.mean(made) == pytest.approx(np.mean(found[name]), rel=0.35), name


@pytest.mark.real
def test_the_circle_is_as_wide_as_in_people(real_data):
    """Distance between the carotid termini, 30 to 33 mm in the labelled people (scaled heads), and basilar tip behind them."""
    widths = []
    for path in sorted((real_data / "cow").glob("topcow_ct_roi_*.nii.gz")):
        image = nibabel.load(path)
        label = np.asarray(image.dataobj)
        ends = []
        for carotid, middle in ((4, 5), (6, 7)):
            touch = ndimage.binary_dilation(label == carotid, np.ones((3, 3, 3))) & (label == middle)
            ends.append(nibabel.affines.apply_affine(image.affine, np.argwhere(touch)).mean(axis=0))
        widths.append(np.linalg.norm(ends[0] - ends[1]))
    made, behind = [], []
    for seed in range(8):
        head = make_head(HeadSpec(seed))
        tips = {tube.side: tube.points_lps_mm[-1] for tube in head.arteries if tube.name == "ICA-T"}
        basilar = next(tube for tube in head.arteries if tube.name == "BA").points_lps_mm[-1]
        left, right = tips.values()
        made.append(np.linalg.norm(left - right))
        behind.append(basilar[1] - (left[1] + right[1]) / 2)
    assert np.mean(made) == pytest.approx(np.mean(widths), abs=4.0)
    assert np.mean(behind) == pytest.approx(14.0, abs=4.0)  # 12.8 to 16.6 mm in the labels
