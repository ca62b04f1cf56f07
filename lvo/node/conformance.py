"""The DICOM conformance statement, made from what the code does (PS3.2); `scripts/conformance` writes it into the documents."""

from collections.abc import Iterable

from pydicom.uid import UID
from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID
from pynetdicom.sop_class import uid_to_sop_class

from lvo import RESEARCH_USE_ONLY
from lvo.node.listener import IMPLEMENTATION_NAME, STATUS
from lvo.node.settings import DicomSettings
from lvo.node.syntaxes import STORAGE_CLASSES, TRANSFER_SYNTAXES

__all__ = ["statement"]

_ROLES = (
    ("Verification", "1.2.840.10008.1.1", "SCP", "C-ECHO"),
    ("Storage (all classes below)", "", "SCP", "C-STORE"),
    ("Storage (result objects)", "", "SCU", "C-STORE to the destinations in `[delivery]`"),
    (
        "Storage Commitment Push Model",
        "1.2.840.10008.1.20.1",
        "SCU",
        "N-ACTION to a PACS; N-EVENT-REPORT on either association",
    ),
    (
        "Query/Retrieve, Study Root",
        "1.2.840.10008.5.1.4.1.2.2.1, .2, .3",
        "SCU",
        "C-FIND, C-MOVE and C-GET (as SCP of CT images) for what a study lacks, from the sources in `[delivery]`",
    ),
)
_WEB = (
    ("STOW-RS, origin server", "`POST /studies`, `POST /studies/{study}`", "multipart/related; type=application/dicom",
     "application/dicom+json; 200, 202, 400, 401, 409, 415, 503"),
    ("QIDO-RS and WADO-RS, user agent", "from the sources in `[delivery]`", "`/studies/{study}/series`",
     "application/dicom+json; multipart/related; type=application/dicom"),
    ("STOW-RS, user agent", "to the destinations in `[delivery]`", "multipart/related; type=application/dicom",
     "application/dicom+json"),
)  # fmt: skip


def statement() -> str:
    """The statement as Markdown."""
    dicom = DicomSettings()
    limits = [
        ("PDU offered to senders", f"{dicom.max_pdu} bytes (`max_pdu`)"),
        ("associations at once", f"{dicom.max_associations}, {dicom.max_associations_per_peer} of one address"),
        ("time for a PDU that has begun", f"{dicom.pdu_timeout_s:g} s"),
        ("association without traffic ends after", f"{dicom.idle_timeout_s:g} s"),
        ("largest image", f"{dicom.max_instance_mb} MB"),
        ("asynchronous operations", "none; one operation at a time"),
        ("calling AE titles", "those in `[[dicom.peers]]`, from their addresses; others are rejected (permanent, 1-1-3)"),
        ("called AE title", f"`{dicom.ae_title}` by default (`ae_title`); others are rejected (permanent, 1-1-7)"),
        ("too many associations", "rejected (transient, 2-3-2)"),
    ]
    return "\n".join((
        "# DICOM conformance statement", "",
        f"Made from the code by `scripts/conformance`; do not edit. {RESEARCH_USE_ONLY}", "",
        "## Services", "", *_table(("service", "UID", "role", "what"), _ROLES), "",
        f"Implementation Class UID `{PYNETDICOM_IMPLEMENTATION_UID}` (pynetdicom), Version Name `{IMPLEMENTATION_NAME}`.", "",
        "## Associations", "", *_table(("what", "value"), limits), "",
        "Encryption: TLS 1.2 or later with certificates on both sides where `[dicom.tls]` is given (as the BCP 195 TLS Secure",
        "Transport Connection Profile, PS3.15 B.9, asks; the ciphers are those of the installed OpenSSL).", "",
        "## C-STORE status", "", *_table(("status", "meaning"), ((f"0x{code:04X}", what) for code, what in STATUS.items())), "",
        "An image is acknowledged when its file, its name and its record are on the disk. The same image again is",
        "acknowledged and changes nothing; another one with its SOP Instance UID is acknowledged, kept beside it, flagged,",
        "and not analysed. Coercion: none; the data set is kept as it came, with a preamble of zeros.", "",
        "## Transfer syntaxes", "", *_table(("name", "UID"), ((UID(uid).name, f"`{uid}`") for uid in TRANSFER_SYNTAXES)), "",
        "## Storage classes", "", *_table(("name", "UID"), ((_name(uid), f"`{uid}`") for uid in STORAGE_CLASSES)), "",
        "## DICOMweb", "", *_table(("role", "where", "request", "answer"), _WEB), "",
    ))  # fmt: skip


def _name(uid: str) -> str:
    return uid_to_sop_class(uid).name


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    words = list(head)
    return [f"| {' | '.join(line)} |" for line in (words, ["---"] * len(words), *map(list, rows))]
