"""Results as DICOM, in the patient's study: a report, segmentations, maps, pictures, marks and a PDF.

Every object says that it is for research use only and refers to the images it was made from.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pydicom import Dataset

from lvo.config import OutputSettings
from lvo.core.outcome import Assessed
from lvo.core.report import Output, Report
from lvo.core.study import Role
from lvo.core.volume import Volume
from lvo.dicom.write import codes, seg
from lvo.dicom.write.capture import secondary_capture
from lvo.dicom.write.key_objects import key_object_selection
from lvo.dicom.write.parametric import parametric_map
from lvo.dicom.write.pdf import encapsulated_pdf
from lvo.dicom.write.place import SourcePoint, source_point
from lvo.dicom.write.presentation import presentation_state
from lvo.dicom.write.source_headers import Headers, SourceSeries, read_headers
from lvo.dicom.write.sr import structured_report
from lvo.dicom.write.stamp import Stamp
from lvo.dicom.write.text import text_report
from lvo.errors import OutputError

__all__ = ["FOLDER", "SourceSeries", "Stamp", "write_results"]

FOLDER = "dicom"
"""Where the objects lie inside the result's folder."""

_SERIES = {
    "sr": 9001, "seg_cta": 9002, "seg_ctp": 9003, "pictures": 9004, "pdf": 9005, "pr": 9006, "ko": 9007, "text": 9008,
    "maps": 9010,
}  # fmt: skip
"""Series numbers, high enough to stand behind the scanner's own."""


def write_results(
    report: Report,
    sources: Mapping[Role, SourceSeries],
    *,
    figures: Mapping[str, bytes],
    pdf: bytes | None,
    folder: Path,
    stamp: Stamp,
    wanted: OutputSettings = OutputSettings(),  # noqa: B008 - frozen
) -> list[Output]:
    """Write the DICOM objects of a result into `folder / "dicom"`.

    Args:
        report: everything known about the study.
        sources: images each part was made from. CTA and CTP where they were judged; any image of the study (under any role)
            where nothing was, for the report still has to find its patient. Of a CTP, the first time point.
        figures: PNG bytes by name; "summary" becomes the first picture.
        pdf: the summary as PDF; no encapsulated PDF when None.
        folder: the result's folder; paths in the answer are relative to it.
        stamp: time of creation and source of UIDs.
        wanted: which kinds of object to write; `dicom` and `maps` are the caller's to look at.

    Returns:
        What was written, in the order: sr, text, seg, pm, sc, pr, ko, pdf.

    Raises:
        ValueError: there is no source image.
        InputError: a source image cannot be read again.
        OutputError: a file cannot be written.
    """
    if not sources:
        msg = "sources must name at least one image of the study"
        raise ValueError(msg)
    headers = {role: read_headers(source) for role, source in sources.items()}
    everything = _all_images(headers)
    point = _site(report, headers)
    made: dict[str, Dataset] = {}
    if wanted.seg:
        made |= _segmentations(report, headers, stamp)
    if wanted.sr or wanted.text:
        made = _reports(report, headers, list(made.values()), stamp, point=point, wanted=wanted) | made
    if wanted.parametric_maps:
        made |= _maps(report, headers, stamp)
    if wanted.captures:
        made |= _pictures(everything, figures, stamp)
    made |= _pointers(report, everything, point, made, stamp, wanted)
    if wanted.pdf and pdf is not None:
        made["pdf"] = encapsulated_pdf(everything, pdf, stamp, series_number=_SERIES["pdf"])
    return [_write(name, result, folder) for name, result in made.items()]


def _site(report: Report, headers: Mapping[Role, Headers]) -> SourcePoint | None:
    """The suspected site on the images of the angiogram."""
    if not isinstance(report.cta, Assessed) or report.cta.value.finding.location_lps_mm is None or Role.CTA not in headers:
        return None
    return source_point(headers[Role.CTA], report.cta.value.finding.location_lps_mm)


def _reports(
    report: Report,
    headers: Mapping[Role, Headers],
    segments: list[Dataset],
    stamp: Stamp,
    *,
    point: SourcePoint | None,
    wanted: OutputSettings,
) -> dict[str, Dataset]:
    """The report in codes, and the same as text."""
    made = structured_report(report, headers, segments, stamp, point=point, series_number=_SERIES["sr"])
    reports = {"sr": made} if wanted.sr else {}
    if wanted.text:
        reports["text"] = text_report(made, _all_images(headers), stamp, series_number=_SERIES["text"])
    return reports


def _pointers(
    report: Report,
    headers: Headers,
    point: SourcePoint | None,
    made: Mapping[str, Dataset],
    stamp: Stamp,
    wanted: OutputSettings,
) -> dict[str, Dataset]:
    """The image of the site with a mark on it, and the list of images to open first."""
    presentation = None
    if wanted.presentation and point is not None and isinstance(report.cta, Assessed):
        finding = report.cta.value.finding
        presentation = presentation_state(headers, finding, point, stamp, series_number=_SERIES["pr"])
    keys = None
    if wanted.key_objects:
        summary = [made["sc_summary"]] if "sc_summary" in made else []
        keys = key_object_selection(headers, point, summary, stamp, presentation=presentation, series_number=_SERIES["ko"])
    return {name: result for name, result in (("pr", presentation), ("ko", keys)) if result is not None}


def _segmentations(report: Report, headers: Mapping[Role, Headers], stamp: Stamp) -> dict[str, Dataset]:
    """Arteries and, if known, the clot on the CTA's grid, core and hypoperfusion on the CTP's; empty ones are left out."""
    made: dict[str, Dataset | None] = {}
    arteries = report.volumes.get("arteries")
    if isinstance(report.cta, Assessed) and arteries is not None and Role.CTA in headers:
        made["seg_cta"] = seg.segmentation(
            headers[Role.CTA],
            seg.artery_masks(arteries, report.volumes.get("vessels")),
            arteries.grid,
            stamp,
            name="seg_cta",
            series_number=_SERIES["seg_cta"],
            title="LVO arteries",
        )
    lesion = _lesion(report)
    if lesion and Role.CTP in headers:
        made["seg_ctp"] = seg.segmentation(
            headers[Role.CTP],
            {kind: volume.array > 0 for kind, volume in lesion.items()},
            next(iter(lesion.values())).grid,
            stamp,
            name="seg_ctp",
            series_number=_SERIES["seg_ctp"],
            title="LVO perfusion lesion",
        )
    return {name: result for name, result in made.items() if result is not None}


def _lesion(report: Report) -> dict[seg.SegmentKind, Volume]:
    """Core and hypoperfusion; the late tissue where time to peak is all there is."""
    if isinstance(report.perfusion, Assessed):
        maps = report.perfusion.value.maps
        return {seg.CORE: maps["core"], seg.HYPOPERFUSION: maps["hypoperfusion"]}
    return {} if report.fallback is None else {seg.LATE_TISSUE: report.fallback.late}


def _maps(report: Report, headers: Mapping[Role, Headers], stamp: Stamp) -> dict[str, Dataset]:
    """The perfusion maps that have a unit, each in its own series."""
    if Role.CTP not in headers:
        return {}
    maps: Mapping[str, Volume] = {}
    if isinstance(report.perfusion, Assessed):
        maps = report.perfusion.value.maps
    elif report.fallback is not None:
        maps = {"rttp": report.fallback.rttp}
    return {
        f"pm_{name}": parametric_map(headers[Role.CTP], name, maps[name], stamp, series_number=_SERIES["maps"] + number)
        for number, name in enumerate(codes.MAP_QUANTITIES)
        if name in maps
    }


def _pictures(images: Headers, figures: Mapping[str, bytes], stamp: Stamp) -> dict[str, Dataset]:
    """The figures as one series, the summary first."""
    names = sorted(figures, key=lambda name: name != "summary")
    return {
        f"sc_{name}": secondary_capture(
            images, figures[name], stamp, name=name, series_number=_SERIES["pictures"], instance_number=number
        )
        for number, name in enumerate(names, start=1)
    }


def _all_images(headers: Mapping[Role, Headers]) -> Headers:
    """The source images of every role together, with the first one's identity."""
    everything = tuple(image for one in headers.values() for image in one.images)
    return replace(next(iter(headers.values())), images=everything)


def _write(name: str, result: Dataset, folder: Path) -> Output:
    """Write one object; its kind is the first part of its name."""
    relative = Path(FOLDER) / f"{name}.dcm"
    path = folder / relative
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        result.save_as(path, enforce_file_format=True)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}"
        raise OutputError(msg) from error
    return Output(f"dicom-{name.split('_', maxsplit=1)[0]}", relative.as_posix(), str(result.SOPInstanceUID))
