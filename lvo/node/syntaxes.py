"""What the listener accepts: every storage class, and the transfer syntaxes that the analysis can read or at least keep."""

from pynetdicom import AllStoragePresentationContexts
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at run time

from lvo.delivery.commitment import answer_context

__all__ = ["STORAGE_CLASSES", "TRANSFER_SYNTAXES", "supported_contexts"]

TRANSFER_SYNTAXES = (
    "1.2.840.10008.1.2.1",      # Explicit VR Little Endian
    "1.2.840.10008.1.2",        # Implicit VR Little Endian
    "1.2.840.10008.1.2.2",      # Explicit VR Big Endian (retired)
    "1.2.840.10008.1.2.4.50",   # JPEG Baseline
    "1.2.840.10008.1.2.4.51",   # JPEG Extended
    "1.2.840.10008.1.2.4.57",   # JPEG Lossless
    "1.2.840.10008.1.2.4.70",   # JPEG Lossless SV1
    "1.2.840.10008.1.2.4.80",   # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81",   # JPEG-LS Near-Lossless
    "1.2.840.10008.1.2.4.90",   # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.91",   # JPEG 2000
    "1.2.840.10008.1.2.4.201",  # HTJ2K Lossless
    "1.2.840.10008.1.2.4.202",  # HTJ2K Lossless RPCL
    "1.2.840.10008.1.2.4.203",  # HTJ2K
    "1.2.840.10008.1.2.5",      # RLE Lossless
)  # fmt: skip
"""Plain ones first, so that a sender which offers several sends what is fastest to read. Deflated is left out: it may unfold
to any size (decision 0013)."""

STORAGE_CLASSES = tuple(sorted(str(context.abstract_syntax) for context in AllStoragePresentationContexts))


def supported_contexts() -> list[PresentationContext]:
    """Presentation contexts for the association server."""
    verification = build_context(Verification, list(TRANSFER_SYNTAXES[:2]))
    return [verification, answer_context(), *(build_context(uid, list(TRANSFER_SYNTAXES)) for uid in STORAGE_CLASSES)]
