"""The headers of the source images: whom a result belongs to, and which images it refers to.

Identity is carried over in one place (`Headers.finish`) and nowhere else: the objects are built from headers without it,
because the library that builds them puts names it finds odd into its warnings.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID

from lvo import __version__
from lvo.core.grid import Grid
from lvo.core.study import SeriesRef
from lvo.dicom.headers import UNREADABLE
from lvo.dicom.write import codes
from lvo.dicom.write.stamp import Stamp
from lvo.errors import InputError

__all__ = ["EQUIPMENT", "Headers", "SourceSeries", "bare", "duplicate", "read_headers"]

EQUIPMENT = {
    "manufacturer": "lvo",
    "manufacturer_model_name": "lvo",
    "software_versions": __version__,
    "device_serial_number": "software",
}
"""What made the result, in highdicom's parameter names."""

_IDENTITY = (
    "PatientName", "PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "PatientBirthDate", "PatientSex",
    "OtherPatientIDsSequence", "PatientComments", "PatientIdentityRemoved", "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName", "StudyDescription", "PatientAge", "PatientSize", "PatientWeight",
    "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName", "ClinicalTrialSiteID",
    "ClinicalTrialSiteName", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID",
)  # fmt: skip
"""Patient and study modules (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2, C.7.1.3): a result must land in the patient's study."""

_ALWAYS = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
           "AccessionNumber", "ReferringPhysicianName")  # fmt: skip
"""Type 2 of those modules: present, empty when unknown."""

_TECHNICAL = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
    "PositionReferenceIndicator", "Modality", "ImageType", "Rows", "Columns", "PixelSpacing", "SliceThickness",
    "ImagePositionPatient", "ImageOrientationPatient",
    "SamplesPerPixel", "RescaleSlope", "RescaleIntercept", "RescaleType",
    "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod",
)  # fmt: skip
"""What the result objects need of a source image beside identity."""

_PER_FRAME = "PerFrameFunctionalGroupsSequence"
_FRAMES = ("NumberOfFrames", "SharedFunctionalGroupsSequence", _PER_FRAME)
"""Where a multi-frame image keeps its geometry. Number of Frames alone proves nothing: single images may have it, as 1."""

_SPELLED = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""Value representations that follow the character set (PS3.5 6.1.2.2)."""


@dataclass(frozen=True, slots=True)
class SourceSeries:
    """The images a part of the result was made from, in slice order; an image that gave several slices stands once.

    Args:
        paths: file of each image.
        sop_instance_uids: UID of each image.
    """

    paths: tuple[Path, ...]
    sop_instance_uids: tuple[str, ...]

    @classmethod
    def of(cls, series: Sequence[SeriesRef], sop_instance_uids: Sequence[str] | None = None) -> "SourceSeries":
        """Look up files by UID.

        Args:
            series: series whose instances are looked through.
            sop_instance_uids: for each slice its image, repeats allowed; the first instance alone when omitted.

        Raises:
            InputError: a UID is in none of the series, or there is no instance at all.
        """
        files = {image.sop_instance_uid: image.path for one in series for image in one.instances}
        uids = tuple(dict.fromkeys(sop_instance_uids if sop_instance_uids is not None else list(files)[:1]))
        missing = [uid for uid in uids if uid not in files]
        if missing or not uids:
            msg = f"{len(missing)} of {len(uids)} source images are in none of the {len(series)} series given"
            raise InputError(msg)
        return cls(tuple(files[uid] for uid in uids), uids)


@dataclass(frozen=True, slots=True, eq=False)
class Headers:
    """Source images without identity, and the identity on its own.

    Args:
        images: technical header of each image, in slice order.
        identity: patient and study attributes.
        character_set: in which the images spell them.
    """

    images: tuple[Dataset, ...]
    identity: Dataset
    character_set: str = ""

    @property
    def main(self) -> tuple[Dataset, ...]:
        """The images of the series that gave most of them: one geometry, one frame of reference."""
        uids = [str(image.SeriesInstanceUID) for image in self.images]
        most = max(uids, key=uids.count)
        return tuple(image for image in self.images if image.SeriesInstanceUID == most)

    @property
    def others(self) -> tuple[Dataset, ...]:
        """The remaining images."""
        main = {image.SOPInstanceUID for image in self.main}
        return tuple(image for image in self.images if image.SOPInstanceUID not in main)

    def with_frame_of(self, grid: Grid, stamp: Stamp) -> "Headers":
        """The same, every image with a frame of reference and a slice thickness, which archives and anonymisers drop.

        The frame of reference is its own, the grid's, or a new one; the thickness its own or the slice distance of the grid
        (type 2 in CT, PS3.3 C.7.6.2, but result objects need a value).
        """
        uid = next((i.FrameOfReferenceUID for i in self.main if i.get("FrameOfReferenceUID")), None)
        uid = uid or grid.frame_of_reference_uid or stamp.uid("frame of reference", str(self.main[0].SeriesInstanceUID))
        thickness_mm = f"{grid.spacing_kji_mm[0]:.6g}"
        images = [
            duplicate(
                image,
                FrameOfReferenceUID=image.get("FrameOfReferenceUID") or uid,
                SliceThickness=image.get("SliceThickness") or thickness_mm,
            )
            for image in self.images
        ]
        return Headers(tuple(images), self.identity, self.character_set)

    def finish(self, result: Dataset, stamp: Stamp, *, series_description: str) -> None:
        """Give a result its patient, its study, its time and lasting UIDs, in place."""
        for element in self.identity:
            result[element.tag] = copy.deepcopy(element)
        for keyword in _ALWAYS:
            if keyword not in result or result[keyword].value is None:
                setattr(result, keyword, "")
        result.SeriesDescription = f"{series_description} - RESEARCH USE ONLY"
        date, time = f"{stamp.created:%Y%m%d}", f"{stamp.created:%H%M%S}"
        for event in ("InstanceCreation", "Series", "Content", "PresentationCreation"):
            if event in {"InstanceCreation", "Series"} or f"{event}Date" in result:
                setattr(result, f"{event}Date", date)
                setattr(result, f"{event}Time", time)
        for equipment in result.get("ContributingEquipmentSequence", []):
            if "ContributionDateTime" in equipment:
                equipment.ContributionDateTime = date + time
        _settle_uids(result, stamp)
        _name_own_codes(result)
        _settle_character_set(result, self.character_set)
        result.file_meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
        result.file_meta.ImplementationVersionName = f"LVO {__version__}"


def read_headers(source: SourceSeries) -> Headers:
    """Read the headers of the source images; pixels stay on disk.

    Raises:
        InputError: a file cannot be read.
    """
    images = [_technical(_read(path, _TECHNICAL)) for path in source.paths]
    for image in images[1:]:
        same = image.SeriesInstanceUID == images[0].SeriesInstanceUID and "ImageOrientationPatient" in images[0]
        if same and np.allclose(image.get("ImageOrientationPatient", 0), images[0].ImageOrientationPatient, atol=1e-4):
            image.ImageOrientationPatient = images[0].ImageOrientationPatient  # decimal strings differ in the last digit
    if _PER_FRAME in (full := _read(source.paths[0], (*_IDENTITY, *_TECHNICAL, *_FRAMES))):
        images = [_technical(full)]
    identity = _identity(full)
    named = full.get("SpecificCharacterSet")
    return Headers(tuple(images), identity, named if isinstance(named, str) and named != "ISO_IR 6" else "")


def duplicate(header: Dataset, **change: object) -> Dataset:
    """A header with some attributes changed; `copy.copy` of a data set would change the original too."""
    other = Dataset()
    other.update(header)
    for keyword, value in change.items():
        other.add_new(keyword, dictionary_VR(keyword), value)
    return other


def bare(result: Dataset) -> Dataset:
    """What a reference to one of our own objects needs of it, with its identity left empty."""
    header = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "Rows", "Columns"):
        if keyword in result:
            setattr(header, keyword, result[keyword].value)
    for keyword in _ALWAYS:
        setattr(header, keyword, "")
    return header


def _read(path: Path, keywords: Sequence[str]) -> Dataset:
    """Some attributes with their text decoded. Values are taken as they are: a warning on an odd one would quote it."""
    tags = [tag for keyword in keywords if (tag := tag_for_keyword(keyword)) is not None]
    try:
        with pydicom.config.disable_value_validation():
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
            header.decode()
    except UNREADABLE as error:
        msg = f"a source image cannot be read again ({type(error).__name__}): it is damaged, or it was changed or removed"
        raise InputError(msg) from error
    return header


def _identity(header: Dataset) -> Dataset:
    """Patient and study attributes that have a value; those that must be there even without one are added by `finish`."""
    identity = Dataset()
    for keyword in _IDENTITY:
        if keyword in header and not header[keyword].is_empty:
            identity.add(copy.deepcopy(header[keyword]))
    how = ("DeidentificationMethod", "DeidentificationMethodCodeSequence")
    if identity.get("PatientIdentityRemoved") == "YES" and not any(keyword in identity for keyword in how):
        identity.DeidentificationMethod = "not stated in the source images"  # type 1C (PS3.3 C.7.1.1)
    return identity


def _technical(header: Dataset) -> Dataset:
    """The header without identity: the empty attributes that highdicom insists on, and no name, number or date."""
    image = Dataset()
    if _PER_FRAME in header:  # a multi-frame image carries its geometry in nested groups
        for keyword in _FRAMES:
            if keyword in header:
                image.add(header[keyword])
    for keyword in _TECHNICAL:
        if keyword in header:
            image.add(header[keyword])
    for keyword in _ALWAYS:
        setattr(image, keyword, "")
    return image


def _settle_uids(result: Dataset, stamp: Stamp) -> None:
    """Replace the one UID that highdicom draws at random, that of the dimension organization, by a lasting one, in place."""
    drawn: dict[str, str] = {}
    for element in result.iterall():
        if element.keyword == "DimensionOrganizationUID":
            lasting = stamp.uid("dimensions", str(result.SOPInstanceUID), str(len(drawn)))
            element.value = drawn.setdefault(element.value, lasting)


def _name_own_codes(result: Dataset) -> None:
    """Say whose our codes are, in place, where there are any (PS3.3 C.12.1.1.8.1)."""
    if any(element.keyword == "CodingSchemeDesignator" and element.value == codes.SCHEME for element in result.iterall()):
        scheme = Dataset()
        scheme.CodingSchemeDesignator = codes.SCHEME
        scheme.CodingSchemeName, scheme.CodingSchemeVersion = "lvo", __version__
        result.CodingSchemeIdentificationSequence = [scheme]


def _settle_character_set(result: Dataset, wanted: str) -> None:
    """Spell names as the images do, in place, so that they match byte by byte; in UTF-8 what that set cannot spell."""
    words = "".join(str(element.value) for element in result.iterall() if element.VR in _SPELLED)
    try:
        words.encode(pydicom.charset.python_encoding[wanted] if wanted else "ascii")
    except (UnicodeEncodeError, KeyError):
        wanted = "ISO_IR 192"
    if wanted:
        result.SpecificCharacterSet = wanted
    elif "SpecificCharacterSet" in result:
        del result.SpecificCharacterSet
