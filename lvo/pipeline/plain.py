"""Plain CT: nothing is called on it yet, but a reader should know whether it is complete and shows a head."""

from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.report import QualityNote, Severity
from lvo.dicom.load import load_volume
from lvo.dicom.select import Selection
from lvo.errors import InputError
from lvo.image.brain import find_brain
from lvo.pipeline.records import Progress

__all__ = ["check_plain_ct"]


def check_plain_ct(selection: Selection, progress: Progress) -> None:
    """Load the plain CT, if there is one, and note what is odd about it and how much brain it shows."""
    if selection.ncct is None:
        return
    with progress.stage("ncct"):
        try:
            loaded = load_volume(selection.ncct, allow_uneven=True)
        except InputError as error:
            progress.notes.append(QualityNote("ncct.unusable", Severity.WARNING, f"plain CT: {error}"))
            return
        progress.notes += loaded.notes
        match find_brain(loaded.volume):
            case Assessed(value=brain):
                text = f"plain CT: brain found, {brain.array.sum() * brain.grid.voxel_ml:.0f} mL"
                progress.notes.append(QualityNote("ncct.brain", Severity.INFO, text))
            case NotAssessable(reasons=reasons):
                progress.notes += [QualityNote("ncct.brain", Severity.WARNING, f"plain CT: {text}") for text in reasons]
