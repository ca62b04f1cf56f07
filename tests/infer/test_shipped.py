"""The shipped artery model finds arteries: on synthetic heads it never saw, and on a genuine CT angiogram."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from lvo.core.grid import Grid
from lvo.core.volume import Quantity, Volume
from lvo.errors import ModelError
from lvo.infer import Model, load_model, predict

SPACING_MM = 0.7


@pytest.fixture(scope="module")
def model() -> Model:
    try:
        return load_model("arteries", threads=1)
    except ModelError as error:
        pytest.fail(f"the shipped model does not load: {error}")


def test_it_promises_what_the_pipeline_feeds(model):
    manifest = model.manifest
    assert manifest.output.channels == ("background", "artery", "vein")
    assert manifest.input.spacing_mm == SPACING_MM
    assert min(manifest.training.training_seeds + manifest.training.validation_seeds) >= 1000
    assert manifest.metrics["parity_max_difference"] < 1e-3


def test_it_finds_the_arteries_of_heads_it_never_saw(model):
    """Seeds of the tests, at the true pose; a third of the voxels may be off by partial volume, the course may not."""
    from lvo.synth.head import HeadSpec, make_head
    from lvo.synth.render import render_cta, vessel_labels
    from lvo.synth.scanner import Scanner

    for seed in (11, 12):
        head = make_head(HeadSpec(seed=seed, rotation_deg=(6.0, -4.0, 9.0)))
        grid = head.pose.crop((-45.0, -40.0, -30.0), (42.0, 38.0, 12.0), spacing_mm=SPACING_MM)
        found = predict(model, render_cta(head, grid, Scanner(seed=seed)))
        labels = vessel_labels(head, grid).array
        artery, truth = found["artery"].array > 0.5, labels == 1
        assert 2.0 * (artery & truth).sum() / (artery.sum() + truth.sum()) > 0.6
        wide = truth & (ndimage.distance_transform_edt(truth) * SPACING_MM > 1.0)  # middle lines of the trunks
        assert artery[wide].mean() > 0.9
        assert found["artery"].array[labels == 2].mean() < found["artery"].array[truth].mean() / 2.0


@pytest.mark.real
def test_it_finds_vessels_not_bone_on_a_genuine_scan(model, real_data):
    """No label: above the skull base whatever is bright is a vessel; anywhere, what is brighter than 600 HU is bone."""
    scan = nib.load(real_data / "cow" / "cta_cow_crop.nii.gz")
    hu = np.asarray(scan.dataobj, dtype=np.float32).T
    hu = ndimage.zoom(hu, np.array(scan.header.get_zooms()[::-1]) / SPACING_MM, order=1)
    padded = np.pad(hu, 12, mode="reflect")
    grid = Grid.from_axes(padded.shape, (SPACING_MM,) * 3, origin_lps_mm=(0.0, 0.0, 0.0))
    inner = (slice(12, -12),) * 3
    found = predict(model, Volume(padded, grid, Quantity.HU))
    artery, vein = found["artery"].array[inner], found["vein"].array[inner]
    above_the_base = np.arange(len(hu)) >= 16
    bright = (hu > 200.0) & above_the_base[:, None, None]
    assert (artery + vein)[bright].mean() > 0.8
    assert artery[bright].mean() > 0.6
    assert (artery > 0.5)[hu > 600.0].mean() < 0.1
    quiet = (hu > 20.0) & (hu < 60.0) & (ndimage.maximum_filter(hu, size=7) < 150.0)
    assert (artery > 0.5)[quiet].mean() < 0.002
