"""Parametric maps: CBF, CBV, MTT, Tmax and delay as floating-point images with their units."""

import highdicom as hd
import numpy as np
from pydicom import Dataset

from lvo.core.volume import DISPLAY_TOP, Volume
from lvo.dicom.write import codes
from lvo.dicom.write.seg import grid_planes
from lvo.dicom.write.source_headers import EQUIPMENT, Headers
from lvo.dicom.write.stamp import Stamp

__all__ = ["parametric_map"]


def parametric_map(headers: Headers, name: str, volume: Volume, stamp: Stamp, *, series_number: int) -> Dataset:
    """One map; voxels without a value (NaN) are written as 0.

    Args:
        headers: source images.
        name: "cbf", "cbv", "mtt", "tmax", "delay" or "rttp".
        volume: the map.
        stamp: time and UIDs.
        series_number: for the new series.
    """
    headers = headers.with_frame_of(volume.grid, stamp)
    values = np.nan_to_num(volume.array.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    quantity, top = codes.MAP_QUANTITIES[name], DISPLAY_TOP[volume.quantity]
    result: Dataset = hd.pm.ParametricMap(
        source_images=headers.main,
        further_source_images=headers.others or None,
        pixel_array=values,
        series_instance_uid=stamp.uid("series", f"pm_{name}"),
        series_number=series_number,
        sop_instance_uid=stamp.uid("object", f"pm_{name}"),
        instance_number=1,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            hd.pm.RealWorldValueMapping(
                lut_label=name.upper(),
                lut_explanation=quantity.meaning,
                unit=codes.UNITS[volume.quantity.ucum],
                value_range=(float(values.min()), float(values.max())),
                slope=1.0,
                intercept=0.0,
                quantity_definition=quantity,
            )
        ],
        voi_lut_transformations=[hd.VOILUTTransformation(window_center=top / 2.0, window_width=top)],
        content_label=name.upper(),
        content_description="Research use only",
        content_qualification=hd.ContentQualificationValues.RESEARCH,
        **grid_planes(volume.grid),
        **EQUIPMENT,
    )
    anatomy = Dataset()
    anatomy.FrameLaterality, anatomy.AnatomicRegionSequence = "B", [codes.item(codes.BRAIN)]
    result.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [anatomy]  # dcmqi, and so 3D Slicer, crashes without it
    _raise_frames(result)
    result.BodyPartExamined = "HEAD"
    result.ContentCreatorName = ""  # type 2
    headers.finish(result, stamp, series_description=f"LVO {codes.MAP_TITLES[name]} [{volume.quantity.ucum}]")
    return result


def _raise_frames(result: Dataset) -> None:
    """Store the frames from low to high along their normal, in place.

    highdicom stores them from high to low. Any order is legal, since each frame says where it lies; but dcmqi, and so
    3D Slicer, takes the frames of a map for low to high and would turn it upside down.
    """
    groups = list(reversed(result.PerFrameFunctionalGroupsSequence))
    for number, group in enumerate(groups, start=1):
        group.FrameContentSequence[0].DimensionIndexValues = [number]
    result.PerFrameFunctionalGroupsSequence = groups
    frames = np.frombuffer(result.FloatPixelData, dtype="<f4").reshape(len(groups), -1)
    result.FloatPixelData = frames[::-1].tobytes()
