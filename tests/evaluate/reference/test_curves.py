"""Areas against other libraries and documented values; the free-response curve against MONAI's and by hand."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from lvo.core.report import Call
from lvo.evaluate.reference.curves import curves, froc, precision_recall_points, roc_points, scores_of
from lvo.evaluate.reference.numbers import find


def from_scores(make_case, positive, negative):
    return [make_case(f"1.{n}", probability=p) for n, p in enumerate(positive)] + [
        make_case(f"2.{n}", lvo=False, probability=p) for n, p in enumerate(negative)
    ]


def test_average_precision_as_scikit_learn_documents_it(make_case):
    """y_true 0 0 1 1, y_scores .1 .4 .35 .8 gives 0.83 (sklearn.metrics.average_precision_score, Examples)."""
    numbers = curves(from_scores(make_case, (0.35, 0.8), (0.1, 0.4)))
    assert find(numbers, "average precision, judged only").estimate.value == pytest.approx(0.8333333)
    recall, precision = precision_recall_points(scores_of(from_scores(make_case, (0.35, 0.8), (0.1, 0.4))))
    np.testing.assert_allclose(precision, [0.5, 2 / 3, 0.5, 1.0, 1.0])
    np.testing.assert_allclose(recall, [1.0, 1.0, 0.5, 0.5, 0.0])


def test_areas_with_and_without_studies_that_were_not_judged(make_case):
    rng = np.random.default_rng(3)
    positive, negative = rng.beta(4, 2, 30), rng.beta(2, 4, 40)
    cases = [
        *from_scores(make_case, positive, negative),
        make_case("3.1", call=None),
        make_case("3.2", lvo=False, call="missing"),
    ]
    numbers = curves(cases)
    judged = find(numbers, "area under the ROC curve, judged only").estimate
    assert judged.value == pytest.approx(roc_auc_score([1] * 30 + [0] * 40, [*positive, *negative]))
    everyone = find(numbers, "area under the ROC curve, not analysed ranks lowest").estimate
    truth, score = [1] * 31 + [0] * 41, [*positive, -1.0, *negative, -1.0]
    assert everyone.value == pytest.approx(roc_auc_score(truth, score))
    assert everyone.value < judged.value
    false_rate, true_rate = roc_points(scores_of(cases))
    assert np.trapezoid(true_rate, false_rate) == pytest.approx(everyone.value)


def test_free_response_by_hand(make_case):
    near, far = (20.0, 0.0, 0.0), (20.0, 3.0, 40.0)  # the mark is at (20, 3, 4): 5 mm and 36 mm away
    cases = [
        make_case("1.1", probability=0.9, location_lps_mm=near),
        make_case("1.2", probability=0.8, location_lps_mm=far),
        make_case("1.3", probability=0.7, location_lps_mm=near),
        make_case("1.4", call=None, location_lps_mm=near),
        make_case("1.5", probability=0.95, location_lps_mm=None),
        make_case("2.1", lvo=False, probability=0.85),
        make_case("2.2", lvo=False, call=Call.NOT_DETECTED, probability=0.1),
    ]
    curve = froc(cases)
    assert (curve.n_studies, curve.n_occlusions) == (6, 4)  # an occlusion without a place in the table is left out
    np.testing.assert_allclose(curve.false_marks_per_study * 6, [0, 0, 1, 2, 2])
    np.testing.assert_allclose(curve.sensitivity * 4, [0, 1, 1, 1, 2])
    numbers = curves(cases)
    assert find(numbers, "localised within 10 mm at 0.125 false marks a study").estimate.value == 0.25
    assert find(numbers, "localised within 10 mm at 0.5 false marks a study").estimate.value == 0.5


def test_free_response_agrees_with_monai(make_case):
    froc_of_monai = pytest.importorskip("monai.metrics.froc", reason="MONAI is in the train extra").compute_froc_curve_data
    rng = np.random.default_rng(11)
    near, far = (20.0, 0.0, 0.0), (20.0, 3.0, 40.0)
    score, hit = rng.random(60).round(3), rng.random(60) < 0.7
    cases = [
        make_case(f"1.{n}", probability=p, location_lps_mm=near if ok else far)
        for n, (p, ok) in enumerate(zip(score, hit, strict=True))
    ]
    others = rng.random(40).round(3)
    cases += [make_case(f"2.{n}", lvo=False, probability=p) for n, p in enumerate(others)]
    false, true = np.concatenate([score[~hit], others]), score[hit]
    rate, sensitivity = froc_of_monai(false, true, 60, 100)
    curve = froc(cases)
    for x, y in zip(rate, sensitivity, strict=True):
        assert curve.sensitivity[np.isclose(curve.false_marks_per_study, x)].max() >= y - 1e-12
    ours = {(round(x, 9), round(y, 9)) for x, y in zip(curve.false_marks_per_study, curve.sensitivity, strict=True)}
    theirs = {(round(float(x), 9), round(float(y), 9)) for x, y in zip(rate, sensitivity, strict=True)}
    assert len(ours & theirs) >= 0.9 * len(ours)


def test_without_places_there_is_no_free_response_curve(make_case):
    assert froc([make_case(location_lps_mm=None), make_case("2.1", lvo=False)]) is None
