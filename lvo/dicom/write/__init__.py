"""Results as DICOM, in the patient's study: structured report, segmentations, parametric maps, pictures and a PDF.

Every object says that it is for research use only and refers to the images it was made from.
"""

from collections.abc import Mapping
from pathlib import Path

from pydicom import Dataset

from lvo.core.anatomy import ARTERY_PROBABILITY
from lvo.core.outcome import Assessed
from lvo.core.report import Output, Report
from lvo.core.study import Role
from lvo.dicom.write import codes, seg
from lvo.dicom.write.capture import secondary_capture
from lvo.dicom.write.parametric import parametric_map
from lvo.dicom.write.pdf import encapsulated_pdf
from lvo.dicom.write.source_headers import Headers, SourceSeries, Stamp, read_headers
from lvo.dicom.write.sr import structured_report
from lvo.errors import OutputError

__all__ = ["FOLDER", "SourceSeries", "Stamp", "write_results"]

FOLDER = "dicom"
"""Where the objects lie inside the result's folder."""

_SERIES = {"sr": 9001, "seg_cta": 9002, "seg_ctp": 9003, "pictures": 9004, "pdf": 9005, "maps": 9010}
"""Series numbers, high enough to stand behind the scanner's own."""


def write_results(
    report: Report,
    sources: Mapping[Role, SourceSeries],
    *,
    figures: Mapping[str, bytes],
    pdf: bytes | None,
    folder: Path,
    stamp: Stamp,
    location_sop_instance_uid: str | None = None,
) -> list[Output]:
    """Write every DICOM object of a result into `folder / "dicom"`.

    Args:
        report: everything known about the study.
        sources: images each part was made from. CTA and CTP where they were judged; any image of the study (under any role)
            where nothing was, for the report still has to find its patient. Of a CTP, the first time point.
        figures: PNG bytes by name; "summary" becomes the first picture.
        pdf: the summary as PDF; no encapsulated PDF when None.
        folder: the result's folder; paths in the answer are relative to it.
        stamp: time of creation and source of UIDs.
        location_sop_instance_uid: the CTA image nearest to the suspected site.

    Returns:
        What was written, in the order: sr, seg, pm, sc, pdf.

    Raises:
        ValueError: there is no source image.
        InputError: a source image cannot be read again.
        OutputError: a file cannot be written.
    """
    if not sources:
        msg = "sources must name at least one image of the study"
        raise ValueError(msg)
    headers = {role: read_headers(source) for role, source in sources.items()}
    segmentations = _segmentations(report, headers, stamp)
    made = {
        "sr": structured_report(
            report,
            headers,
            list(segmentations.values()),
            stamp,
            location_sop_instance_uid=location_sop_instance_uid,
            series_number=_SERIES["sr"],
        ),
        **segmentations,
        **_maps(report, headers, stamp),
        **_pictures(headers, figures, stamp),
    }
    everything = _all_images(headers)
    if pdf is not None:
        made["pdf"] = encapsulated_pdf(everything, pdf, stamp, series_number=_SERIES["pdf"])
    return [_write(name, result, folder) for name, result in made.items()]


def _segmentations(report: Report, headers: Mapping[Role, Headers], stamp: Stamp) -> dict[str, Dataset]:
    """Arteries on the CTA's grid, core and hypoperfusion on the CTP's; empty ones are left out."""
    made: dict[str, Dataset | None] = {}
    arteries = report.volumes.get("arteries")
    if isinstance(report.cta, Assessed) and arteries is not None and Role.CTA in headers:
        masks = {seg.ARTERIES: arteries.array >= ARTERY_PROBABILITY}
        made["seg_cta"] = seg.segmentation(
            headers[Role.CTA], masks, arteries.grid, stamp, series_number=_SERIES["seg_cta"], title="LVO arteries"
        )
    if isinstance(report.perfusion, Assessed) and Role.CTP in headers:
        maps = report.perfusion.value.maps
        masks = {seg.CORE: maps["core"].array > 0, seg.HYPOPERFUSION: maps["hypoperfusion"].array > 0}
        made["seg_ctp"] = seg.segmentation(
            headers[Role.CTP], masks, maps["core"].grid, stamp, series_number=_SERIES["seg_ctp"], title="LVO perfusion lesion"
        )
    return {name: result for name, result in made.items() if result is not None}


def _maps(report: Report, headers: Mapping[Role, Headers], stamp: Stamp) -> dict[str, Dataset]:
    """The perfusion maps that have a unit, each in its own series."""
    if not isinstance(report.perfusion, Assessed) or Role.CTP not in headers:
        return {}
    maps = report.perfusion.value.maps
    names = [name for name in codes.MAP_QUANTITIES if name in maps]
    return {
        f"pm_{name}": parametric_map(headers[Role.CTP], name, maps[name], stamp, series_number=_SERIES["maps"] + number)
        for number, name in enumerate(names)
    }


def _pictures(headers: Mapping[Role, Headers], figures: Mapping[str, bytes], stamp: Stamp) -> dict[str, Dataset]:
    """The figures as one series, the summary first."""
    series_uid = stamp.new_uid()
    images = _all_images(headers)
    names = sorted(figures, key=lambda name: name != "summary")
    return {
        f"sc_{name}": secondary_capture(
            images,
            figures[name],
            stamp,
            series_instance_uid=series_uid,
            series_number=_SERIES["pictures"],
            instance_number=number,
        )
        for number, name in enumerate(names, start=1)
    }


def _all_images(headers: Mapping[Role, Headers]) -> Headers:
    """The source images of every role together, with the first one's identity."""
    everything = tuple(image for one in headers.values() for image in one.images)
    return Headers(everything, next(iter(headers.values())).identity)


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
