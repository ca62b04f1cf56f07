"""Parametric maps: CBF, CBV, MTT, Tmax and delay as floating-point images with their units."""

import highdicom as hd
import numpy as np
from pydicom import Dataset

from lvo.core.volume import DISPLAY_TOP, Volume
from lvo.dicom.write import codes
from lvo.dicom.write.seg import grid_planes
from lvo.dicom.write.source_headers import EQUIPMENT, Headers, Stamp

__all__ = ["parametric_map"]


def parametric_map(headers: Headers, name: str, volume: Volume, stamp: Stamp, *, series_number: int) -> Dataset:
    """One map; voxels without a value (NaN) are written as 0.

    Args:
        headers: source images.
        name: "cbf", "cbv", "mtt", "tmax" or "delay".
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
        series_instance_uid=stamp.new_uid(),
        series_number=series_number,
        sop_instance_uid=stamp.new_uid(),
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
    result.BodyPartExamined = "HEAD"
    headers.finish(result, stamp, series_description=f"LVO {name.upper()}")
    return result
