"""The way of one study: the one place where the stages meet.

`angiogram`, `perfusion` and `plain` take one kind of scan from its files to its outcome; `analyze` puts them together.
"""

from collections.abc import Mapping

from lvo import criteria
from lvo.config import Config
from lvo.core.outcome import Assessed, Outcome
from lvo.core.report import Call, CtaResult, Finding, PerfusionResult, QualityNote, Report, Severity
from lvo.core.study import Role, Study
from lvo.dicom.select import choose
from lvo.pipeline.angiogram import analyze_angiogram
from lvo.pipeline.perfusion import analyze_perfusion
from lvo.pipeline.plain import check_plain_ct
from lvo.pipeline.records import Analysis, Models, Progress

__all__ = ["ALL_PARTS", "Analysis", "Models", "analyze"]

ALL_PARTS = frozenset({Role.CTA, Role.CTP, Role.NCCT})


def analyze(
    study: Study,
    models: Models,
    config: Config,
    *,
    clinical: Mapping[str, float | str | None] | None = None,
    roles: frozenset[Role] = ALL_PARTS,
) -> Analysis:
    """Analyse one study.

    Args:
        study: the files, headers only.
        models: network and call.
        config: settings.
        clinical: clinical facts for the selection rules, by the keys of `lvo.criteria`; they replace what the images show.
        roles: which parts to analyse; the others are reported absent.

    Returns:
        The report with its sources. A part that cannot be judged says so in the report; it does not raise.

    Raises:
        ModelError: a model does not do what its manifest says.
    """
    progress = Progress()
    with progress.stage("select"):
        selection = choose(study, config.selection)
    progress.notes += [
        QualityNote(note.code, Severity.WARNING if note.warning else Severity.INFO, note.text) for note in study.notes
    ]
    if Role.NCCT in roles:
        check_plain_ct(selection, progress)
    angiogram = analyze_angiogram(selection, models, config, progress, wanted=Role.CTA in roles)
    ctp = analyze_perfusion(selection, config, progress, angiogram, wanted=Role.CTP in roles)
    with progress.stage("criteria"):
        rules = criteria.evaluate(_measurements(angiogram.outcome, ctp.outcome) | dict(clinical or {}))
    report = Report(
        study_instance_uid=study.study_instance_uid,
        cta=angiogram.outcome,
        perfusion=ctp.outcome,
        series=selection.rows,
        criteria=rules,
        quality=tuple(progress.notes),
        models=models.used(),
        config_sha256=config.sha256,
        timings_s=progress.timings_s,
        volumes=progress.volumes,
        fallback=ctp.fallback,
    )
    return Analysis(study, report, angiogram.loaded, ctp.loaded, selection)


def _measurements(cta: Outcome[CtaResult], ctp: Outcome[PerfusionResult]) -> dict[str, float | str | None]:
    """The imaging facts that selection rules ask for; what was not measured is left out and so unknown."""
    facts: dict[str, float | str | None] = {}
    match cta:
        case Assessed(value=CtaResult(finding=Finding(call=Call.SUSPECTED, site=site))) if site is not None:
            facts["site"] = site.value  # an indeterminate site is not known to be occluded
        case _:
            pass
    if isinstance(ctp, Assessed):
        value = ctp.value
        facts |= {"core_ml": value.core_ml, "mismatch_ml": value.mismatch_ml, "mismatch_ratio": value.mismatch_ratio}
        facts |= {"hypoperfusion_ml": value.hypoperfusion_ml, "tmax10_ml": value.volumes_ml["tmax>10"]}
    return facts
