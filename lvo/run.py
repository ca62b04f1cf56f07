"""One study from files to files: analyse it, then leave a complete result folder or none.

What commands, services and nodes call; `lvo.pipeline` does the analysis, `lvo.report` and `lvo.dicom.write` the documents.
"""

import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import msgspec

from lvo import RESEARCH_USE_ONLY
from lvo.config import Config, OutputSettings
from lvo.core.outcome import Absent, Assessed, NotAssessable
from lvo.core.report import CtaResult, Finding, Output, Report, Severity
from lvo.core.study import Role, Study
from lvo.core.transfer import Transfer
from lvo.dicom.write import SourceSeries, Stamp, write_results
from lvo.errors import InputError, OutputError
from lvo.eventlog import AiCall, Event, EventKind, Facts
from lvo.infer import load_model
from lvo.infer.call_head import load_call_head
from lvo.nifti.volumes import write_nifti
from lvo.pipeline import Analysis, Models, analyze
from lvo.report.figures import draw_figures
from lvo.report.html import render_html
from lvo.report.pdf import render_pdf
from lvo.report.preview import full_volume, preview_volumes
from lvo.report.result import quality_notes, result_document, result_text, software_versions, status_of

__all__ = ["Request", "RunResult", "load_models", "result_event", "run_study"]

ANALYSED, NOT_ASSESSABLE = 0, 3
"""Exit status of the contract."""

_SAFE_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


@dataclass(frozen=True, slots=True)
class Request:
    """What to do with a study.

    Args:
        out_dir: folder that receives one folder per study.
        config: settings.
        clinical: clinical facts for the selection rules.
        roles: parts to analyse.
        destinations: thrombectomy centres for a report, where the hospital is configured; None where it is not.
    """

    out_dir: Path
    config: Config
    clinical: Mapping[str, float | str | None]
    roles: frozenset[Role]
    destinations: Callable[[Report], Transfer | None] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class RunResult:
    """Where the result lies, what it says, and the exit status it stands for."""

    folder: Path
    document: Mapping[str, object]
    report: Report
    exit_status: int


def load_models(config: Config) -> Models:
    """Load the artery network and the call that was fitted on it.

    Raises:
        ModelError: one is missing, altered, or does not fit, or the device is not there.
    """
    network = load_model(
        config.cta.model, threads=config.runtime.threads, device=config.runtime.device, precision=config.runtime.precision
    )
    return Models(network, load_call_head(network.manifest))


def run_study(study: Study, models: Models, request: Request) -> RunResult:
    """Analyse one study and write everything the contract promises, all or none.

    A result that was there before is replaced only when the new one is complete.

    Raises:
        InputError: the study instance UID is not a UID, so it cannot name a folder.
        OutputError: the result cannot be written; nothing is left behind.
        ModelError: a model does not do what its manifest says.
    """
    if not _SAFE_UID.fullmatch(study.study_instance_uid) or len(study.study_instance_uid) > 64:
        msg = "Study Instance UID (0020,000D) must be digits and dots, at most 64; ask the sender to correct the study"
        raise InputError(msg)
    with _complete_folder(request.out_dir / study.study_instance_uid) as folder:
        analysis = analyze(study, models, request.config, clinical=request.clinical, roles=request.roles)
        if request.destinations is not None:
            report = replace(analysis.report, transfer=request.destinations(analysis.report))
            analysis = replace(analysis, report=report)
        start = time.perf_counter()
        document = _write(analysis, folder, request)
        _write_run(analysis.report, request.config, folder, writing_s=round(time.perf_counter() - start, 3))
    return RunResult(request.out_dir / study.study_instance_uid, document, analysis.report, _exit_status(analysis.report))


def result_event(report: Report, *, site: str, at: datetime) -> Event:
    """The result as an event of the service's clock, under the Study Instance UID as pseudonym.

    Args:
        report: of the study.
        site: code of the hospital.
        at: when the result was there, with offset from UTC.
    """
    call: AiCall
    match report.cta:
        case Assessed(value=CtaResult(finding=finding)):
            call = finding.call.value
        case NotAssessable():
            call = "not_assessable"
        case Absent():
            call = "absent"
    return Event(at=at, kind=EventKind.RESULT_OUT, case=report.study_instance_uid, site=site, facts=Facts(call=call))


def _exit_status(report: Report) -> int:
    """Not assessable when nothing was judged, and also when there is an angiogram but no call on it.

    A script that looks only at the status must not take a perfusion result for an answer on the occlusion.
    """
    unjudged = status_of(report) == "not_assessable" or isinstance(report.cta, NotAssessable)
    return NOT_ASSESSABLE if unjudged else ANALYSED


def _write(analysis: Analysis, folder: Path, request: Request) -> Mapping[str, object]:
    report, config = analysis.report, request.config
    with ThreadPoolExecutor(1) as beside:  # resampling and packing volumes let go of the interpreter, drawing and DICOM do not
        volumes = beside.submit(_write_volumes, analysis, folder, config.outputs)
        figures = draw_figures(report) if config.outputs.html or config.outputs.dicom else {}
        html = [Output("html", "report.html"), *_write_images(figures, folder)] if config.outputs.html else []
        dicom = _write_dicom(analysis, folder, request, figures) if config.outputs.dicom else []
        outputs = [Output("result", "result.json"), Output("run", "run.json"), *html, *volumes.result(), *dicom]
    document = result_document(report, outputs=outputs, location_sop_instance_uid=_nearest_slice(analysis))
    (folder / "result.json").write_text(result_text(document), encoding="utf-8")
    if config.outputs.html:
        (folder / "report.html").write_text(render_html(report, document, figures), encoding="utf-8")
    return document


def _write_dicom(analysis: Analysis, folder: Path, request: Request, figures: Mapping[str, bytes]) -> Sequence[Output]:
    report, created = analysis.report, datetime.now().astimezone()
    return write_results(
        report,
        _sources(analysis),
        figures=figures,
        pdf=render_pdf(report, figures, created=created),
        folder=folder,
        stamp=Stamp.of(created, analysis.study, report, asked=_asked(request)),
        wanted=request.config.outputs,
    )


def _write_images(figures: Mapping[str, bytes], folder: Path) -> Sequence[Output]:
    (folder / "images").mkdir()
    for name, png in figures.items():
        (folder / "images" / f"{name}.png").write_bytes(png)
    return [Output("image", f"images/{name}.png") for name in figures]


def _asked(request: Request) -> list[str]:
    """What changes a result beside images, settings and models."""
    return [f"part {role}" for role in request.roles] + [f"fact {name} {value}" for name, value in request.clinical.items()]


def _sources(analysis: Analysis) -> dict[Role, SourceSeries]:
    """The images each part was made from; where nothing was judged, one image, so that results find their patient."""
    selection, sources = analysis.selection, {}
    if analysis.cta is not None and selection.cta is not None:
        sources[Role.CTA] = SourceSeries.of([selection.cta], analysis.cta.sop_instance_uids)
    if analysis.ctp is not None:
        sources[Role.CTP] = SourceSeries.of(selection.ctp, analysis.ctp.sop_instance_uids)
    return sources or {Role.OTHER: SourceSeries.of(analysis.study.series)}


def _nearest_slice(analysis: Analysis) -> str | None:
    """SOP instance UID of the CTA slice nearest to the suspected site."""
    match analysis.report.cta:
        case Assessed(value=CtaResult(finding=Finding(location_lps_mm=location))) if location and analysis.cta:
            k = round(float(analysis.cta.volume.grid.to_kji(location)[0]))
            return analysis.cta.sop_instance_uids[min(max(k, 0), len(analysis.cta.sop_instance_uids) - 1)]
        case _:
            return None


def _write_volumes(analysis: Analysis, folder: Path, wanted: OutputSettings) -> Sequence[Output]:
    maps = _write_maps(analysis.report, folder) if wanted.maps else []
    return [*maps, *(_write_preview(analysis, folder, full=wanted.preview_full) if wanted.preview else [])]


def _write_maps(report: Report, folder: Path) -> Sequence[Output]:
    volumes = {name: report.volumes[name] for name in ("arteries", "vessels", "brain") if name in report.volumes}
    if isinstance(report.perfusion, Assessed):
        volumes |= {f"ctp_{name}" if name == "brain" else name: v for name, v in report.perfusion.value.maps.items()}
    (folder / "maps").mkdir()
    outputs = []
    for name, volume in volumes.items():
        path = f"maps/{name}.nii.gz"
        write_nifti(volume, folder / path)
        outputs.append(Output("map", path))
    return outputs


def _write_preview(analysis: Analysis, folder: Path, *, full: bool) -> Sequence[Output]:
    """Copies at display resolution for the viewer, and one with the voxels of the angiogram."""
    outputs, cta = [], analysis.cta.volume if analysis.cta else None
    volumes = preview_volumes(analysis.report, cta)
    if full and cta is not None and (fine := full_volume(analysis.report, cta)) is not None:
        volumes["cta_full"] = fine
    for name, volume in volumes.items():
        path = f"preview/{name}.nii.gz"
        write_nifti(volume, folder / path)
        outputs.append(Output("preview", path))
    return outputs


def _write_run(report: Report, config: Config, folder: Path, *, writing_s: float) -> None:
    """run.json: all that is needed to repeat or to question the run."""
    timings_s = {**report.timings_s, "write": writing_s}
    document = {
        "software": software_versions(),
        "models": [msgspec.to_builtins(model) for model in report.models],
        "config": msgspec.to_builtins(config),
        "config_sha256": report.config_sha256,
        "timings_s": timings_s,
        "total_s": round(sum(timings_s.values()), 3),
        "warnings": [f"{n.code}: {n.text}" for n in quality_notes(report) if n.severity is not Severity.INFO],
        "notice": RESEARCH_USE_ONLY,
    }
    (folder / "run.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))


@contextmanager
def _complete_folder(final: Path) -> Iterator[Path]:
    """A temporary sibling that takes the final name only when everything in it was written."""
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        work = final.with_name(f".{final.name}.{uuid.uuid4().hex}.partial")
        work.mkdir()
    except OSError as error:
        msg = f"results cannot be written below {final.parent}: {error.strerror}; choose another --out"
        raise OutputError(msg) from error
    try:
        yield work
        _take_place(work, final)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        msg = f"the result cannot be written below {final.parent}: {error.strerror or error}; nothing was left there"
        raise OutputError(msg) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _take_place(work: Path, final: Path) -> None:
    if not final.exists():
        work.rename(final)
        return
    old = final.with_name(f"{work.name}.old")
    final.rename(old)
    try:
        work.rename(final)
    except OSError:
        old.rename(final)
        raise
    shutil.rmtree(old, ignore_errors=True)
