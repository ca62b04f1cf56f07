"""CT perfusion: contrast-agent curves to maps, core, hypoperfusion and mismatch. No files, no clock."""

from lvo.perfusion.analyze import NoInputCurve, analyze
from lvo.perfusion.fallback import late_by_time_to_peak

__all__ = ["NoInputCurve", "analyze", "late_by_time_to_peak"]
