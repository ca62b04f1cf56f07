"""Synthetic Enhanced CT: one multi-frame object with what frames share stated once, and place and time for each.

References:
    DICOM PS3.3 A.38 (Enhanced CT), C.7.6.16 (functional groups), C.8.15 (CT macros).
"""

from collections.abc import Sequence

import numpy as np
from pydicom import Dataset
from pydicom.uid import EnhancedCTImageStorage

from lvo.core.grid import Grid
from lvo.core.volume import TimeSeries
from lvo.dicom.source import RESCALE_INTERCEPT_HU, SeriesHeader, ct_images, decimals

__all__ = ["enhanced_ct"]

_TIME, _STACK, _SLICE = 0x00209128, 0x00209056, 0x00209057
_FRAME_CONTENT = 0x00209111
_HEAD = ("12738006", "SCT", "Brain")
_CLASSIC_ONLY = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SliceLocation", "RescaleIntercept",
    "RescaleSlope", "RescaleType", "WindowCenter", "WindowWidth", "KVP", "ConvolutionKernel", "PatientOrientation",
    "ContrastBolusRoute",
)  # fmt: skip


def enhanced_ct(series: TimeSeries, frames: Sequence[int], header: SeriesHeader, *, instance_number: int) -> Dataset:
    """Some time points of a series as one Enhanced CT object.

    Args:
        series: (T, K, J, I) HU.
        frames: numbers of the time points.
        header: what the series shares.
        instance_number: number of the object in the series, from 1.

    Raises:
        GeometryError, ValueError: as `lvo.dicom.source.write_ct_series`.
    """
    grid = series.grid
    n_slices = grid.shape_kji[0]
    slices = [image for t in frames for image in ct_images(series.frame(t), header, series.times_s[t], t)]
    result = slices[0]
    shared = _shared(result, header, grid)
    pixels = b"".join(image.PixelData for image in slices)
    times = [(t, k, image) for (t, k), image in zip(((t, k) for t in frames for k in range(n_slices)), slices, strict=True)]
    own = [_own(t, k, image, grid) for t, k, image in times]
    for keyword in _CLASSIC_ONLY:
        if keyword in result:
            delattr(result, keyword)
    result.SOPClassUID = EnhancedCTImageStorage
    result.SOPInstanceUID = header.study.uid("enhanced", header.number, instance_number)
    result.InstanceNumber, result.NumberOfFrames = instance_number, len(slices)
    result.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    result.PixelPresentation, result.VolumetricProperties, result.VolumeBasedCalculationTechnique = (
        "MONOCHROME",
        "VOLUME",
        "NONE",
    )
    result.ContentQualification, result.LossyImageCompression, result.PresentationLUTShape = "RESEARCH", "00", "IDENTITY"
    result.DeviceSerialNumber = "phantom"
    result.AcquisitionDuration = float(np.ptp([series.times_s[t, k] for t, k, _ in times]))
    result.AcquisitionContextSequence = []
    _set_contrast(result)
    _set_dimensions(result, header)
    result.SharedFunctionalGroupsSequence, result.PerFrameFunctionalGroupsSequence = [shared], own
    result.PixelData = pixels
    result["PixelData"].VR = "OW"
    return result


def _item(**attributes: object) -> Dataset:
    """A sequence item."""
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def _code(value: str, scheme: str, meaning: str) -> list[Dataset]:
    """A code sequence of one."""
    return [_item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)]


def _shared(image: Dataset, header: SeriesHeader, grid: Grid) -> Dataset:
    """What every frame has in common."""
    _, axis_j, axis_i = grid.axes_lps
    spacing = [*grid.spacing_kji_mm[1:]]
    anatomy = _item(FrameLaterality="U", AnatomicRegionSequence=_code(*_HEAD))
    frame_type = _item(
        FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], PixelPresentation="MONOCHROME", VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE",
    )  # fmt: skip
    details = _item(
        RotationDirection="CW", RevolutionTime=0.5, SingleCollimationWidth=0.5, TotalCollimationWidth=0.5 * grid.shape_kji[0],
        TableHeight=100.0, GantryDetectorTilt=0.0, DataCollectionDiameter=500.0,
    )  # fmt: skip
    reconstruction = _item(
        ReconstructionAlgorithm="FILTER_BACK_PROJ", ConvolutionKernel=header.kernel, ConvolutionKernelGroup="BRAIN",
        ReconstructionDiameter=float(spacing[0] * grid.shape_kji[1]), ReconstructionPixelSpacing=[float(x) for x in spacing],
        ReconstructionAngle=360.0, ImageFilter="NONE",
    )  # fmt: skip
    exposure = _item(
        ExposureTimeInms=500.0, XRayTubeCurrentInmA=100.0, ExposureInmAs=50.0, ExposureModulationType="NONE", CTDIvol=4.0
    )
    center = grid.to_lps_mm((np.array(grid.shape_kji) - 1) / 2.0)
    position = _item(
        TablePosition=0.0, DataCollectionCenterPatient=[float(x) for x in center],
        ReconstructionTargetCenterPatient=[float(x) for x in center],
    )  # fmt: skip
    event = _item(IrradiationEventUID=header.study.uid("irradiation", header.number))
    use = _item(
        ContrastBolusAgentNumber=1,
        ContrastBolusAgentAdministered="YES",
        ContrastBolusAgentDetected="YES",
        ContrastBolusAgentPhase="ARTERIAL",
    )
    return _item(
        IrradiationEventIdentificationSequence=[event],
        **({"ContrastBolusUsageSequence": [use]} if header.contrast_agent else {}),
        PixelMeasuresSequence=[_item(PixelSpacing=decimals(spacing), SliceThickness=image.SliceThickness)],
        PlaneOrientationSequence=[_item(ImageOrientationPatient=decimals([*axis_i, *axis_j]))],
        PixelValueTransformationSequence=[_item(RescaleIntercept=RESCALE_INTERCEPT_HU, RescaleSlope=1, RescaleType="HU")],
        FrameVOILUTSequence=[_item(WindowCenter=image.WindowCenter, WindowWidth=image.WindowWidth)],
        FrameAnatomySequence=[anatomy],
        CTImageFrameTypeSequence=[frame_type],
        CTAcquisitionTypeSequence=[_item(AcquisitionType="STATIONARY", ConstantVolumeFlag="NO", FluoroscopyFlag="NO")],
        CTAcquisitionDetailsSequence=[details],
        CTTableDynamicsSequence=[_item(TableSpeed=0.0)],
        CTPositionSequence=[position],
        CTGeometrySequence=[_item(DistanceSourceToDetector=1000.0, DistanceSourceToDataCollectionCenter=500.0)],
        CTReconstructionSequence=[reconstruction],
        CTExposureSequence=[exposure],
        CTXRayDetailsSequence=[
            _item(KVP=header.kvp, FocalSpots=[1.0], FilterType="FLAT", FilterMaterial="ALUMINUM")
        ],
    )  # fmt: skip


def _own(t: int, k: int, image: Dataset, grid: Grid) -> Dataset:
    """Place and time of one frame."""
    content = _item(
        FrameAcquisitionNumber=t + 1,
        FrameAcquisitionDateTime=image.AcquisitionDateTime,
        FrameReferenceDateTime=image.AcquisitionDateTime,
        FrameAcquisitionDuration=500.0,
        TemporalPositionIndex=t + 1,
        StackID="1",
        InStackPositionNumber=k + 1,
        DimensionIndexValues=[t + 1, 1, k + 1],
    )
    return _item(
        FrameContentSequence=[content],
        PlanePositionSequence=[_item(ImagePositionPatient=decimals(grid.to_lps_mm((k, 0, 0))))],
    )


def _set_dimensions(result: Dataset, header: SeriesHeader) -> None:
    """Frames are ordered by time, stack and place in the stack."""
    uid = header.study.uid("dimensions", header.number)
    result.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=uid)]
    result.DimensionIndexSequence = [
        _item(DimensionOrganizationUID=uid, DimensionIndexPointer=pointer, FunctionalGroupPointer=_FRAME_CONTENT)
        for pointer in (_TIME, _STACK, _SLICE)
    ]


def _set_contrast(result: Dataset) -> None:
    """Contrast agents of Enhanced CT are coded."""
    if "ContrastBolusAgent" not in result:
        return
    del result.ContrastBolusAgent
    agent = _item(
        CodeValue="80421000", CodingSchemeDesignator="SCT", CodeMeaning="Iodinated contrast media",
        ContrastBolusAgentNumber=1, ContrastBolusVolume=40.0, ContrastBolusIngredientConcentration=350.0,
        ContrastBolusIngredientOpaque="YES",
        ContrastBolusAdministrationRouteSequence=_code("47625008", "SCT", "Intravenous route"),
        ContrastBolusIngredientCodeSequence=_code("44588005", "SCT", "Iodine"),
        ContrastAdministrationProfileSequence=[_item(ContrastBolusVolume=40.0)],
    )  # fmt: skip
    result.ContrastBolusAgentSequence = [agent]
