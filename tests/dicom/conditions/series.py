"""Conditions of the table: which series serves."""

import numpy as np
from lvo_tests_dicom_scene import Expected, condition, store_u16
from pydicom.uid import SecondaryCaptureImageStorage

from lvo.config import SelectionSettings, SeriesRule

PLAIN = {"ContrastBolusAgent": None, "SeriesDescription": "Head plain"}
CORONAL, SAGITTAL = (1, 0, 0, 0, 0, -1), (0, 1, 0, 0, 0, -1)


def _number(number, **tags):
    return {"SeriesNumber": number} | tags


def _at(seconds):
    return {"AcquisitionDateTime": f"2026030110{seconds // 60:02d}{seconds % 60:02d}"}


@condition("thin-and-thick")
def _(scene):
    scene.series(scene.stack(24, 3.0), tags=_number(4, SliceThickness=3, SeriesDescription="CTA 3.0"))
    scene.series(tags=_number(5, SeriesDescription="CTA 1.3"))
    return Expected(number=5)


@condition("only-thick")
def _(scene):
    scene.series(scene.stack(24, 3.0), tags={"SliceThickness": 3})


@condition("bone-kernel")
def _(scene):
    scene.series(tags=_number(4, ConvolutionKernel="Hr68h"))
    scene.series(tags=_number(5, ConvolutionKernel="Hr40f"))
    return Expected(number=5)


@condition("phases-apart")
def _(scene):
    for number, name in ((4, "CTA PHASE 3"), (5, "CTA PHASE 2"), (6, "CTA PHASE 1")):
        scene.series(tags=_number(number, SeriesDescription=name) | _at(300 - 8 * number))
    return Expected(number=6)


@condition("phases-in-one")
def _(scene):
    positions = [position for position in scene.stack() for _ in range(3)]
    scene.series(positions, tags={"SeriesDescription": "mCTA"}, each=lambda n: _at(8 * (n % 3)))


@condition("venous-first")
def _(scene):
    scene.series(tags=_number(4, SeriesDescription="CTV head venous") | _at(10))
    scene.series(tags=_number(5) | _at(60))
    return Expected(number=5)


@condition("mip-by-type")
def _(scene):
    scene.series(tags={"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "MIP"]})


@condition("mip-by-words")
def _(scene):
    scene.series(tags={"SeriesDescription": "CTA MIP ax"})


@condition("reformat-by-type")
def _(scene):
    scene.series(tags={"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "CT_SOM5 MPR"]})


@condition("coronal")
def _(scene):
    scene.series(scene.stack(60, 1.3, CORONAL), orientation=CORONAL)


@condition("sagittal")
def _(scene):
    scene.series(scene.stack(60, 1.3, SAGITTAL), orientation=SAGITTAL)


@condition("localizer")
def _(scene):
    scene.series(scene.stack(2, 1.3, CORONAL), orientation=CORONAL, tags={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]})


@condition("dose-page")
def _(scene):
    page = {"SOPClassUID": SecondaryCaptureImageStorage, "ImageType": ["DERIVED", "SECONDARY"], "ImagePositionPatient": None}
    scene.series(scene.stack(1), tags=page | {"SeriesDescription": "Dose Report"})


@condition("screenshots")
def _(scene):
    scene.series(scene.stack(4), tags={"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0})


@condition("bolus-tracking")
def _(scene):
    scene.series([scene.stack(1)[0]] * 20, tags={"SeriesDescription": "Monitoring"}, each=_at)


@condition("bolus-tracking-few")
def _(scene):
    scene.series(scene.stack(3, 10.0), tags={"SliceThickness": 10, "SeriesDescription": "PreMonitoring"})


@condition("other-body-part")
def _(scene):
    scene.series(tags={"BodyPartExamined": "CHEST", "SeriesDescription": "CTA pulmonary"})


@condition("arch-to-vertex")
def _(scene):
    scene.series(scene.stack(120, 1.5), tags=_number(4, SeriesDescription="CTA arch to vertex", BodyPartExamined="HEADNECK"))
    scene.series(scene.stack(6, 1.3), tags=_number(5, SeriesDescription="CTA arch to vertex"))
    return Expected(number=4)


@condition("from-perfusion")
def _(scene):
    scene.series(tags=_number(4, SeriesDescription="CTA from CTP 1.0"))
    scene.series(tags=_number(5, SeriesDescription="CTA head"))
    return Expected(number=5)


@condition("spectral-map")
def _(scene):
    scene.series(tags={"RescaleType": "Z_EFF"})


@condition("subtracted")
def _(scene):
    scene.series(tags={"SeriesDescription": "CTA subtracted"})


@condition("no-description")
def _(scene):
    scene.series(tags={"SeriesDescription": ""})


@condition("wrong-description")
def _(scene):
    scene.series(tags={"SeriesDescription": "HEAD W/O"})


ANONYMOUS = dict.fromkeys(
    ("SeriesDescription", "ContrastBolusAgent", "PatientName", "PatientID", "StudyDate", "SeriesNumber", "InstanceNumber")
)


@condition("anonymised-angiogram")
def _(scene):
    def store(values_hu, image):
        vessels = np.full_like(values_hu, 40.0)
        for j, i in ((4, 4), (4, 14), (12, 9), (18, 4), (18, 15)):
            vessels[j : j + 2, i : i + 2] = 350
        store_u16(vessels, image)

    scene.series(tags=ANONYMOUS, store=store)
    return Expected(tolerance_hu=None)


@condition("anonymised-plain")
def _(scene):
    scene.series(tags=ANONYMOUS)


@condition("described-only")
def _(scene):
    scene.series(tags={"ContrastBolusAgent": None, "SeriesDescription": "CTA COW"})


@condition("no-angiogram")
def _(scene):
    scene.series(scene.stack(30, 5.0), tags=PLAIN | {"SliceThickness": 5})


@condition("other-modality")
def _(scene):
    scene.series(tags={"Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"})


@condition("part-of-an-angiogram")
def _(scene):
    scene.series(scene.stack(12))


@condition("sent-twice-as-two")
def _(scene):
    for number in (4, 5):
        scene.series(tags=_number(number))
    return Expected(number=4)


@condition("split-by-exposure")
def _(scene):
    positions = scene.stack(100)
    scene.series(positions[:52], tags=_number(4, XRayTubeCurrent=400))
    scene.series(positions[52:], tags=_number(5, XRayTubeCurrent=250))
    return Expected(number=4)


@condition("varying-exposure")
def _(scene):
    scene.series(each=lambda n: {"XRayTubeCurrent": 200 + 7 * n, "Exposure": 90 + n})


@condition("page-among-images")
def _(scene):
    scene.series(each=lambda n: {"ImagePositionPatient": None} if n == 30 else {})


@condition("rule-prefers")
def _(scene):
    scene.series(tags=_number(4, ConvolutionKernel="Hr40f"))
    scene.series(tags=_number(5, ConvolutionKernel="Qr44f"))
    return Expected(number=5, settings=SelectionSettings(rules=(SeriesRule(kernel="^Qr44", points=6.0),)))


@condition("rule-ignores")
def _(scene):
    scene.series(tags=_number(4, SeriesDescription="CTA test recon"))
    scene.series(scene.stack(36, 2.0), tags=_number(5, SliceThickness=2))
    return Expected(number=5, settings=SelectionSettings(rules=(SeriesRule(description="TEST recon", role="ignore"),)))


@condition("rule-names")
def _(scene):
    scene.series(tags=_number(4, SeriesDescription="HWX7", ContrastBolusAgent=None))
    return Expected(number=4, settings=SelectionSettings(rules=(SeriesRule(description="^HWX7$", role="cta"),)))
