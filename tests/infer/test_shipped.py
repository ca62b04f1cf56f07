"""The shipped model finds vessels: on synthetic heads it never saw, and on a genuine CT angiogram; its call belongs to it."""

from dataclasses import fields

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from lvo.core.anatomy import ARTERY_TREES, VESSEL_CLASSES
from lvo.core.grid import Grid
from lvo.core.pose import HeadPose
from lvo.core.volume import Quantity, Volume
from lvo.cta.call import DETECTORS
from lvo.cta.features import HemisphereFeatures
from lvo.errors import ModelError
from lvo.infer import Model, load_model, predict
from lvo.infer.call_head import load_call_head
from lvo.infer.window import IMAGE_CHANNELS

SPACING_MM = 0.8


@pytest.fixture(scope="module")
def model() -> Model:
    try:
        return load_model("arteries", threads=1)
    except ModelError as error:
        pytest.fail(f"the shipped model does not load: {error}")


def test_it_promises_what_the_pipeline_feeds(model):
    manifest = model.manifest
    assert manifest.output.channels == VESSEL_CLASSES
    assert manifest.input.channels == IMAGE_CHANNELS
    assert manifest.input.spacing_mm == SPACING_MM
    assert min(manifest.training.training_seeds + manifest.training.validation_seeds) >= 1000
    assert manifest.metrics["parity_max_difference"] < 1e-3


def test_its_call_was_fitted_on_its_maps_of_enough_scans_and_grows_with_suspicion(model):
    head = load_call_head(model.manifest)
    n_scans, words = head.fitted_on.split(maxsplit=1)
    assert int(n_scans) >= 100
    assert words.startswith("synthetic scans, seeds 5")
    assert head.slope > 0.0
    for name in DETECTORS:
        logistic = getattr(head, name)
        weight = dict(zip(logistic.features, logistic.weight, strict=True))
        assert set(weight) <= {field.name for field in fields(HemisphereFeatures)}
        speaking = [value for feature, value in weight.items() if feature.endswith(("gap_cm", "darkness", "cut_off"))]
        assert max(speaking) > 0.0, name


def test_it_finds_the_vessels_of_heads_it_never_saw(model):
    """Seeds of the tests, at the true pose; a third of the voxels may be off by partial volume, the course may not."""
    from lvo.synth.head import HeadSpec, make_head
    from lvo.synth.render import TREE_CODES, VEIN_CLASS, class_labels, render_cta
    from lvo.synth.scanner import Scanner

    for seed in (11, 12):
        head = make_head(HeadSpec(seed=seed, rotation_deg=(6.0, -4.0, 9.0)))
        grid = head.pose.crop((-45.0, -40.0, -30.0), (42.0, 38.0, 12.0), spacing_mm=SPACING_MM)
        found = predict(model, render_cta(head, grid, Scanner(seed=seed)), head.pose)
        classes = class_labels(head, grid).array
        artery, truth = found["artery"].array > 0.5, np.isin(classes, list(TREE_CODES.values()))
        sure = classes != 255
        assert 2.0 * (artery & truth).sum() / ((artery & sure).sum() + truth.sum()) > 0.6
        wide = truth & (ndimage.distance_transform_edt(truth) * SPACING_MM > 1.0)  # middle lines of the trunks
        assert artery[wide].mean() > 0.9
        vein = found["artery"].array[classes == VEIN_CLASS]
        assert vein.size == 0 or vein.mean() < found["artery"].array[truth].mean() / 2.0
        trees = np.stack([found[name].array for name in ARTERY_TREES]).argmax(axis=0) + TREE_CODES["ICA"]
        assert (trees == classes)[truth & artery].mean() > 0.8


@pytest.mark.real
def test_it_finds_vessels_not_bone_on_a_genuine_scan(model, real_data):
    """No label: above the skull base whatever is bright is a vessel; anywhere, what is brighter than 600 HU is bone.

    The crop is not registered; the carotid termini lie near its middle, and the pose says so.
    """
    scan = nib.load(real_data / "cow" / "cta_cow_crop.nii.gz")
    hu = np.asarray(scan.dataobj, dtype=np.float32).T
    hu = ndimage.zoom(hu, np.array(scan.header.get_zooms()[::-1]) / SPACING_MM, order=1)
    padded = np.pad(hu, 12, mode="reflect")
    grid = Grid.from_axes(padded.shape, (SPACING_MM,) * 3, origin_lps_mm=(0.0, 0.0, 0.0))
    to_atlas = np.eye(4)
    to_atlas[:3, 3] = (0.0, 0.0, -15.0) - grid.center_lps_mm
    inner = (slice(12, -12),) * 3
    found = predict(model, Volume(padded, grid, Quantity.HU), HeadPose(to_atlas, 1.0))
    artery, vein = found["artery"].array[inner], found["vein"].array[inner]
    above_the_base = np.arange(len(hu)) * SPACING_MM >= 11.0
    bright = (hu > 200.0) & above_the_base[:, None, None]
    assert (artery + vein)[bright].mean() > 0.8
    assert artery[bright].mean() > 0.6
    assert (artery > 0.5)[hu > 600.0].mean() < 0.3  # bone beside the carotid is its known weakness
    quiet = (hu > 20.0) & (hu < 60.0) & (ndimage.maximum_filter(hu, size=7) < 150.0)
    assert (artery > 0.5)[quiet].mean() < 0.002
