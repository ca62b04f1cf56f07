"""Perfusion maps for research: a time series in NIfTI or DICOM in, NIfTI maps on the same voxels and one JSON file out.

The analysis is that of `lvo run`, from the time series on; there is no angiogram, no report and no DICOM output.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lvo import RESEARCH_USE_ONLY
from lvo.config import Config
from lvo.core.outcome import Absent, Assessed, NotAssessable
from lvo.core.report import PerfusionResult, QualityNote, Report, TimeToPeakFallback
from lvo.core.volume import Quantity, TimeSeries, Volume
from lvo.dicom.index import open_studies
from lvo.dicom.load import load_time_series
from lvo.dicom.select import choose
from lvo.errors import InputError, UsageError
from lvo.image.turn import Turn
from lvo.nifti.series import is_nifti, load_nifti_series
from lvo.nifti.volumes import write_nifti
from lvo.pipeline.perfusion import judge_series
from lvo.pipeline.records import Progress
from lvo.report.result import result_document

__all__ = ["SCHEMA", "MapsResult", "make_maps", "write_maps"]

SCHEMA = "lvo-maps/1"
_NO_STUDY = "0"
"""Stands for the study instance UID, which a NIfTI file lacks; it is not written."""
_DOCUMENT_KEYS = ("perfusion", "quality", "timings_s", "software", "config_sha256")
"""What maps.json has in common with result.json."""


@dataclass(frozen=True, slots=True, eq=False)
class MapsResult:
    """What became of one time series.

    Args:
        report: only its perfusion part is judged.
        times_s: (T,) mean time of each frame, empty when the series could not be loaded.
        turn: its `undo` brings maps to the axes of the input; None when the series could not be loaded.
    """

    report: Report
    times_s: tuple[float, ...]
    turn: Turn | None


@dataclass(frozen=True, slots=True, eq=False)
class _Loaded:
    """A time series upright, the way back, and notes."""

    series: TimeSeries
    turn: Turn
    notes: tuple[QualityNote, ...]


def make_maps(path: Path, config: Config, *, times_path: Path | None = None) -> MapsResult:
    """Load a time series and judge its perfusion.

    Args:
        path: a .nii or .nii.gz file in HU, or anything that holds one DICOM study.
        config: settings.
        times_path: JSON sidecar with the times of a NIfTI file.

    Returns:
        The result; a DICOM study without a usable CT perfusion is one that could not be judged.

    Raises:
        InputError: the input cannot be read, or the times of a NIfTI file cannot be known.
        UsageError: the input holds several studies; the sidecar cannot be read, or was given with DICOM.
    """
    progress = Progress()
    with progress.stage("load"):
        loaded = _load_nifti(path, times_path) if is_nifti(path) else _load_dicom(path, times_path, config)
    if isinstance(loaded, NotAssessable):
        return MapsResult(_report(loaded, config, progress), (), None)
    progress.notes += loaded.notes
    judged = judge_series(loaded.series, config, progress)
    report = _report(judged.outcome, config, progress, fallback=judged.fallback)
    return MapsResult(report, tuple(loaded.series.times_s.mean(axis=1).tolist()), loaded.turn)


def write_maps(result: MapsResult, folder: Path) -> Mapping[str, object]:
    """Write maps.json and, where the perfusion was judged, a .nii.gz file per map into an existing folder.

    Returns:
        What maps.json says.

    Raises:
        OutputError: a map cannot be written.
        OSError: maps.json cannot be written.
    """
    volumes = _volumes(result.report)
    for name, volume in volumes.items():
        assert result.turn is not None  # noqa: S101 - there are no maps without a loaded series
        back = Volume(result.turn.undo(volume.array), result.turn.original, volume.quantity)
        write_nifti(back, folder / f"{name}.nii.gz")
    document = _document(result, volumes)
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / "maps.json").write_text(text + "\n", encoding="utf-8")
    return document


def _load_nifti(path: Path, times_path: Path | None) -> _Loaded:
    loaded = load_nifti_series(path, times_path)
    return _Loaded(loaded.series, loaded.turn, loaded.notes)


def _load_dicom(path: Path, times_path: Path | None, config: Config) -> _Loaded | NotAssessable:
    """The CT perfusion of the one study in `path`."""
    if times_path is not None:
        msg = "--times is for NIfTI; the times of DICOM images come from their headers"
        raise UsageError(msg)
    with open_studies([path]) as studies:
        if len(studies) != 1:
            msg = f"{path} holds {len(studies)} studies; give the folder of one"
            raise UsageError(msg)
        selection = choose(studies[0], config.selection)
        if not selection.ctp:
            return NotAssessable((selection.missing_ctp,))
        try:
            loaded = load_time_series(selection.ctp)
        except InputError as error:
            return NotAssessable((f"CT perfusion: {error}",))
    grid = loaded.series.grid
    return _Loaded(loaded.series, Turn(grid, grid, (0, 1, 2), ()), loaded.notes)  # maps stay on the grid of the images


def _report(
    outcome: Assessed[PerfusionResult] | NotAssessable,
    config: Config,
    progress: Progress,
    *,
    fallback: TimeToPeakFallback | None = None,
) -> Report:
    """A report on the perfusion alone."""
    return Report(
        study_instance_uid=_NO_STUDY,
        cta=Absent("CT angiography is no part of perfusion maps"),
        perfusion=outcome,
        series=(),
        criteria=(),
        quality=tuple(progress.notes),
        models=(),
        config_sha256=config.sha256,
        timings_s=progress.timings_s,
        volumes=progress.volumes,
        fallback=fallback,
    )


def _volumes(report: Report) -> dict[str, Volume]:
    """What is written: every map; or the fallback under names that cannot be taken for maps."""
    if isinstance(report.perfusion, Assessed):
        return dict(report.perfusion.value.maps)
    if report.fallback is not None:
        return {"fallback_rttp": report.fallback.rttp, "fallback_late": report.fallback.late}
    return {}


def _document(result: MapsResult, volumes: Mapping[str, Volume]) -> dict[str, object]:
    """maps.json: which file holds what in which unit by which method, and all that the result says of the perfusion."""
    whole = result_document(result.report, outputs=[], location_sop_instance_uid=None)
    perfusion = result.report.perfusion
    methods = perfusion.value.methods if isinstance(perfusion, Assessed) else {}
    return {
        "schema": SCHEMA,
        "research_use_only": RESEARCH_USE_ONLY,
        "maps": {
            name: {"file": f"{name}.nii.gz", "unit": _unit(volume.quantity), "method": methods.get(name)}
            for name, volume in volumes.items()
        },
        "frame_times_s": [round(time_s, 3) for time_s in result.times_s],
        **{key: whole[key] for key in _DOCUMENT_KEYS},
    }


def _unit(quantity: Quantity) -> str:
    """UCUM unit; masks have none."""
    return "mask" if quantity is Quantity.MASK else quantity.ucum
