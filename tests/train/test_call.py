"""The call is fitted on measured cases: each detector on its own sites, the probability on the highest of them."""

from dataclasses import fields
from multiprocessing import active_children

import numpy as np
import pytest
from lvo_tests_call_scene import NETWORK, case, drawn, hemisphere

from lvo.core.grid import Grid
from lvo.core.report import Side, Site
from lvo.core.volume import Quantity, Volume
from lvo.cta.call import DETECTORS, suspect
from lvo.cta.features import BasilarFeatures, HemisphereFeatures
from lvo.errors import InputError
from lvo.train import call
from lvo.train.call import COVERED_SITES, FEATURES, CallCase, fit_call, is_refused


@pytest.fixture(scope="module")
def fitted():
    return fit_call(drawn(), network=NETWORK)


def test_what_can_be_told_apart_is(fitted):
    _, quality = fitted
    assert quality.n_cases == 160
    assert set(quality.detector_auc) == {*DETECTORS, "basilar"}
    assert min(quality.detector_auc.values()) > 0.95
    assert quality.auc > 0.95
    assert quality.brier < 0.05


@pytest.mark.parametrize(
    ("arterial_hu", "slice_mm", "refused"),
    [
        pytest.param(300.0, 0.6, False, id="a good scan"),
        pytest.param(300.0, 3.0, False, id="slices as thick as may be"),
        pytest.param(300.0, 3.01, True, id="slices too thick"),
        pytest.param(150.0, 0.6, False, id="as little contrast as may be"),
        pytest.param(149.0, 0.6, True, id="too little contrast"),
        pytest.param(None, 0.6, True, id="no artery"),
    ],
)
def test_nothing_is_learnt_from_a_scan_that_would_be_refused(arterial_hu, slice_mm, refused):
    grid = Grid.from_axes((10, 10, 10), (0.8,) * 3, origin_lps_mm=(0.0, 0.0, 0.0))
    hu, artery = np.full(grid.shape_kji, 40.0, np.float32), np.zeros(grid.shape_kji, np.float32)
    if arterial_hu is not None:
        hu[:2], artery[:2] = arterial_hu, 1.0
    vessels = {
        name: Volume(array, grid, Quantity.PROBABILITY) for name, array in (("artery", artery), ("vein", np.zeros_like(artery)))
    }
    assert is_refused(Volume(hu, grid, Quantity.HU), vessels, slice_mm=slice_mm) == refused


def test_noise_is_not_told_apart():
    """The quality is that of cases which the detectors never saw: labels drawn by chance give chance."""
    cases, order = drawn(), np.random.default_rng(0).permutation(160)
    shuffled = [
        CallCase(one.seed, one.family, one.left, one.right, one.basilar, cases[other].stops)
        for one, other in zip(cases, order, strict=True)
    ]
    _, quality = fit_call(shuffled, network=NETWORK)
    assert quality.auc < 0.65
    assert max(quality.detector_auc.values()) < 0.75


def test_every_detector_sees_its_own_occlusions_and_probability_grows_with_suspicion(fitted):
    """On new cases the place and the part are named by the highest probability; healthy heads stay low."""
    head, _ = fitted
    assert head.network_sha256 == NETWORK.sha256
    assert head.slope > 0.0
    assert "160 synthetic scans, seeds 5100 to 5259; 50% with an occlusion" in head.fitted_on
    parts = {Site.ICA: "siphon", Site.ICA_T: "stem", Site.M1: "stem", Site.M2: "m2"}
    for n, (site, part) in enumerate(parts.items()):
        for side in (Side.LEFT, Side.RIGHT):
            new = case(900 + n, (side, site))
            suspicion = suspect(head, new.left, new.right, new.basilar)
            assert suspicion.worst is side
            assert (suspicion.left if side is Side.LEFT else suspicion.right).detector(0.5) == part
            assert suspicion.highest > 0.7
    basilar = case(950, (Side.MIDLINE, Site.BA))
    assert suspect(head, basilar.left, basilar.right, basilar.basilar).worst is Side.MIDLINE
    healthy = [case(seed) for seed in range(960, 980)]
    assert np.mean([suspect(head, one.left, one.right, one.basilar).highest for one in healthy]) < 0.3


def test_detectors_look_at_features_that_exist():
    assert set(FEATURES) == {*DETECTORS, "basilar"}
    for name, features in FEATURES.items():
        kind = BasilarFeatures if name == "basilar" else HemisphereFeatures
        assert set(features) <= {field.name for field in fields(kind)}


def test_an_occlusion_that_is_not_judged_is_neither_with_nor_without():
    """Scans with A1 alone are left out of the calibration, whatever their features say."""
    assert not {Site.A1, Site.A2, Site.P1, Site.VA} & COVERED_SITES
    looks_occluded = [
        CallCase(5500 + n, "plain", hemisphere(np.random.default_rng(n), (Site.M1,)), *rest, ((Side.LEFT, Site.A1),))
        for n, rest in ((n, (one.right, one.basilar)) for n, one in enumerate(drawn(80)))
    ]
    head, quality = fit_call([*drawn(), *looks_occluded], network=NETWORK)
    assert quality.n_cases == 240
    assert head.fitted_on.startswith("240 synthetic scans")
    assert head.fitted_on.endswith("50% with an occlusion")  # of the 160 others
    assert quality.auc > 0.95  # taken for scans without, half of those without would be false alarms


def test_an_m1_occlusion_is_no_healthy_example_for_the_other_detectors(fitted):
    """M1 occlusions with all signs of M2 too leave the M2 detector as sure as it was."""
    rng = np.random.default_rng(7)
    both = [
        CallCase(6000 + n, "plain", hemisphere(rng, (Site.M1, Site.M2)), hemisphere(rng), None, ((Side.LEFT, Site.M1),))
        for n in range(60)
    ]
    _, quality = fit_call([*drawn(), *both], network=NETWORK)
    assert quality.detector_auc["m2"] == pytest.approx(fitted[1].detector_auc["m2"], abs=0.02)


def test_a_vertebral_occlusion_is_no_healthy_basilar_artery():
    table = call._basilars([case(1), case(2, (Side.LEFT, Site.VA)), case(3, (Side.MIDLINE, Site.BA)), case(4, seen=False)])
    assert table.case.tolist() == [0, 2]
    assert table.y.tolist() == [False, True]


@pytest.mark.parametrize(
    ("cases", "words"),
    [
        pytest.param(drawn(20), "needs at least 5 cases with and without an occlusion, got", id="few"),
        pytest.param([case(5100 + n) for n in range(40)], "siphon detector needs .* got 0 and 80", id="none occluded"),
        pytest.param([one for one in drawn() if (Side.MIDLINE, Site.BA) not in one.stops], "basilar detector", id="no basilar"),
        pytest.param([], "got 0 and 0", id="no cases"),
        pytest.param(
            [CallCase(one.seed, one.family, one.left, one.right, None, one.stops) for one in drawn()],
            "basilar detector needs .* got 0 and 0",
            id="none covers the basilar artery",
        ),
    ],
)
def test_too_few_cases_are_refused(cases, words):
    with pytest.raises(InputError, match=words):
        fit_call(cases, network=NETWORK)


def test_an_interrupted_measurement_ends_its_processes_at_once(monkeypatch):
    """The second case would take days; progress is told for the first."""
    monkeypatch.setattr(call, "_measure_case", pow)
    told = []

    def interrupt(text):
        told.append(text)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call.measure_cases(7, [1, 1 << 1_000_000, 1 << 1_000_000], precision=1 << 10_000_000, workers=1, progress=interrupt)
    assert told == ["1 of 3 heads measured"]
    assert active_children() == []
