"""The summary as an encapsulated PDF (PS3.3 A.45.1)."""

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, EncapsulatedPDFStorage, ExplicitVRLittleEndian

from lvo.dicom.write.capture import reference
from lvo.dicom.write.source_headers import EQUIPMENT, Headers
from lvo.dicom.write.stamp import Stamp

__all__ = ["encapsulated_pdf"]


def encapsulated_pdf(headers: Headers, document: bytes, stamp: Stamp, *, series_number: int) -> Dataset:
    """The PDF as a DICOM object.

    Args:
        headers: the images the document tells of.
        document: bytes of a PDF file.
        stamp: time and UIDs.
        series_number: for the new series.

    Raises:
        ValueError: the bytes are not a PDF file.
    """
    if not document.startswith(b"%PDF-"):
        msg = f"the document must be a PDF file, got one that starts with {document[:8]!r}"
        raise ValueError(msg)
    result = Dataset()
    result.file_meta = FileMetaDataset()
    result.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    result.SOPClassUID, result.SOPInstanceUID = EncapsulatedPDFStorage, stamp.uid("object", "pdf")
    result.file_meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    result.file_meta.MediaStorageSOPInstanceUID = UID(result.SOPInstanceUID)
    result.SeriesInstanceUID = stamp.uid("series", "pdf")
    result.Modality, result.SeriesNumber, result.InstanceNumber = "DOC", series_number, 1
    result.Manufacturer = EQUIPMENT["manufacturer"]
    result.ManufacturerModelName = EQUIPMENT["manufacturer_model_name"]
    result.SoftwareVersions = EQUIPMENT["software_versions"]
    result.ConversionType = "WSD"
    result.ContentDate = result.ContentTime = result.AcquisitionDateTime = ""
    result.BurnedInAnnotation = "NO"  # the document carries no identity
    result.VerificationFlag = "UNVERIFIED"
    result.DocumentTitle = "LVO result, research use only"
    result.ConceptNameCodeSequence = []
    result.MIMETypeOfEncapsulatedDocument = "application/pdf"
    result.SourceInstanceSequence = [reference(image) for image in headers.images]
    result.EncapsulatedDocumentLength = len(document)
    result.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    headers.finish(result, stamp, series_description="LVO summary")
    return result
