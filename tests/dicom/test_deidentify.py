"""De-identified images: what PS3.15 names is gone from the bytes, wherever it stood, and the image is still the image."""

from io import BytesIO

import numpy as np
import pydicom
import pytest
from lvo_tests_dicom_writing import said_by
from pydicom import Dataset
from pydicom.datadict import DicomDictionary, tag_for_keyword
from pydicom.sequence import Sequence

from lvo.core.grid import Grid
from lvo.core.volume import Quantity, Volume
from lvo.dicom.deidentify import deidentify, may_leave, new_uid
from lvo.dicom.source import SeriesHeader, StudyHeader, write_ct_series
from lvo.errors import InputError

SECRET = b"of this test"
CANARY = "CANARYBIRD"
IDENTIFYING = (
    "PatientName", "PatientID", "PatientBirthName", "OtherPatientNames", "PatientAddress", "PatientMotherBirthName",
    "PatientComments", "PatientTelephoneNumbers", "EthnicGroup", "Occupation", "AdditionalPatientHistory", "MedicalAlerts",
    "Allergies", "AdmissionID", "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName",
    "ReferringPhysicianName", "OperatorsName", "PhysiciansOfRecord", "PerformingPhysicianName",
    "NameOfPhysiciansReadingStudy", "RequestingPhysician", "AccessionNumber", "StudyID", "StudyDescription",
    "SeriesDescription", "ProtocolName", "ImageComments", "DeviceSerialNumber", "RequestedProcedureDescription",
    "PerformedProcedureStepDescription", "StudyComments", "CurrentPatientLocation", "InsurancePlanIdentification",
    "IssuerOfPatientID", "FrameComments", "DerivationDescription", "AcquisitionComments", "ContrastBolusAgent",
    "RequestAttributesSequence",
)  # fmt: skip
"""Attributes with texts that PS3.15 Table E.1-1 names, written from the standard and not from the library's table."""


@pytest.fixture
def image(tmp_path):
    """A CT image with canaries at the top, two sequences deep, in private groups, in an overlay and in its preamble."""
    grid = Grid.from_axes((1, 7, 5), (3.0, 0.7, 0.4), origin_lps_mm=(1.0, 2.0, 3.0), axes_lps=np.eye(3)[::-1])
    header = SeriesHeader(StudyHeader(seed="identity"), 3, "CT")
    values = np.arange(35, dtype=np.float32).reshape(1, 7, 5)
    (path,) = write_ct_series(Volume(values, grid, Quantity.HU), tmp_path, header)
    dataset = pydicom.dcmread(path)
    deep = Dataset()
    for target in (dataset, deep):
        for keyword in IDENTIFYING:
            vr = DicomDictionary[tag_for_keyword(keyword)][0]
            if vr != "SQ":
                setattr(target, keyword, f"{CANARY}^X" if vr == "PN" else CANARY)
        target.PatientBirthDate, target.PatientAge, target.PatientSize = "19510714", "074Y", "1.77"
        block = target.private_block(0x0011, CANARY, create=True)
        block.add_new(1, "LO", CANARY)
    deep.ReferencedSOPClassUID, deep.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.777.1"
    middle = Dataset()
    middle.ReferencedSOPSequence = Sequence([deep])
    dataset.ReferencedSeriesSequence = Sequence([middle])
    dataset.RequestAttributesSequence = Sequence([deep])
    dataset.SourceImageSequence = Sequence([deep])
    dataset.add_new((0x6000, 0x4000), "LT", CANARY)
    dataset.preamble = CANARY.encode().ljust(128, b"\0")
    dataset.file_meta.SourceApplicationEntityTitle = CANARY
    return dataset


def written(dataset):
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def test_the_canaries_are_there_before(image):
    assert written(image).count(CANARY.encode()) > 100


@pytest.mark.parametrize("keep_intervals", [False, True])
def test_nothing_of_the_patient_is_in_the_bytes(image, keep_intervals):
    """Looked for as bytes, so that nothing depends on how the file is read."""
    old = [image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID, image.FrameOfReferenceUID, "1.2.777.1"]
    pixels, place = image.PixelData, list(image.ImagePositionPatient)
    deidentify(image, SECRET, keep_intervals=keep_intervals)
    raw = written(image)
    assert CANARY.encode() not in raw
    assert b"19510714" not in raw
    assert b"074Y" not in raw
    assert not [uid for uid in old if uid.encode() in raw]
    again = pydicom.dcmread(BytesIO(raw))
    assert again.PixelData == pixels
    assert list(again.ImagePositionPatient) == place
    assert again.PatientIdentityRemoved == "YES"
    codes = [code.CodeValue for code in again.DeidentificationMethodCodeSequence]
    assert codes == (["113100", "113107"] if keep_intervals else ["113100"])
    assert again.file_meta.MediaStorageSOPInstanceUID == again.SOPInstanceUID


def test_the_library_alone_leaves_what_stands_in_sequences(image):
    """Why every item goes through it on its own; when this fails the library does it, and the walk can go."""
    from dicomanonymizer.simpledicomanonymizer import anonymize_dataset, initialize_actions

    anonymize_dataset(image, base_rules_gen=lambda: initialize_actions("dicomfields_2026c"))
    assert CANARY.encode() in written(image)


def test_images_of_one_study_stay_together_and_other_secrets_give_other_uids(image):
    first, second, other = (pydicom.dcmread(BytesIO(written(image))) for _ in range(3))
    deidentify(first, SECRET)
    deidentify(second, SECRET)
    deidentify(other, b"another secret")
    assert first.StudyInstanceUID == second.StudyInstanceUID == new_uid(image.StudyInstanceUID, SECRET)
    assert first.StudyInstanceUID != other.StudyInstanceUID
    assert first.PatientID == second.PatientID != other.PatientID
    assert len(first.SOPInstanceUID) <= 64
    assert first.SOPInstanceUID.is_valid


def test_times_between_images_are_kept_when_asked_for(image):
    later = pydicom.dcmread(BytesIO(written(image)))
    later.AcquisitionDate, later.AcquisitionDateTime = "20260106", "20260106000001.250000"
    for each in (image, later):
        deidentify(each, SECRET, keep_intervals=True)
    moved = [pydicom.valuerep.DA(each.AcquisitionDate) for each in (image, later)]
    assert (moved[1] - moved[0]).days == 1
    assert moved[0].year < 2026
    assert later.AcquisitionDateTime.endswith("000001.250000")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"BurnedInAnnotation": "YES"}, id="text burned in"),
        pytest.param({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, id="screen capture by its type"),
        pytest.param({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, id="secondary capture"),
        pytest.param({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1"}, id="PDF"),
    ],
)
def test_what_may_show_the_patient_in_its_pixels_stays(image, change):
    for keyword, value in change.items():
        setattr(image, keyword, value)
    assert not may_leave(image)
    with pytest.raises(InputError, match="burned-in text"):
        deidentify(image, SECRET)


def errors_of(dataset, path):
    """What dciodvfy finds wrong."""
    path.write_bytes(written(dataset))
    _, said = said_by("dciodvfy", path)
    assert "CTImage" in said
    return {line for line in said.splitlines() if line.startswith("Error")}


def test_the_image_is_still_a_valid_ct_image(image, tmp_path):
    """Judged by dciodvfy: no error that was not there before; the library's own dates would be one."""
    before = errors_of(image, tmp_path / "before.dcm")
    deidentify(image, SECRET)
    assert errors_of(image, tmp_path / "after.dcm") <= before
