"""Colour secondary captures: the pictures of the report for viewers that show nothing else."""

import io

import highdicom as hd
import numpy as np
from PIL import Image
from pydicom import Dataset

from lvo.dicom.write.source_headers import EQUIPMENT, Headers
from lvo.dicom.write.stamp import Stamp

__all__ = ["secondary_capture"]


def secondary_capture(
    headers: Headers, png: bytes, stamp: Stamp, *, name: str, series_number: int, instance_number: int
) -> Dataset:
    """One picture.

    Patient Orientation is left empty: a page holds several views, and each is lettered in the picture.

    Args:
        headers: the images the picture was made from; they are referenced.
        png: the picture.
        stamp: time and UIDs.
        name: of the picture; its UID follows from it.
        series_number: of the one series of all pictures.
        instance_number: place in the series, from 1.
    """
    result: Dataset = hd.sc.SCImage.from_ref_dataset(
        ref_dataset=headers.images[0],
        pixel_array=np.asarray(Image.open(io.BytesIO(png)).convert("RGB")),
        photometric_interpretation=hd.PhotometricInterpretationValues.RGB,
        bits_allocated=8,
        coordinate_system=hd.CoordinateSystemNames.PATIENT,
        series_instance_uid=stamp.uid("series", "sc"),
        series_number=series_number,
        sop_instance_uid=stamp.uid("object", f"sc_{name}"),
        instance_number=instance_number,
        manufacturer=EQUIPMENT["manufacturer"],
        patient_orientation=("L", "P"),
    )
    result.PatientOrientation = ""
    result.BodyPartExamined = "HEAD"
    result.ManufacturerModelName = EQUIPMENT["manufacturer_model_name"]
    result.SoftwareVersions = EQUIPMENT["software_versions"]
    result.BurnedInAnnotation = "NO"  # the pictures carry no identity
    result.DateOfSecondaryCapture, result.TimeOfSecondaryCapture = f"{stamp.created:%Y%m%d}", f"{stamp.created:%H%M%S}"
    result.SourceImageSequence = [reference(image) for image in headers.images]
    headers.finish(result, stamp, series_description="LVO pictures")
    return result


def reference(image: Dataset) -> Dataset:
    """SOP class and instance of an image."""
    item = Dataset()
    item.ReferencedSOPClassUID = image.SOPClassUID
    item.ReferencedSOPInstanceUID = image.SOPInstanceUID
    return item
