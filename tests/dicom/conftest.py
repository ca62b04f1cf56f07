"""A tiny CT writer for reading tests: plain pydicom, so that reader and writer of the product do not check each other."""

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

from lvo.core.study import InstanceRef, SeriesRef

_CONDITIONS = ("files", "series", "geometry", "times", "pixels")
_SHARED = ("writing", "scene", "ai_results", *(f"conditions/{name}" for name in _CONDITIONS))


def _share(relative: str) -> None:
    """Make a file of this folder importable by test files, as lvo_tests_dicom_<name>."""
    path = Path(__file__).parent / f"{relative}.py"
    spec = importlib.util.spec_from_file_location(f"lvo_tests_dicom_{path.stem}", path)
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])


for _name in _SHARED:
    _share(_name)

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass
class CtWriter:
    """Writes CT series with tags chosen by the test, under shuffled, meaningless file names."""

    folder: Path
    study: str = "1.2.826.0.1.3680043.8.498.1"
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(5))
    count: int = 0

    def uid(self) -> str:
        """The next UID; the same ones in every run."""
        self.count += 1
        return str(generate_uid(entropy_srcs=[self.study, str(self.count)]))

    def series(
        self,
        values: np.ndarray,
        positions: Sequence[Sequence[float]] | np.ndarray,
        orientation: Sequence[float] = AXIAL,
        tags: Mapping[str, Any] | None = None,
        each: Callable[[int], Mapping[str, Any]] | None = None,
        into: str = "",
    ) -> SeriesRef:
        """One image per plane of `values` (N, J, I); `each` gives tags per image; a tag of None is left out."""
        series_uid = self.uid()
        folder = self.folder / into
        folder.mkdir(parents=True, exist_ok=True)
        instances = []
        for n in self.rng.permutation(len(values)):
            base = self._image(values[n], positions[n], orientation, series_uid, len(values) - int(n))
            self._set(base, dict(tags or {}) | dict(each(int(n)) if each else {}))
            path = folder / f"{self.rng.integers(1 << 40):010x}"
            base.save_as(path, enforce_file_format=True)
            instances.append(InstanceRef(path, base.SOPInstanceUID, base.SOPClassUID))
        return SeriesRef(series_uid, "CT", str((tags or {}).get("SeriesDescription", "")), 1, tuple(instances))

    def enhanced(
        self,
        values: np.ndarray,
        positions: Sequence[Sequence[float]] | np.ndarray,
        each: Callable[[int], Mapping[str, Any]] | None = None,
    ) -> SeriesRef:
        """One Enhanced CT object whose frames are shuffled; rescale and spacing shared, position per frame."""
        order = self.rng.permutation(len(values))
        base = self._image(values[0], positions[0], AXIAL, self.uid(), 1)
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
            delattr(base, keyword)
        base.SOPClassUID = base.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
        base.NumberOfFrames = len(values)
        base.PixelData = np.ascontiguousarray(values[order] + 1024, dtype="<u2").tobytes()
        shared = Dataset()
        shared.PixelMeasuresSequence = Items([self._item(PixelSpacing=[0.7, 0.4], SliceThickness=2.5)])
        shared.PlaneOrientationSequence = Items([self._item(ImageOrientationPatient=list(AXIAL))])
        shared.PixelValueTransformationSequence = Items([self._item(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")])
        base.SharedFunctionalGroupsSequence = Items([shared])
        frames = []
        for n in order:
            frame = Dataset()
            frame.PlanePositionSequence = Items([self._item(ImagePositionPatient=list(map(float, positions[n])))])
            frame.FrameContentSequence = Items([self._item(**(each(int(n)) if each else {}))])
            frames.append(frame)
        base.PerFrameFunctionalGroupsSequence = Items(frames)
        path = self.folder / "enhanced"
        base.save_as(path, enforce_file_format=True)
        instance = InstanceRef(path, base.SOPInstanceUID, base.SOPClassUID, len(values))
        return SeriesRef(base.SeriesInstanceUID, "CT", "", 1, (instance,))

    def _image(
        self, plane: np.ndarray, position: Sequence[float], orientation: Sequence[float], series_uid: str, number: int
    ) -> Dataset:
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = CTImageStorage
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = self.uid()
        image.StudyInstanceUID, image.SeriesInstanceUID = self.study, series_uid
        image.FrameOfReferenceUID = f"{self.study}.9"
        image.PatientName, image.PatientID = "Secret^Person", "4711"
        image.Modality, image.ImageType, image.SeriesNumber = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"], 1
        image.InstanceNumber = number  # against the order of positions, as some scanners write it
        image.ImagePositionPatient = [f"{float(x):.9g}" for x in position]
        image.ImageOrientationPatient = [f"{float(x):.9g}" for x in orientation]
        image.PixelSpacing, image.SliceThickness = [0.7, 0.4], 2.5
        image.Rows, image.Columns = plane.shape
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated = image.BitsStored = 16
        image.HighBit, image.PixelRepresentation = 15, 0
        image.RescaleSlope, image.RescaleIntercept, image.RescaleType = 1, -1024, "HU"
        image.PixelData = np.ascontiguousarray(np.round(plane) + 1024, dtype="<u2").tobytes()
        return image

    @staticmethod
    def _set(image: Dataset, tags: Mapping[str, Any]) -> None:
        for keyword, value in tags.items():
            if value is None:
                delattr(image, keyword)
            elif keyword == "PixelRepresentation" and value == 1:
                image.PixelRepresentation = 1
            else:
                setattr(image, keyword, value)

    @staticmethod
    def _item(**tags: Any) -> Dataset:
        item = Dataset()
        for keyword, value in tags.items():
            setattr(item, keyword, value)
        return item


@pytest.fixture
def writer(tmp_path: Path) -> CtWriter:
    """Writes below a fresh folder."""
    folder = tmp_path / "study"
    folder.mkdir()
    return CtWriter(folder)


def pattern(shape_kji: tuple[int, int, int]) -> np.ndarray:
    """(K, J, I) HU that differ in every voxel and have no symmetry."""
    k, j, i = np.indices(shape_kji)
    return (100 * k + 13 * j + 2 * i + (i == 0) * 300).astype(np.int16)


def column(n: int, step_mm: float = 2.5, start: Sequence[float] = (-31.0, 17.0, 640.0)) -> np.ndarray:
    """(n, 3) positions of an axial stack, feet first."""
    return np.array(start) + np.arange(n)[:, None] * np.array([0.0, 0.0, step_mm])


@pytest.fixture
def make_pattern() -> Callable[[tuple[int, int, int]], np.ndarray]:
    """Asymmetric values."""
    return pattern


@pytest.fixture
def make_column() -> Callable[..., np.ndarray]:
    """Positions of an axial stack."""
    return column
