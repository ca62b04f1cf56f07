"""Write synthetic CT series as a scanner would export them: the only maker of source images in this package.

Nothing here comes from a patient. Identity, manufacturer and descriptions say so, UIDs follow from the seed, and the same
input gives the same bytes. File names are meaningless and unordered, as in an export from a PACS.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid
from pydicom.valuerep import format_number_as_ds

from lvo.core.grid import Grid
from lvo.core.volume import Quantity, TimeSeries, Volume
from lvo.errors import GeometryError, OutputError

__all__ = [
    "SeriesHeader", "StudyHeader", "ct_images", "decimals", "write_ct_series", "write_ctp_series", "write_images",
    "write_screen_page",
]  # fmt: skip

RESCALE_INTERCEPT_HU = -1024
"""Stored value 0; with 12 bits the range is -1024 to 3071 HU, as on clinical scanners."""
BITS_STORED = 12
PERPENDICULAR = 1e-4
"""Largest cosine between rows and columns that Image Orientation (Patient) can carry (PS3.3 C.7.6.2.1.1)."""
PAGE_ROWS, PAGE_COLUMNS = 240, 320


@dataclass(frozen=True, slots=True)
class StudyHeader:
    """What every image of one synthetic study shares.

    Args:
        seed: text from which all UIDs follow; one seed, one study.
        start: date and time of the first image.
        description: Study Description.
    """

    seed: str
    start: datetime = datetime(2026, 1, 5, 10, 0, 0)  # noqa: DTZ001 - DICOM local time of an invented scanner
    description: str = "STROKE CT (SYNTHETIC PHANTOM)"

    def uid(self, *parts: object) -> UID:
        """A UID that follows from the seed and the parts."""
        return generate_uid(entropy_srcs=["\x1f".join(map(str, ("lvo phantom", self.seed, *parts)))])


@dataclass(frozen=True, slots=True)
class SeriesHeader:
    """What every image of one series shares.

    Args:
        study: the study it belongs to.
        number: Series Number.
        description: Series Description.
        start_s: first image, seconds after the study's start.
        scan_s: seconds from the first to the last slice of one volume.
        image_type: Image Type.
        kvp: tube voltage.
        kernel: Convolution Kernel.
        contrast_agent: Contrast/Bolus Agent, empty without contrast.
        slice_thickness_mm: reconstructed slice thickness, the slice distance when None.
    """

    study: StudyHeader
    number: int
    description: str
    start_s: float = 0.0
    scan_s: float = 0.0
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")
    kvp: float = 120.0
    kernel: str = "SYNTH-SMOOTH"
    contrast_agent: str = ""
    slice_thickness_mm: float | None = None

    @property
    def series_instance_uid(self) -> UID:
        """Series Instance UID."""
        return self.study.uid("series", self.number)

    def when(self, seconds: float) -> datetime:
        """Date and time, seconds after the series' start."""
        return self.study.start + timedelta(seconds=self.start_s + seconds)


def write_ct_series(
    volume: Volume, folder: Path, header: SeriesHeader, *, on_image: Callable[[], None] | None = None
) -> tuple[Path, ...]:
    """Write a volume as one CT Image Storage object per slice.

    Args:
        volume: (K, J, I) HU on a grid whose rows and columns are perpendicular; slices may be tilted against them.
        folder: existing folder that receives the files.
        header: what the series shares.
        on_image: called after each image.

    Returns:
        The files, slice 0 first.

    Raises:
        GeometryError: rows and columns of the grid are not perpendicular.
        ValueError: the volume is not HU.
        OutputError: a file cannot be written.

    References:
        DICOM PS3.3 A.3 (CT Image IOD).
    """
    n_slices = volume.grid.shape_kji[0]
    times_s = header.scan_s * np.arange(n_slices) / max(n_slices - 1, 1)
    images = ct_images(volume, header, times_s, 0)
    return write_images(images, folder, on_image)


def write_ctp_series(
    series: TimeSeries, folder: Path, header: SeriesHeader, *, on_image: Callable[[], None] | None = None
) -> tuple[Path, ...]:
    """Write a time series as one CT series with several images per position, each with its own acquisition time.

    Args:
        series: (T, K, J, I) HU.
        folder: existing folder that receives the files.
        header: what the series shares; `scan_s` is ignored, the time series has its own times.
        on_image: called after each image.

    Returns:
        The files, frame by frame, slice 0 first.

    Raises:
        GeometryError, ValueError, OutputError: as `write_ct_series`.
    """
    frames = range(series.array.shape[0])
    images = (image for t in frames for image in ct_images(series.frame(t), header, series.times_s[t], t))
    return write_images(images, folder, on_image)


def write_screen_page(
    lines: Sequence[str], folder: Path, header: SeriesHeader, *, on_image: Callable[[], None] | None = None
) -> tuple[Path, ...]:
    """Write lines of text as a secondary capture, as scanners do with their dose page.

    Raises:
        OutputError: the file cannot be written.

    References:
        DICOM PS3.3 A.8.1 (Secondary Capture Image IOD).
    """
    page = Image.new("L", (PAGE_COLUMNS, PAGE_ROWS))
    ImageDraw.Draw(page).multiline_text((12, 12), "\n".join(lines), fill=255)
    image = _general(header, SecondaryCaptureImageStorage, 0, 0)
    _stamp(image, header, 0.0)
    image.ImageType = ["DERIVED", "SECONDARY", "SCREEN SAVE"]
    image.ConversionType = "WSD"
    _set_pixels(image, np.asarray(page, dtype=np.uint8), bits_stored=8)
    return write_images(iter([image]), folder, on_image)


def ct_images(volume: Volume, header: SeriesHeader, times_s: NDArray[np.float64], frame: int) -> Iterator[Dataset]:
    """The slices of one volume as CT images."""
    grid = volume.grid
    if volume.quantity is not Quantity.HU:
        msg = f"a CT series holds HU, this volume holds {volume.quantity.name}"
        raise ValueError(msg)
    skew = float(abs(grid.axes_lps[1] @ grid.axes_lps[2]))
    if skew > PERPENDICULAR:
        msg = f"rows and columns of a CT image must be perpendicular, the cosine between them is {skew:.4f}; resample first"
        raise GeometryError(msg)
    for k, stored in enumerate(volume.array):
        image = _general(header, CTImageStorage, frame, k)
        _stamp(image, header, float(times_s[k]))
        _set_acquisition(image, header, frame)
        _set_plane(image, header, grid, k)
        top = 2**BITS_STORED - 1
        _set_pixels(image, np.clip(np.rint(stored) - RESCALE_INTERCEPT_HU, 0, top).astype(np.uint16), bits_stored=BITS_STORED)
        image.InstanceNumber = frame * grid.shape_kji[0] + k + 1
        yield image


def _general(header: SeriesHeader, sop_class: UID, frame: int, k: int) -> Dataset:
    """Patient, study, series, equipment and SOP common modules."""
    study = header.study
    image = Dataset()
    image.SOPClassUID = sop_class
    image.SOPInstanceUID = study.uid("image", header.number, frame, k)
    image.PatientName = "PHANTOM^LVO"
    image.PatientID = "LVO-" + hashlib.sha256(study.seed.encode()).hexdigest()[:8].upper()
    image.PatientBirthDate, image.PatientSex = "", "O"
    image.PatientComments = "Synthetic image, not a patient"
    image.StudyInstanceUID = study.uid("study")
    image.StudyDate, image.StudyTime = f"{study.start:%Y%m%d}", f"{study.start:%H%M%S}"
    image.StudyID, image.AccessionNumber, image.ReferringPhysicianName = "1", "", ""
    image.StudyDescription = study.description
    image.Modality = "CT"
    image.SeriesInstanceUID = header.series_instance_uid
    image.SeriesNumber, image.SeriesDescription = header.number, header.description
    image.SeriesDate, image.SeriesTime = f"{header.when(0):%Y%m%d}", f"{header.when(0):%H%M%S.%f}"
    image.BodyPartExamined, image.PatientPosition = "HEAD", "HFS"
    image.Manufacturer, image.ManufacturerModelName, image.SoftwareVersions = "lvo phantom", "digital head", "1"
    image.InstanceNumber, image.PatientOrientation = 1, ""
    image.BurnedInAnnotation = "NO"
    return image


def _stamp(image: Dataset, header: SeriesHeader, seconds: float) -> None:
    """Acquisition and content times; the phantom is reconstructed at once."""
    when = header.when(seconds)
    image.AcquisitionDate, image.AcquisitionTime = f"{when:%Y%m%d}", f"{when:%H%M%S.%f}"
    image.AcquisitionDateTime = f"{when:%Y%m%d%H%M%S.%f}"
    image.ContentDate, image.ContentTime = image.AcquisitionDate, image.AcquisitionTime


def _set_acquisition(image: Dataset, header: SeriesHeader, frame: int) -> None:
    """CT image and contrast modules."""
    image.ImageType = list(header.image_type)
    image.AcquisitionNumber = frame + 1
    image.KVP = header.kvp
    image.ConvolutionKernel = header.kernel
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = RESCALE_INTERCEPT_HU, 1, "HU"
    image.WindowCenter, image.WindowWidth = (150, 700) if header.contrast_agent else (40, 80)
    if header.contrast_agent:
        image.ContrastBolusAgent = header.contrast_agent
        image.ContrastBolusRoute = "INTRAVENOUS"


def _set_plane(image: Dataset, header: SeriesHeader, grid: Grid, k: int) -> None:
    """Frame of reference and image plane modules (PS3.3 C.7.4.1 and C.7.6.2)."""
    spacing_j_mm, spacing_i_mm = grid.spacing_kji_mm[1:]
    _, axis_j, axis_i = grid.axes_lps
    normal = np.cross(axis_i, axis_j)
    origin_lps_mm = grid.to_lps_mm((k, 0, 0))
    between_planes_mm = abs(float(grid.lps_from_kji[:3, 0] @ normal))
    image.FrameOfReferenceUID = grid.frame_of_reference_uid or header.study.uid("frame")
    image.PositionReferenceIndicator = ""
    image.ImageOrientationPatient = decimals([*axis_i, *axis_j])
    image.ImagePositionPatient = decimals(origin_lps_mm)
    image.PixelSpacing = decimals([spacing_j_mm, spacing_i_mm])
    image.SliceLocation = format_number_as_ds(float(origin_lps_mm @ normal))
    thickness_mm = header.slice_thickness_mm or between_planes_mm
    image.SliceThickness = format_number_as_ds(float(thickness_mm))


def _set_pixels(image: Dataset, stored: NDArray[np.uint8] | NDArray[np.uint16], *, bits_stored: int) -> None:
    """Image pixel module, uncompressed."""
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns = stored.shape
    image.BitsAllocated, image.BitsStored, image.HighBit = stored.dtype.itemsize * 8, bits_stored, bits_stored - 1
    image.PixelRepresentation = 0
    image.PixelData = np.ascontiguousarray(stored).astype(stored.dtype.newbyteorder("<")).tobytes()
    image["PixelData"].VR = "OB" if bits_stored == 8 else "OW"


def decimals(values: Sequence[float] | NDArray[np.float64]) -> list[str]:
    """Numbers as decimal strings of at most 16 characters."""
    return [format_number_as_ds(float(value) + 0.0) for value in values]  # + 0.0 turns -0 into 0


def write_images(images: Iterator[Dataset], folder: Path, on_image: Callable[[], None] | None) -> tuple[Path, ...]:
    """Write each image under a name that tells nothing."""
    paths = []
    for image in images:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.ImplementationClassUID = generate_uid(entropy_srcs=["lvo phantom"])
        meta.ImplementationVersionName = "LVO_PHANTOM"
        image.file_meta = meta
        path = folder / hashlib.sha256(image.SOPInstanceUID.encode()).hexdigest()[:12].upper()
        try:
            image.save_as(path, enforce_file_format=True)
        except OSError as error:
            msg = f"{path} cannot be written: {error.strerror}"
            raise OutputError(msg) from error
        paths.append(path)
        if on_image is not None:
            on_image()
    return tuple(paths)
