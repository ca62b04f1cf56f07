"""CT perfusion as pictures: the lesion on the scan, a sheet per map, the input curves, motion and quality, and the fallback."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from lvo.core.outcome import Assessed
from lvo.core.report import Report
from lvo.report.perfusion.curves import draw_curves
from lvo.report.perfusion.mosaic import MAPS, draw_fallback, draw_lesion, draw_map
from lvo.report.perfusion.quality import draw_motion, draw_quality
from lvo.report.perfusion.sheet import Sheet

__all__ = ["PERFUSION_FIGURES", "draw_perfusion_figures", "lesion_sheet"]

PERFUSION_FIGURES: Mapping[str, str] = {
    "perfusion": "Core and hypoperfusion on the unenhanced scan",
    **{key: f"{shown.title}, {shown.unit}" for key, shown in MAPS.items()},
    "curves": "Arterial input and venous output, and where they were read",
    "motion": "Motion of the head during the scan",
    "quality": "Curves considered, and what the quality of the scan was judged by",
    "fallback": "Tissue that peaks late: a fallback, not a perfusion result",
}
"""Name of every picture of the CT perfusion, and what it shows."""


def draw_perfusion_figures(report: Report) -> dict[str, Figure]:
    """The pictures of the CT perfusion by name; only the fallback, or none, where it was not judged."""
    if not isinstance(report.perfusion, Assessed):
        if report.fallback is None:
            return {}
        return {"fallback": draw_fallback(report.fallback, report.volumes.get("ctp"))}
    result = report.perfusion.value
    sheet = lesion_sheet(report)
    figures = {"perfusion": draw_lesion(result, sheet)}
    figures |= {key: draw_map(result, key, sheet) for key in MAPS if key in result.maps}
    figures["curves"] = draw_curves(result, sheet)
    if result.motion is not None:
        figures["motion"] = draw_motion(result.motion)
    figures["quality"] = draw_quality(result)
    return figures


def lesion_sheet(report: Report) -> Sheet:
    """The maps of a judged CT perfusion and its unenhanced scan, ready to be drawn.

    Raises:
        ValueError: the CT perfusion was not judged.
    """
    if not isinstance(report.perfusion, Assessed):
        msg = "the CT perfusion was not judged"
        raise ValueError(msg)  # noqa: TRY004 - a wrong state, not a wrong type
    maps = report.perfusion.value.maps
    return Sheet.of(maps, brain=maps["brain"], baseline=report.volumes.get("ctp"), lesion=("hypoperfusion", "core"))
