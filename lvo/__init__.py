"""CTA large-vessel-occlusion decision support: DICOM in, one typed report out. Research use only."""

__all__ = ["RESEARCH_USE_ONLY", "__version__"]

__version__ = "0.1.0"

RESEARCH_USE_ONLY = (
    "Research use only. Not a medical device. Trained on synthetic heads and not validated on patients. "
    "It cannot rule out an occlusion: a clinician must read the images."
)
"""The limits of use that every output carries."""
