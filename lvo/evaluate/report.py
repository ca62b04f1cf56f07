"""From rows to the report of an evaluation: report.md, report.html, summary.json and the pictures they show."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import numpy as np

from lvo import RESEARCH_USE_ONLY
from lvo.core.report import ModelUse
from lvo.errors import OutputError
from lvo.evaluate.chapters import ablation_section, card_sections, failure_section, operating_section, target_section
from lvo.evaluate.document import Picture, Section, Table, as_html, as_markdown
from lvo.evaluate.figures import reliability_figure, roc_figure, stress_card
from lvo.evaluate.metrics import brier, mean
from lvo.evaluate.pictures import FAILURES, contact_sheet, failure_of, picture_name
from lvo.evaluate.records import AS_IS, Row
from lvo.evaluate.targets import estimate, judged_scores, targets

__all__ = ["About", "write_report"]

_TITLE = "Evaluation of the call on CT angiograms"
_UNJUDGED = "for sensitivity they count as missed, and none of them counts as a false alarm"
_METHODS = (
    "Intervals are 95 %: Wilson for shares, DeLong for areas under the curve, bootstrap over cases for means and calibration. "
    "Cases start from crops along the atlas with a drawn registration error; brain finding and registration are not in it."
)
_ON_SHEET = 12
"""Pictures of failures shown together; the folder has all."""


@dataclass(frozen=True, slots=True)
class About:
    """What was evaluated.

    Args:
        models: networks that took part.
        config_sha256: hash of the settings.
        key: hash of everything a result depends on but the case.
        suspected: fixed threshold.
        set_size: cases of the whole set.
        asked: cases that this report was asked for.
    """

    models: tuple[ModelUse, ...]
    config_sha256: str
    key: str
    suspected: float
    set_size: int
    asked: int


def write_report(rows: Sequence[Row], about: About, out: Path, *, pictures: Path) -> Path:
    """Write the report.

    Args:
        rows: all rows of one key, every variant.
        about: what was evaluated.
        out: existing folder of the report.
        pictures: folder below it that holds the pictures of failures.

    Returns:
        report.md.

    Raises:
        OutputError: something cannot be written.
    """
    as_is = sorted((row for row in rows if row.variant == AS_IS), key=lambda row: row.case)
    figures = {
        "roc": roc_figure(as_is, about.suspected),
        "reliability": reliability_figure(as_is),
        "stress_card": stress_card(as_is),
    }
    sheet = _worst(as_is, pictures)
    if sheet:
        figures["failures"] = contact_sheet(sheet, "circle: true stop, diamond: called point, red line: artery map")
    sections = _sections(rows, as_is, about, pictures.relative_to(out), shows_failures=bool(sheet))
    summary = {
        "about": asdict(about),
        "run": len(as_is),
        "set_sha256": _set_sha256(as_is),
        "targets": [asdict(one) for one in targets(rows)],
    }
    try:
        (out / "figures").mkdir(parents=True, exist_ok=True)
        for name, png in figures.items():
            (out / "figures" / f"{name}.png").write_bytes(png)
        (out / "report.html").write_text(as_html(_TITLE, sections), encoding="utf-8")
        (out / "summary.json").write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=1) + b"\n")
        (out / "report.md").write_text(as_markdown(_TITLE, sections), encoding="utf-8")
    except OSError as error:
        msg = f"{out} cannot be written: {error.strerror}"
        raise OutputError(msg) from error
    return out / "report.md"


def _sections(
    rows: Sequence[Row], as_is: Sequence[Row], about: About, pictures: Path, *, shows_failures: bool
) -> list[Section]:
    card = Picture("figures/stress_card.png", "Stress card: sensitivity and false alarms by what makes a case hard")
    sheet = Picture("figures/failures.png", "Failures, the worst kinds first") if shows_failures else None
    return [
        _about_section(as_is, about),
        target_section(rows),
        operating_section(as_is, Picture("figures/roc.png", "ROC curves")),
        *card_sections(as_is, card),
        _calibration_section(as_is),
        _map_section(as_is),
        ablation_section(rows),
        failure_section(as_is, pictures, sheet),
        _time_section(as_is),
    ]


def _about_section(as_is: Sequence[Row], about: About) -> Section:
    counts = Counter(row.standing for row in as_is)
    unjudged = Counter(row.standing for row in as_is if row.found is None)
    part = "" if len(as_is) == about.set_size else " A part of the set: its figures are those of a sample."
    words = (
        f"{RESEARCH_USE_ONLY} All heads are synthetic; the arteries come from a generator that nothing was fitted on.",
        f"{len(as_is)} of {about.set_size} cases of the set were run ({about.asked} were asked for).{part}",
        f"{counts['positive']} with a covered occlusion, {counts['negative']} healthy, {counts['aside']} with another one.",
        f"Not assessable: {unjudged['positive']}, {unjudged['negative']} and {unjudged['aside']} of these; {_UNJUDGED}.",
        _METHODS,
    )
    lines = [(f"model {use.name} {use.version}", use.sha256) for use in about.models]
    lines += [
        ("settings", about.config_sha256),
        ("images and truth of the cases run", _set_sha256(as_is)),
        ("key of the rows", about.key),
    ]
    return Section("What was evaluated", words, (Table(("", "sha256"), lines),))


def _calibration_section(as_is: Sequence[Row]) -> Section:
    judged = judged_scores(as_is)
    value = brier([p for p, _ in judged], [positive for _, positive in judged])
    share = np.mean([positive for _, positive in judged]) if judged else np.nan
    words = (f"Brier score {value:.3f} on {len(judged)} judged cases, of which {share:.0%} have an occlusion.",)
    return Section("Calibration", words, (), (Picture("figures/reliability.png", "Reliability of the probability"),))


def _map_section(as_is: Sequence[Row]) -> Section:
    names = dict.fromkeys(name for row in as_is for name in row.scores if name.startswith(("artery_", "dice_")))
    values = {name: [row.scores[name] for row in as_is if name in row.scores] for name in names}
    lines = [
        (name.replace("_", " "), estimate(mean(found)), *(f"{np.percentile(found, at):.3f}" for at in (50, 5)), str(len(found)))
        for name, found in values.items()
    ]
    words = ("Voxels whose truth is unsure (rims, faint filling) count neither way. Classes: where they are or were found.",)
    return Section("Artery map", words, (Table(("", "mean", "median", "5th percentile", "cases"), lines),))


def _time_section(as_is: Sequence[Row]) -> Section:
    seconds = [row.seconds for row in as_is] or [np.nan]
    words = f"From crop to call: median {np.median(seconds):.1f} s, 95th percentile {np.percentile(seconds, 95):.1f} s a case"
    return Section("Time", (f"{words}, in one worker among those that ran.",))


def _worst(as_is: Sequence[Row], pictures: Path) -> list[Path]:
    """Pictures for the sheet: kinds of failure in turns, so that none crowds out the others."""
    kinds = {kind: [row for row in as_is if failure_of(row) == kind] for kind in FAILURES if kind != "not assessable"}
    mixed = [rows[n] for n in range(_ON_SHEET) for rows in kinds.values() if n < len(rows)]
    paths = (pictures / picture_name(row) for row in mixed)
    return [path for path in paths if path.is_file()][:_ON_SHEET]


def _set_sha256(as_is: Sequence[Row]) -> str:
    """Hash of the images and truths of the cases, in the order of their numbers."""
    return hashlib.sha256("".join(f"{row.case} {row.image_sha256}\n" for row in as_is).encode()).hexdigest()
