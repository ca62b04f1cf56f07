"""Fit the call: the last, small step, on vessel maps that the shipped network drew of scans it never saw, synthetic or real.

A hemisphere is one case. The network's own mistakes and the registration's error are in the maps, so the probability is
that of the whole chain, at the prevalence of the fitting set.
"""

import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import active_children, get_context
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from lvo.config import CtaSettings, Precision
from lvo.core.outcome import NotAssessable
from lvo.core.report import Side, Site
from lvo.core.volume import Volume
from lvo.cta.bolus import measure_bolus, unfit_bolus
from lvo.cta.call import DETECTORS, CallHead, Detector, Logistic
from lvo.cta.features import BasilarFeatures, HemisphereFeatures, vector
from lvo.cta.measure import measure
from lvo.errors import InputError
from lvo.infer import Manifest, load_model, predict
from lvo.synth.cases import SEEDS, Case, draw_case, split_of
from lvo.synth.cropped import scan_case
from lvo.train.call_config import CallFit

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

__all__ = [
    "COVERED_SITES",
    "FEATURES",
    "LOCAL",
    "CallCase",
    "FitQuality",
    "fit_call",
    "fitting_seeds",
    "is_refused",
    "measure_cases",
    "stops_of_case",
]

FEATURES: dict[str, tuple[str, ...]] = {
    "siphon": ("siphon_gap_cm", "siphon_darkness", "carotid_vs_other", "carotid_vs_atlas", "siphon_clot"),
    "stem": (
        "trunk_gap_cm", "both_branches_gap_cm", "trunk_darkness", "both_branches_darkness", "m1_vs_other", "m1_vs_atlas",
        "m1_hu_vs_other", "m2_vs_other", "insula_vs_other", "front_vs_other", "back_vs_other", "unfed", "stem_clot",
    ),
    "m2": (
        "branch_cut_off", "weaker_zone_vs_other", "insula_vs_other", "unfed", "m2_clot",
    ),
    "basilar": ("gap_cm", "darkness", "fed_tip_vs_atlas", "unfed_posterior", "clot", "tip_clot"),
}  # fmt: skip
"""What each detector looks at."""

_SITES: dict[Detector, frozenset[Site]] = {
    "siphon": frozenset({Site.ICA}), "stem": frozenset({Site.ICA_T, Site.M1}), "m2": frozenset({Site.M2}),
}  # fmt: skip
COVERED_SITES = frozenset({Site.BA}).union(*_SITES.values())
"""Sites that count as an occlusion; scans with none but others are left out of the calibration."""

LOCAL = "local"
"""Family of cases that no generator drew."""


class CallCase(msgspec.Struct, frozen=True):
    """What was measured on one scan, and its truth.

    Args:
        seed: of the case; of a real scan a number that all scans of the patient share. Cases of one seed stay in one fold.
        family: what makes it hard; `LOCAL` for a real scan.
        left, right: features of the hemispheres.
        basilar: of the basilar artery, None when it is not covered.
        stops: side and site of every occlusion.
    """

    seed: int
    family: str
    left: HemisphereFeatures
    right: HemisphereFeatures
    basilar: BasilarFeatures | None
    stops: tuple[tuple[Side, Site], ...]

    @property
    def covered(self) -> bool:
        """Whether an artery is occluded that is judged."""
        return any(site in COVERED_SITES for _, site in self.stops)

    def sites_on(self, side: Side) -> frozenset[Site]:
        """Sites of the occlusions of one side."""
        return frozenset(site for where, site in self.stops if where is side)


@dataclass(frozen=True, slots=True)
class FitQuality:
    """Cross-validated quality on the fitting cases.

    Args:
        n_cases: how many.
        detector_auc: area under the ROC curve of every detector.
        auc: that of the whole call.
        brier: its Brier score.
    """

    n_cases: int
    detector_auc: dict[str, float]
    auc: float
    brier: float


def fitting_seeds(first: int, n_heads: int, *, least_each: int = 12) -> tuple[int, ...]:
    """Seeds of the cases to fit on: `n_heads` as they come, then more of the sites that are still rare among them.

    Args:
        first: first seed, of a split that neither the network nor the evaluation uses.
        n_heads: how many as they come.
        least_each: occlusions that every detector shall see.
    """
    chosen: list[int] = []
    seed = first
    missing = dict.fromkeys((*DETECTORS, "basilar"), least_each)
    last = SEEDS[split_of(first)].stop
    while seed < last and (len(chosen) < n_heads or any(n > 0 for n in missing.values())):
        sites = _sites_of(seed)
        wanted = [name for name, members in (*_SITES.items(), ("basilar", {Site.BA})) if sites & members]
        if len(chosen) < n_heads or any(missing[name] > 0 for name in wanted):
            chosen.append(seed)
            for name in wanted:
                missing[name] -= 1
        seed += 1
    return tuple(chosen)


@cache
def _sites_of(seed: int) -> frozenset[Site]:
    """Sites that are occluded in the head of a seed; kept, since lists of seeds share their heads and a head takes a moment."""
    return frozenset(site for _, site in stops_of_case(draw_case(seed, split_of(seed))))


def measure_cases(
    model_name: str,
    seeds: Sequence[int],
    *,
    precision: Precision = "float32",
    workers: int = 2,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[CallCase, ...]:
    """Render scans, run the network on them, and measure the maps.

    Args:
        model_name: of the network.
        seeds: one case each, of a split that neither the network nor the evaluation uses.
        precision: of the network's arithmetic.
        workers: processes.
        progress: told a line after every case.

    Raises:
        ModelError: there is no such network, or this machine has not the precision.
    """
    cases = []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_leave_signals_to_the_parent) as pool:
        try:
            for done, case in enumerate(pool.map(partial(_measure_case, model_name, precision), seeds), 1):
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


def _measure_case(model_name: str, precision: Precision, seed: int) -> CallCase | None:
    model = load_model(model_name, threads=1, precision=precision)
    case = draw_case(seed, split_of(seed))
    scanned = scan_case(case, spacing_mm=model.manifest.input.spacing_mm)
    vessels = predict(model, scanned.hu, scanned.pose)
    if is_refused(scanned.hu, vessels, slice_mm=scanned.truth.slice_mm):
        return None
    measures = measure(scanned.hu, vessels, scanned.pose, scanned.hu.grid)
    if isinstance(measures, NotAssessable):
        return None
    left, right = measures.features(Side.LEFT), measures.features(Side.RIGHT)
    return CallCase(seed, case.family, left, right, measures.basilar_features(), stops_of_case(case))


def is_refused(hu: Volume, vessels: Mapping[str, Volume], *, slice_mm: float) -> bool:
    """Whether `lvo run` would refuse a scan: the call never sees such a map, so nothing is learnt from it."""
    settings = CtaSettings()
    bolus = measure_bolus(hu.array, vessels["artery"].array, vessels["vein"].array)
    return slice_mm > settings.max_slice_mm or unfit_bolus(bolus, settings.min_arterial_hu) != ""


def stops_of_case(case: Case) -> tuple[tuple[Side, Site], ...]:
    """Side and site of every occlusion of a synthetic case."""
    occlusions = () if case.head.occlusion is None else (case.head.occlusion, *case.head.further)
    return tuple((occlusion.side, occlusion.site) for occlusion in occlusions)


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Rows for one detector: features, truth, and the index of the case each comes from."""

    x: NDArray[np.float64]
    y: NDArray[np.bool_]
    case: NDArray[np.intp]


def fit_call(
    cases: Sequence[CallCase], *, network: Manifest, how: CallFit | None = None, local: str = ""
) -> tuple[CallHead, FitQuality]:
    """Fit the detectors, and calibrate the highest of them.

    Args:
        cases: measured scans.
        network: manifest of the network that drew their maps.
        how: penalty and folds; the defaults if omitted.
        local: where the real ones among the cases come from, in words.

    Raises:
        InputError: too few cases with or without an occlusion to fit and to check.
    """
    how = how or CallFit()
    tables = {name: _hemispheres(cases, name) for name in DETECTORS} | {"basilar": _basilars(cases)}
    for name, table in tables.items():
        if min(table.y.sum(), (~table.y).sum()) < how.folds:
            needed, found = (
                f"at least {how.folds} cases with and without an occlusion",
                f"{table.y.sum()} and {(~table.y).sum()}",
            )
            msg = f"the {name} detector needs {needed}, got {found}; give more seeds"
            raise InputError(msg)
    left_out = {name: _cross_validated(cases, table, name, how) for name, table in tables.items()}
    judged = np.array([case.covered or not case.stops for case in cases])
    highest = np.max([_highest_per_case(cases, left_out[name], name) for name in tables], axis=0)[judged]
    truth = np.array([case.covered for case in cases])[judged]
    slope, intercept, probability = _platt(highest, truth)
    words = f"{_in_words(cases, local)}; {truth.mean():.0%} with an occlusion"
    detectors = {name: _fit(table, FEATURES[name], how) for name, table in tables.items()}
    head = CallHead(network.sha256, words, **detectors, slope=round(slope, 5), intercept=round(intercept, 5))
    from sklearn.metrics import brier_score_loss, roc_auc_score

    aucs = {name: float(roc_auc_score(table.y, _of_rows(cases, left_out[name], table))) for name, table in tables.items()}
    quality = FitQuality(len(cases), aucs, float(roc_auc_score(truth, highest)), float(brier_score_loss(truth, probability)))
    return head, quality


def _in_words(cases: Sequence[CallCase], local: str) -> str:
    """How many scans of which kind; `lvo.train.reproduce` reads the seeds out of it."""
    seeds = [case.seed for case in cases if case.family != LOCAL]
    drawn = f"{len(seeds)} synthetic scans, seeds {min(seeds)} to {max(seeds)}" if seeds else ""
    real = f"{len(cases) - len(seeds)} scans of {local or 'local manifests'}" if len(seeds) < len(cases) else ""
    return " and ".join(filter(None, (drawn, real)))


def _hemispheres(cases: Sequence[CallCase], name: Detector) -> _Table:
    """Both hemispheres of every case; those with an occlusion of another detector are left out."""
    others = COVERED_SITES - _SITES[name]
    rows = [
        (vector(features, FEATURES[name]), bool(sites & _SITES[name]), n)
        for n, case in enumerate(cases)
        for features, sites in ((case.left, case.sites_on(Side.LEFT)), (case.right, case.sites_on(Side.RIGHT)))
        if sites & _SITES[name] or not sites & others
    ]
    return _table(rows)


def _basilars(cases: Sequence[CallCase]) -> _Table:
    """Basilar arteries of every case but those with an occluded vertebral artery, which may look either way."""
    rows = [
        (vector(case.basilar, FEATURES["basilar"]), any(site is Site.BA for _, site in case.stops), n)
        for n, case in enumerate(cases)
        if case.basilar is not None and not any(site is Site.VA for _, site in case.stops)
    ]
    return _table(rows)


def _table(rows: Sequence[tuple[NDArray[np.float64], bool, int]]) -> _Table:
    x, y, case = ([row[column] for row in rows] for column in range(3))
    return _Table(np.array(x), np.array(y, dtype=bool), np.array(case, dtype=np.intp))


def _regression(inverse_penalty: float) -> "LogisticRegression":
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=inverse_penalty, max_iter=2000)


def _fit(table: _Table, names: tuple[str, ...], how: CallFit) -> Logistic:
    mean, scale = table.x.mean(axis=0), np.maximum(table.x.std(axis=0), 1e-2)
    fitted = _regression(how.inverse_penalty).fit((table.x - mean) / scale, table.y)
    rounded = [tuple(round(float(value), 5) for value in row) for row in (mean, scale, fitted.coef_[0])]
    return Logistic(names, rounded[0], rounded[1], rounded[2], round(float(fitted.intercept_[0]), 5))


def _cross_validated(cases: Sequence[CallCase], table: _Table, name: str, how: CallFit) -> list[Logistic]:
    """A detector per fold of cases, each fitted without the cases of its fold."""
    fold = np.array([case.seed % how.folds for case in cases])[table.case]
    kept = [fold != number for number in range(how.folds)]
    return [_fit(_Table(table.x[keep], table.y[keep], table.case[keep]), FEATURES[name], how) for keep in kept]


def _highest_per_case(cases: Sequence[CallCase], folds: Sequence[Logistic], name: str) -> NDArray[np.float64]:
    """(cases,) the higher log odds of a case's places by the detector that never saw it."""
    out = []
    for case in cases:
        detector = folds[case.seed % len(folds)]
        places = (case.left, case.right) if name != "basilar" else (case.basilar,)
        out.append(max((detector.logit(place) for place in places if place is not None), default=-np.inf))
    return np.array(out)


def _of_rows(cases: Sequence[CallCase], folds: Sequence[Logistic], table: _Table) -> NDArray[np.float64]:
    """(rows,) log odds of every row by the detector that never saw its case."""
    out = np.empty(len(table.y))
    for n, (row, case) in enumerate(zip(table.x, table.case, strict=True)):
        fold = folds[cases[case].seed % len(folds)]
        out[n] = ((row - np.array(fold.mean)) / np.array(fold.scale)) @ np.array(fold.weight) + fold.intercept
    return out


def _platt(logit: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[float, float, NDArray[np.float64]]:
    """Slope and intercept of the calibration, and the calibrated probabilities of the fitting cases."""
    from sklearn.linear_model import LogisticRegression

    clipped = np.clip(logit, -50.0, 50.0)[:, None]
    fitted = LogisticRegression(C=1e6, max_iter=2000).fit(clipped, truth)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0]), np.asarray(fitted.predict_proba(clipped)[:, 1])
