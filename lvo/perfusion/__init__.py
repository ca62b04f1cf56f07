"""CT perfusion: contrast-agent curves to maps, core, hypoperfusion and mismatch. No files, no clock."""

from lvo.perfusion.analyze import analyze

__all__ = ["analyze"]
