"""Indexed scans whose outcome is known: what the shipped call says of them, or the evidence to fit one on."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lvo.core.outcome import NotAssessable
from lvo.core.report import Side, Site
from lvo.cta.call import CallHead, suspect
from lvo.cta.measure import ArteryMeasures, measure
from lvo.errors import InputError
from lvo.infer.session import Model, predict
from lvo.train.call import COVERED_SITES, LOCAL, CallCase, is_refused
from lvo.train.config import DataSettings
from lvo.train.datasets.manifest import Entry, Split
from lvo.train.manifest_data import Source, register_entry
from lvo.train.recalibrate import RecalibrationCase

__all__ = ["FittingCases", "LocalCases", "measure_for_fit", "measure_local", "stops_of"]


@dataclass(frozen=True, slots=True)
class LocalCases:
    """Cases that were judged, and those that were not, with the reason."""

    cases: tuple[RecalibrationCase, ...]
    left_out: tuple[tuple[str, str], ...]


def measure_local(
    sources: Sequence[Source],
    splits: Sequence[Split],
    model: Model,
    head: CallHead,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> LocalCases:
    """Run the network and the call on every angiogram whose outcome is known, as `lvo run` does.

    Args:
        sources: manifests.
        splits: which of their entries.
        model: the network.
        head: its call.
        progress: told a line after each case.

    Raises:
        InputError: a file changed since it was indexed.
    """
    cases: list[RecalibrationCase] = []
    left_out: list[tuple[str, str]] = []
    for source in sources:
        for entry in [entry for split in splits for entry in source.manifest.of(split)]:
            why = _unfit(entry)
            if not why:
                judged = _judge(source, entry, model, head)
                if isinstance(judged, NotAssessable):
                    why = "; ".join(judged.reasons)
                else:
                    cases.append(judged)
            if why:
                left_out.append((entry.subject, why))
            progress(f"{entry.subject}: {why or 'judged'}")
    return LocalCases(tuple(cases), tuple(left_out))


def _unfit(entry: Entry) -> str:
    """Why an entry says nothing about the call, empty when it does."""
    if entry.occluded is None:
        return "nobody says whether a vessel is occluded"
    if entry.occluded and entry.site and Site(entry.site) not in COVERED_SITES:
        return f"{entry.site} is not judged by the call"
    return ""


def _judge(source: Source, entry: Entry, model: Model, head: CallHead) -> RecalibrationCase | NotAssessable:
    """Log odds of the most suspicious place."""
    measures = _measured(source, entry, model)
    if isinstance(measures, NotAssessable):
        return measures
    suspicion = suspect(head, measures.features(Side.LEFT), measures.features(Side.RIGHT), measures.basilar_features())
    probability = min(max(suspicion.highest, 1e-12), 1.0 - 1e-12)
    if entry.occluded is None:
        msg = f"{entry.subject} has no outcome"
        raise InputError(msg)
    return RecalibrationCase(entry.subject, math.log(probability / (1.0 - probability)), entry.occluded)


def _measured(source: Source, entry: Entry, model: Model) -> ArteryMeasures | NotAssessable:
    """The map of a scan, measured where `lvo run` would judge it."""
    registered = register_entry(source, entry, DataSettings(spacing_mm=model.manifest.input.spacing_mm), labels=False)
    if isinstance(registered, NotAssessable):
        return registered
    hu, pose = registered.value.hu, registered.value.pose
    vessels, scanned = predict(model, hu, pose), registered.value.scanned.grid
    if is_refused(
        hu, vessels, slice_mm=float(scanned.spacing_kji_mm.max())
    ):  # slices may be stacked along any axis of the file
        return NotAssessable(("the slices are too thick or the contrast is too weak: no call is asked about such a scan",))
    return measure(hu, vessels, pose, scanned)


@dataclass(frozen=True, slots=True)
class FittingCases:
    """Cases to fit the call on, and those that cannot be, with the reason."""

    cases: tuple[CallCase, ...]
    left_out: tuple[tuple[str, str], ...]


def measure_for_fit(
    sources: Sequence[Source], splits: Sequence[Split], model: Model, *, progress: Callable[[str], None] = lambda _: None
) -> FittingCases:
    """Run the network on every angiogram whose occlusions are known by side and artery, and measure the maps.

    Args:
        sources: manifests.
        splits: which of their entries.
        model: the network.
        progress: told a line after each case.

    Raises:
        InputError: a file changed since it was indexed.
    """
    wanted = [(source, entry) for source in sources for split in splits for entry in source.manifest.of(split)]
    number = {patient: n for n, patient in enumerate(sorted({entry.patient for _, entry in wanted}))}
    cases: list[CallCase] = []
    left_out: list[tuple[str, str]] = []
    for source, entry in wanted:
        made = _fitting_case(source, entry, model, number[entry.patient])
        why = "; ".join(made.reasons) if isinstance(made, NotAssessable) else ""
        if isinstance(made, NotAssessable):
            left_out.append((entry.subject, why))
        else:
            cases.append(made)
        progress(f"{entry.subject}: {why or 'measured'}")
    return FittingCases(tuple(cases), tuple(left_out))


def _fitting_case(source: Source, entry: Entry, model: Model, number: int) -> CallCase | NotAssessable:
    """The evidence on one scan, and its truth."""
    stops = stops_of(entry)
    if isinstance(stops, NotAssessable):
        return stops
    measures = _measured(source, entry, model)
    if isinstance(measures, NotAssessable):
        return measures
    left, right = measures.features(Side.LEFT), measures.features(Side.RIGHT)
    return CallCase(number, LOCAL, left, right, measures.basilar_features(), stops)


def stops_of(entry: Entry) -> tuple[tuple[Side, Site], ...] | NotAssessable:
    """Side and site of every occlusion of an entry, none where it has none; or why they are not known well enough."""
    if entry.occluded is None:
        return NotAssessable(("nobody says whether a vessel is occluded",))
    if not entry.occluded:
        return ()
    if not entry.site:
        return NotAssessable(("nobody says which artery is occluded",))
    site = Site(entry.site)
    if site is Site.BA:
        return ((Side.MIDLINE, site),)
    if entry.side not in {"left", "right", "both"}:
        return NotAssessable((f"{site} is occluded, and nobody says on which side",))
    sides = (Side.LEFT, Side.RIGHT) if entry.side == "both" else (Side(entry.side),)
    return tuple((side, site) for side in sides)
