"""What the tests of written DICOM share: source images, a result written and read back, programs that judge DICOM."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pydicom
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

from lvo.config import OutputSettings
from lvo.core.grid import Grid
from lvo.core.report import Output, Report
from lvo.core.study import InstanceRef, Role, SeriesRef
from lvo.dicom.write import SourceSeries, Stamp, write_results

NAME = "Möller"  # one component and not ASCII: the library that builds results would quote it in a warning
STUDY_UID = "1.2.826.0.1.3680043.8.498.77"
CREATED = datetime(2026, 2, 3, 4, 5, 6)  # noqa: DTZ001 - DICOM local time


def program(name: str) -> str | None:
    """Path of a program, those of this Python's environment first."""
    return shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


def said_by(name: str, *arguments: object) -> tuple[int, str]:
    """Exit status and everything that a program says; without it the test is skipped."""
    path = program(name)
    if path is None:
        pytest.skip(f"{name} is missing (dicom3tools and dcmqi of the extra dev, or Debian's dcmtk)")
    done = subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, errors="replace", check=False)
    return done.returncode, done.stderr + done.stdout


def write_sources(folder: Path, grid: Grid, number: int, *, shear_mm: float = 0.0, **change: object) -> SourceSeries:
    """Plain CT headers on a grid, without pixels worth looking at; files are named in the wrong order.

    With shear each slice lies that much further along its columns than the one below, as under a tilted gantry.
    """
    refs = []
    for k in range(grid.shape_kji[0]):
        image = _header(grid, number, CTImageStorage)
        image.SOPInstanceUID, image.InstanceNumber = f"{STUDY_UID}.{number}.{k + 1}", k + 1
        image.PixelSpacing, image.SliceThickness, image.ImageOrientationPatient, image.ImagePositionPatient = _place(
            grid, k, shear_mm
        )
        image.RescaleIntercept, image.RescaleSlope, image.RescaleType = "-1024", "1", "HU"
        for keyword, value in change.items():
            setattr(image, keyword, value)
        path = folder / f"{number}_{97 * (k + 3) % 997:03d}"
        image.save_as(path, enforce_file_format=True)
        refs.append(InstanceRef(path, image.SOPInstanceUID, CTImageStorage))
    series = SeriesRef(f"{STUDY_UID}.{number}", "CT", "", number, tuple(reversed(refs)))
    return SourceSeries.of([series], [ref.sop_instance_uid for ref in refs])


def write_multiframe(folder: Path, grid: Grid, number: int) -> SourceSeries:
    """The same as one Enhanced CT object: spacing and orientation shared, position and rescale of each frame its own."""
    image = _header(grid, number, EnhancedCTImageStorage)
    image.SOPInstanceUID, image.InstanceNumber, image.NumberOfFrames = f"{STUDY_UID}.{number}.1", 1, grid.shape_kji[0]
    shared, frames = Dataset(), []
    for k in range(grid.shape_kji[0]):
        spacing, thickness, orientation, position = _place(grid, k, 0.0)
        shared.PixelMeasuresSequence = [_item(PixelSpacing=spacing, SliceThickness=thickness)]
        shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=orientation)]
        rescale = _item(RescaleIntercept=f"{-1024 - k}", RescaleSlope="1", RescaleType="HU")
        places = [_item(ImagePositionPatient=position)]
        frames.append(_item(PlanePositionSequence=places, PixelValueTransformationSequence=[rescale]))
    image.SharedFunctionalGroupsSequence, image.PerFrameFunctionalGroupsSequence = [shared], frames
    path = folder / f"{number}_enhanced"
    image.save_as(path, enforce_file_format=True)
    return SourceSeries((path,), (image.SOPInstanceUID,))


def _header(grid: Grid, number: int, sop_class_uid: str) -> Dataset:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SpecificCharacterSet = "ISO_IR 100"
    image.SOPClassUID = sop_class_uid
    image.StudyInstanceUID, image.SeriesInstanceUID = STUDY_UID, f"{STUDY_UID}.{number}"
    image.PatientName, image.PatientID, image.PatientBirthDate, image.PatientSex = NAME, "P-77", "19480203", "F"
    image.StudyDate, image.StudyTime, image.StudyID, image.AccessionNumber = "20260203", "040000", "S7", "A-123"
    image.ReferringPhysicianName, image.StudyDescription = "Groß", "Stroke CT, Kopf"
    image.Modality, image.ImageType, image.SeriesNumber = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"], number
    image.FrameOfReferenceUID, image.PositionReferenceIndicator = grid.frame_of_reference_uid, ""
    _, image.Rows, image.Columns = grid.shape_kji
    image.SamplesPerPixel = 1
    return image


def _place(grid: Grid, k: int, shear_mm: float) -> tuple[list[str], str, list[str], list[str]]:
    """Pixel Spacing, Slice Thickness, Image Orientation and Image Position of a slice."""
    _, axis_j, axis_i = grid.axes_lps
    return (
        [f"{s:.9g}" for s in grid.spacing_kji_mm[1:]],
        f"{grid.spacing_kji_mm[0]:.9g}",
        [f"{x:.12g}"[:16] for x in (*axis_i, *axis_j)],
        [f"{x:.10g}" for x in grid.to_lps_mm((k, 0, 0)) + k * shear_mm * axis_j],
    )


def _item(**tags: object) -> Dataset:
    item = Dataset()
    for keyword, value in tags.items():
        setattr(item, keyword, value)
    return item


def stamp() -> Stamp:
    """A fixed clock and a fixed key."""
    return Stamp(CREATED, "a key")


def small_png() -> bytes:
    """A picture that takes no time to draw."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 12), (0xB3, 0x47, 0x00)).save(buffer, "PNG")
    return buffer.getvalue()


NAMES = ("perfusion", "tmax", "summary")


def write(
    report: Report, sources: Mapping[Role, SourceSeries], folder: Path, *, made: Stamp | None = None, **outputs: bool
) -> dict[str, Dataset]:
    """Write a result and read everything back by name; any warning on the way is an error."""
    written = write_results(
        report,
        sources,
        figures=dict.fromkeys(NAMES, small_png()),
        pdf=b"%PDF-1.4 odd number\n%%EOF\n",
        folder=folder,
        stamp=made or stamp(),
        wanted=OutputSettings(**outputs),
    )
    assert all(isinstance(output, Output) and not output.path.startswith("/") for output in written)
    results = {Path(output.path).stem: pydicom.dcmread(folder / output.path) for output in written}
    assert [str(result.SOPInstanceUID) for result in results.values()] == [output.sop_instance_uid for output in written]
    return results


def find(node: Dataset, value: str) -> list[Dataset]:
    """Content items below a node whose concept name has that code value."""
    below = [item for child in node.get("ContentSequence", []) for item in (child, *find(child, value))]
    return list(
        {id(i): i for i in below if "ConceptNameCodeSequence" in i and i.ConceptNameCodeSequence[0].CodeValue == value}.values()
    )


def dciodvfy_errors(paths: list[Path]) -> list[str]:
    """What dciodvfy calls an error in an object."""
    return [f"{path.name}: {line}" for path in paths for line in _errors(said_by("dciodvfy", path)[1])]


def dcentvfy_errors(paths: list[Path]) -> list[str]:
    """What dcentvfy calls an error between objects: one patient, study, series or frame of reference in two versions."""
    return _errors(said_by("dcentvfy", *paths)[1])


def _errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("Error")]
