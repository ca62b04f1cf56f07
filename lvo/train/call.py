"""Fit the call: the last, small step, on artery maps that the shipped network drew of synthetic heads it never saw.

A hemisphere is one case. The network's own mistakes and the registration's error are in the maps, so the probability is
that of the whole chain, at the prevalence of the fitting set.
"""

import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from multiprocessing import active_children, get_context
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from lvo.core.outcome import NotAssessable
from lvo.core.report import Side, Site
from lvo.cta.call import CallHead, Logistic
from lvo.cta.decode import measure
from lvo.cta.features import BasilarFeatures, HemisphereFeatures
from lvo.errors import InputError
from lvo.infer import Manifest, load_model, predict
from lvo.train.config import DataSettings
from lvo.train.heads import head_case

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

__all__ = ["CALLED_SITES", "CallCase", "FitQuality", "fit_call", "measure_cases"]

CALLED_SITES = frozenset({Site.ICA_T, Site.M1, Site.M2})
"""Sites that count as an occlusion of the hemisphere; the others are not judged yet and are left out of the fit."""

_FOLDS = 5
_INVERSE_PENALTY = 0.5
"""Strength of the ridge: weights stay moderate, so that a scan unlike all others gets a moderate probability."""


class CallCase(msgspec.Struct, frozen=True):
    """What was measured on one synthetic head, and its truth."""

    seed: int
    left: tuple[float, ...]
    right: tuple[float, ...]
    basilar: tuple[float, ...]
    side: Side | None
    site: Site | None


@dataclass(frozen=True, slots=True)
class FitQuality:
    """Cross-validated quality on the fitting cases: area under the ROC curve and Brier score per hemisphere."""

    n_cases: int
    hemisphere_auc: float
    hemisphere_brier: float
    basilar_auc: float


def measure_cases(
    model_name: str, seeds: Sequence[int], *, workers: int = 2, progress: Callable[[str], None] = lambda _: None
) -> tuple[CallCase, ...]:
    """Render heads, run the network on them, and measure the maps.

    Args:
        model_name: of the network.
        seeds: one head each; 2000 to 2999 belong to the call.
        workers: processes.
        progress: told a line after every head.
    """
    cases = []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_leave_signals_to_the_parent) as pool:
        try:
            for done, case in enumerate(pool.map(partial(_measure_case, model_name), seeds), 1):
                if case is not None:
                    cases.append(case)
                progress(f"{done} of {len(seeds)} heads measured")
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in active_children():
                worker.kill()
                worker.join()
            raise
    return tuple(cases)


def _leave_signals_to_the_parent() -> None:
    """A signal to the whole group must not fill the terminal with a traceback per process: the parent ends them."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _measure_case(model_name: str, seed: int) -> CallCase | None:
    model = load_model(model_name, threads=1)
    head = head_case(seed, DataSettings(spacing_mm=model.manifest.input.spacing_mm))
    evidence = measure(predict(model, head.hu)["artery"], head.pose, head.hu.grid)
    if isinstance(evidence, NotAssessable) or evidence.basilar is None:
        return None
    left, right = (tuple(map(float, evidence.features(side).vector())) for side in (Side.LEFT, Side.RIGHT))
    return CallCase(seed, left, right, tuple(map(float, evidence.basilar[0].vector())), head.side, head.site)


def fit_call(cases: Sequence[CallCase], *, network: Manifest) -> tuple[CallHead, FitQuality]:
    """Fit both logistic models.

    Args:
        cases: measured heads.
        network: manifest of the network that drew their maps.

    Raises:
        InputError: too few cases with or without an occlusion to fit and to check.
    """
    hemispheres = [
        (case, side) for case in cases if case.site is None or case.site in CALLED_SITES for side in (Side.LEFT, Side.RIGHT)
    ]
    x = np.array([case.left if side is Side.LEFT else case.right for case, side in hemispheres])
    y = np.array([case.site is not None and case.side is side for case, side in hemispheres])
    groups = np.array([case.seed for case, _ in hemispheres])
    basilar_cases = [case for case in cases if case.site is not Site.VA]
    basilar_x = np.array([case.basilar for case in basilar_cases])
    basilar_y = np.array([case.site is Site.BA for case in basilar_cases])
    for name, truth in (("hemisphere", y), ("basilar", basilar_y)):
        if min(truth.sum(), (~truth).sum()) < _FOLDS:
            needed, found = f"at least {_FOLDS} cases with and without an occlusion", f"{truth.sum()} and {(~truth).sum()}"
            msg = f"the {name} call needs {needed}, got {found}; give more seeds"
            raise InputError(msg)
    auc, brier = _cross_validate(x, y, groups)
    basilar_auc, _ = _cross_validate(basilar_x, basilar_y, np.arange(len(basilar_y)))
    seeds = [case.seed for case in cases]
    words = f"{len(cases)} synthetic heads, seeds {min(seeds)} to {max(seeds)}; {y.mean():.0%} of the hemispheres occluded"
    head = CallHead(
        network.sha256,
        words,
        _fit(x, y, tuple(field.name for field in fields(HemisphereFeatures))),
        _fit(basilar_x, basilar_y, tuple(field.name for field in fields(BasilarFeatures))),
    )
    return head, FitQuality(len(cases), auc, brier, basilar_auc)


def _regression() -> "LogisticRegression":
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=_INVERSE_PENALTY, max_iter=1000)


def _fit(x: NDArray[np.float64], y: NDArray[np.bool_], names: tuple[str, ...]) -> Logistic:
    mean, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-3)
    fitted = _regression().fit((x - mean) / scale, y)
    rounded = [tuple(round(float(value), 5) for value in row) for row in (mean, scale, fitted.coef_[0])]
    return Logistic(names, rounded[0], rounded[1], rounded[2], round(float(fitted.intercept_[0]), 5))


def _cross_validate(x: NDArray[np.float64], y: NDArray[np.bool_], groups: NDArray[np.int64]) -> tuple[float, float]:
    """AUC and Brier score of predictions for heads that were left out."""
    from sklearn.metrics import brier_score_loss, roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    standard = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-3)
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    probability = cross_val_predict(_regression(), standard, y, groups=groups, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(y, probability)), float(brier_score_loss(y, probability))
