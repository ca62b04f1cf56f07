"""Writes the inputs of the table of conditions: images of one field of values that is known everywhere in space and time.

The field is linear in position and time, so that any correct reading, resampled or not, shows it again: no reader of DICOM is
needed to know what an image should hold.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

from lvo.config import SelectionSettings

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CENTER_LPS_MM = np.array([4.0, -7.0, 612.0])
SLOPE_HU_MM = np.array([4.0, 6.0, 3.0])
SLOPE_HU_S = 2.0
STUDY = "1.2.826.0.1.3680043.8.498.501"


def field_hu(points_lps_mm: np.ndarray, seconds: np.ndarray | float = 0.0) -> np.ndarray:
    """Values at (..., 3) positions and times."""
    return 100.0 + (points_lps_mm - CENTER_LPS_MM) @ SLOPE_HU_MM + SLOPE_HU_S * np.asarray(seconds)


@dataclass(frozen=True)
class Expected:
    """What a builder knows about its input beyond the table.

    Args:
        number: Series Number of the series that must be chosen, None where any may be.
        settings: rules of the hospital.
        tolerance_hu: of voxels; None where values are not to be compared.
        border: voxels at the edge of what was scanned, within slices, that resampling may change.
        paths: what is given to lvo; the folder when empty.
    """

    number: int | None = None
    settings: SelectionSettings = field(default_factory=SelectionSettings)
    tolerance_hu: float | None = 1.0
    border: int = 0
    paths: tuple[Path, ...] = ()


@dataclass
class Scene:
    """A folder to put a study in.

    Args:
        folder: where files go; their names tell nothing.
    """

    folder: Path
    count: int = 0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def uid(self) -> str:
        """The next UID; the same ones in every run."""
        self.count += 1
        return str(generate_uid(entropy_srcs=["conditions", str(self.count)]))

    def stack(self, n: int = 50, step_mm: float = 1.3, orientation: Sequence[float] = AXIAL) -> np.ndarray:
        """(n, 3) positions of the first pixels of a stack about the centre, along the normal of the orientation."""
        row, column = np.reshape(orientation, (2, 3))
        normal = np.cross(row, column)
        corner = CENTER_LPS_MM - 10 * 1.4 * row - 12 * 1.6 * column
        return corner + (np.arange(n)[:, None] - n / 2) * step_mm * normal

    def series(
        self,
        positions: np.ndarray | None = None,
        *,
        orientation: Sequence[float] = AXIAL,
        tags: Mapping[str, Any] | None = None,
        each: Callable[[int], Mapping[str, Any]] | None = None,
        seconds: Sequence[float] | None = None,
        store: Callable[[np.ndarray, Dataset], None] | None = None,
        change: Callable[[Dataset, int], None] | None = None,
        into: str = "",
    ) -> list[Path]:
        """Write a series, a thin CT angiogram unless tags say otherwise; a tag of None is left out.

        Args:
            positions: (N, 3) of the first pixel of each image.
            orientation: Image Orientation (Patient).
            tags: of every image.
            each: of image n.
            seconds: time of each image, for the values.
            store: puts (24, 20) HU into an image; 16 bit without sign by default.
            change: last word on image n.
            into: folder below the scene's.
        """
        positions = self.stack() if positions is None else positions
        series_uid, paths = self.uid(), []
        (self.folder / into).mkdir(parents=True, exist_ok=True)
        for n, position in enumerate(positions):
            image = self.image(series_uid, n + 1)
            image.ImagePositionPatient = [f"{x:.7g}" for x in position]
            image.ImageOrientationPatient = [f"{x:.9g}" for x in orientation]
            _set(image, dict(tags or {}) | dict(each(n) if each else {}))
            _set_values(image, position, orientation, 0.0 if seconds is None else seconds[n], store or store_u16)
            if change is not None:
                change(image, n)
            paths.append(self.folder / into / f"{self.rng.integers(1 << 40):010x}")
            image.save_as(paths[-1], enforce_file_format=True)
        return paths

    def image(self, series_uid: str, number: int) -> Dataset:
        """A CT image without place and pixels."""
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = CTImageStorage
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = self.uid()
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = STUDY, series_uid, f"{STUDY}.9"
        image.PatientName, image.PatientID, image.StudyDate = "Secret^Person", "4711", "20260301"
        image.Modality, image.ImageType, image.SeriesNumber = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"], 3
        image.SeriesDescription, image.ContrastBolusAgent = "CTA head", "IOMERON 400"
        image.InstanceNumber, image.SliceThickness, image.PixelSpacing = number, "1.3", [1.6, 1.4]
        image.RescaleSlope, image.RescaleIntercept, image.RescaleType = 1, -1024, "HU"
        return image

    def enhanced(self, positions: np.ndarray, *, per_frame: Sequence[str] = (), **tags: Any) -> Path:
        """Write one Enhanced CT object, frames shuffled; `per_frame` names groups that are stated in each frame, not shared."""
        order = self.rng.permutation(len(positions))
        image = self.image(self.uid(), 1)
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
        image.NumberOfFrames = len(positions)
        groups = {
            "PixelMeasuresSequence": _item(PixelSpacing=[1.6, 1.4], SliceThickness="1.3"),
            "PlaneOrientationSequence": _item(ImageOrientationPatient=list(AXIAL)),
            "PixelValueTransformationSequence": _item(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU"),
        }
        for keyword in ("PixelSpacing", "SliceThickness", "RescaleSlope", "RescaleIntercept", "RescaleType"):
            delattr(image, keyword)
        image.SharedFunctionalGroupsSequence = [_item(**{k: [v] for k, v in groups.items() if k not in per_frame})]
        frames, pixels = [], []
        for n in order:
            own = {k: [groups[k]] for k in per_frame}
            frames.append(_item(PlanePositionSequence=[_item(ImagePositionPatient=[f"{x:.7g}" for x in positions[n]])], **own))
            plane = Dataset()
            plane.PixelSpacing = [1.6, 1.4]
            _set_values(plane, positions[n], AXIAL, 0.0, store_u16)
            pixels.append(plane.PixelData)
        for keyword in ("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation"):
            setattr(image, keyword, plane[keyword].value)
        image.BitsAllocated = image.BitsStored = 16
        image.HighBit, image.PixelRepresentation = 15, 0
        image.PerFrameFunctionalGroupsSequence, image.PixelData = frames, b"".join(pixels)
        _set(image, tags)
        path = self.folder / "enhanced"
        image.save_as(path, enforce_file_format=True)
        return path


def _set_values(
    image: Dataset,
    position: np.ndarray,
    orientation: Sequence[float],
    seconds: float,
    store: Callable[[np.ndarray, Dataset], None],
) -> None:
    """Draw the field on an image of 24 rows and 20 columns, or as many as its tags say."""
    row, column = np.reshape(orientation, (2, 3))
    rows, columns = image.get("Rows", 24), image.get("Columns", 20)
    j, i = np.indices((rows, columns))
    between_rows, between_columns = map(float, image.get("PixelSpacing") or (1.6, 1.4))
    points = np.asarray(position) + j[..., None] * between_rows * column + i[..., None] * between_columns * row
    image.Rows, image.Columns = rows, columns
    image.SamplesPerPixel = image.get("SamplesPerPixel", 1)
    image.PhotometricInterpretation = image.get("PhotometricInterpretation", "MONOCHROME2")
    store(np.clip(field_hu(points, seconds), -1000, 3000), image)


def store_u16(values_hu: np.ndarray, image: Dataset) -> None:
    """16 bit without sign, 0 is -1024 HU."""
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation = 15, 0
    image.PixelData = np.rint(values_hu + 1024).astype("<u2").tobytes() * image.get("SamplesPerPixel", 1)
    image["PixelData"].VR = "OW"


def _item(**tags: Any) -> Dataset:
    item = Dataset()
    _set(item, tags)
    return item


def _set(image: Dataset, tags: Mapping[str, Any]) -> None:
    for keyword, value in tags.items():
        if value is None:
            if keyword in image:
                delattr(image, keyword)
        else:
            setattr(image, keyword, value)


def rewrite(path: Path, change: Callable[[Dataset], None]) -> None:
    """Change a file that was written."""
    image = pydicom.dcmread(path)
    change(image)
    image.save_as(path)


CONDITIONS: dict[str, Callable[[Scene], Expected | None]] = {}
"""Every builder by the name that the table uses."""


def condition(name: str) -> Callable[[Callable[[Scene], Expected | None]], Callable[[Scene], Expected | None]]:
    """Register a builder."""

    def add(build: Callable[[Scene], Expected | None]) -> Callable[[Scene], Expected | None]:
        assert name not in CONDITIONS, name
        CONDITIONS[name] = build
        return build

    return add
