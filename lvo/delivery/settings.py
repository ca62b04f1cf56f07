"""Settings of delivery: where results go and who is told. Every key has a line in `configs/delivery.toml`.

A program that delivers, as the node or a batch run, takes `DeliverySettings` as a section of its own settings.
"""

from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import msgspec

from lvo.config import read_settings

__all__ = [
    "DeliverySettings", "Destination", "DicomDestination", "DicomPeer", "DicomSource", "EmailNotification",
    "FhirNotification", "FolderDestination", "Hl7Notification", "Notification", "RetrySettings", "Source", "StowDestination",
    "Target", "TlsSettings", "WadoSource", "WebhookNotification", "beside", "load_delivery",
]  # fmt: skip

Name = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Host = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:_-]{0,253}[A-Za-z0-9])?$")]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
AeTitle = Annotated[str, msgspec.Meta(pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$")]
"""Printable, no backslash, at most 16 characters, no space at the ends (PS3.5 6.2)."""

Seconds = Annotated[float, msgspec.Meta(gt=0.0, le=86400.0)]
Url = Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s@]+$")]

Told = Literal["suspected", "indeterminate", "not_detected", "not_assessable", "failed", "overdue"]
"""What people can be told of: the call, that there is none, that the analysis failed, that a result is late."""

_TOLD_BY_DEFAULT: tuple[Told, ...] = ("suspected", "not_assessable", "failed", "overdue")


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every section: frozen, keyword-only, unknown keys refused."""


class TlsSettings(_Section, frozen=True, kw_only=True):
    """Encryption of a connection.

    Args:
        ca: file with the certificates that the other side's is checked against; those of the system if empty.
        certificate: file with our certificate, for a peer that asks for one; none if empty.
        key: file with its private key.
        check_host: refuse a certificate that does not name the host; many DICOM peers have one that names another.
    """

    ca: str = ""
    certificate: str = ""
    key: str = ""
    check_host: bool = True

    def __post_init__(self) -> None:
        """Refuse half a pair."""
        if bool(self.certificate) != bool(self.key):
            msg = "certificate and key go together"
            raise ValueError(msg)


class DicomPeer(_Section, frozen=True, kw_only=True):
    """A DICOM node to talk to.

    Args:
        ae_title: its name.
        host, port: where it listens.
        calling_ae: what we call ourselves.
        timeout_s: for connecting, and for every answer.
        tls: plain TCP if left out.
    """

    ae_title: AeTitle
    host: Host
    port: Port = 104
    calling_ae: AeTitle = "LVO"
    timeout_s: Seconds = 30.0
    tls: TlsSettings | None = None


class DicomDestination(DicomPeer, frozen=True, kw_only=True, tag_field="kind", tag="dicom"):
    """A PACS that takes objects by C-STORE.

    Args:
        name: of this destination, in records and messages.
        objects: which files of `dicom/` it gets, as patterns; a PACS that cannot store segmentations should not be sent any.
        commitment: ask the PACS to commit itself to keeping what it got (storage commitment), and count the delivery only then.
        commitment_wait_s: how long to wait for its answer before the delivery is tried again.
        commitment_port: port to listen on for an answer by an association of its own; 0 where another listener of this
            installation takes it (`lvo.delivery.commitment`), or where the peer answers on ours.
    """

    name: Name
    objects: tuple[str, ...] = ("*.dcm",)
    commitment: bool = False
    commitment_wait_s: Seconds = 60.0
    commitment_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0


class HttpPeer(_Section, frozen=True, kw_only=True):
    """A server to talk to by HTTP.

    Args:
        url: its base.
        timeout_s: for connecting, and for every answer.
        token_file: file with a bearer token; none if empty.
        tls: how https is checked.
    """

    url: Url
    timeout_s: Seconds = 30.0
    token_file: str = ""
    tls: TlsSettings = TlsSettings()


class StowDestination(HttpPeer, frozen=True, kw_only=True, tag_field="kind", tag="stow"):
    """A DICOMweb server that takes objects by STOW-RS; `objects` as in `DicomDestination`."""

    name: Name
    objects: tuple[str, ...] = ("*.dcm",)


class DicomSource(DicomPeer, frozen=True, kw_only=True, tag_field="kind", tag="dicom"):
    """A PACS that images are fetched from by C-FIND and C-GET or C-MOVE.

    Args:
        name: of this source.
        method: "get" brings the images on our association; "move" lets the PACS send them to `calling_ae`, whose address it
            must know.
        move_port: port to listen on for them; 0 where another listener of this installation takes them.
    """

    name: Name
    method: Literal["get", "move"] = "get"
    move_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0


class WadoSource(HttpPeer, frozen=True, kw_only=True, tag_field="kind", tag="dicomweb"):
    """A DICOMweb server that images are fetched from by QIDO-RS and WADO-RS; `name` is that of this source."""

    name: Name


class FolderDestination(_Section, frozen=True, kw_only=True, tag_field="kind", tag="folder"):
    """A folder that receives result folders, each complete or not at all.

    Args:
        name: of this destination.
        path: the folder; it must be there, so that a network drive that is not mounted is not taken for one.
        parts: which entries of the result folder are copied; all if empty.
    """

    name: Name
    path: Annotated[str, msgspec.Meta(min_length=1)]
    parts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse parts that lead out of the result folder."""
        for part in self.parts:
            if len(PurePosixPath(part).parts) != 1 or part in {".", ".."}:
                msg = f"parts are names of entries of a result folder, as result.json or dicom; {part!r} is none"
                raise ValueError(msg)


class _Notice(_Section, frozen=True, kw_only=True):
    """What every notification has.

    Args:
        name: of this notification.
        on: what people are told of.
        identity: put the patient's name, number and accession number into the message.
    """

    name: Name
    on: tuple[Told, ...] = _TOLD_BY_DEFAULT
    identity: bool = False


class WebhookNotification(_Notice, frozen=True, kw_only=True, tag_field="kind", tag="webhook"):
    """A signed POST of JSON.

    Args:
        url: where to.
        secret_file: file with the secret for HMAC-SHA256; at least 16 bytes.
        timeout_s: for connecting, and for the answer.
        tls: how https is checked.
    """

    url: Url
    secret_file: Annotated[str, msgspec.Meta(min_length=1)]
    timeout_s: Seconds = 15.0
    tls: TlsSettings = TlsSettings()


class EmailNotification(_Notice, frozen=True, kw_only=True, tag_field="kind", tag="email"):
    """A message by e-mail.

    Args:
        host, port: of the mail server.
        security: "starttls" and "tls" check the server's certificate; "none" is for a server on this machine.
        sender, to: addresses.
        user, password_file: where the server wants a login.
        timeout_s: for connecting, and for every answer.
        tls: how the certificate is checked.
    """

    host: Host
    sender: Annotated[str, msgspec.Meta(pattern=r"^[^\s@<>]+@[^\s@<>]+$")]
    to: Annotated[tuple[Annotated[str, msgspec.Meta(pattern=r"^[^\s@<>]+@[^\s@<>]+$")], ...], msgspec.Meta(min_length=1)]
    port: Port = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password_file: str = ""
    timeout_s: Seconds = 30.0
    tls: TlsSettings = TlsSettings()

    def __post_init__(self) -> None:
        """Refuse half a login, and one in clear text."""
        if bool(self.user) != bool(self.password_file):
            msg = "user and password_file go together"
            raise ValueError(msg)
        if self.user and self.security == "none":
            msg = 'a login needs security = "starttls" or "tls"'
            raise ValueError(msg)


class Hl7Notification(_Notice, frozen=True, kw_only=True, tag_field="kind", tag="hl7"):
    """An HL7 v2 ORU^R01 by MLLP.

    Args:
        host, port: of the receiver.
        sending_application, sending_facility, receiving_application, receiving_facility: MSH-3 to MSH-6.
        processing_id: MSH-11: P production, T training, D debugging.
        timeout_s: for connecting, and for the acknowledgement.
        tls: plain TCP if left out.
    """

    host: Host
    port: Port = 2575
    sending_application: Name = "LVO"
    sending_facility: Name = "LVO"
    receiving_application: Name = "RIS"
    receiving_facility: Name = "RIS"
    processing_id: Literal["P", "T", "D"] = "P"
    timeout_s: Seconds = 15.0
    tls: TlsSettings | None = None


class FhirNotification(_Notice, frozen=True, kw_only=True, tag_field="kind", tag="fhir"):
    """A FHIR R4 DiagnosticReport, put on a server under an id that follows from the study.

    Args:
        url: base of the server.
        token_file: file with a bearer token; none if empty.
        timeout_s: for connecting, and for the answer.
        tls: how https is checked.
    """

    url: Url
    token_file: str = ""
    timeout_s: Seconds = 15.0
    tls: TlsSettings = TlsSettings()


Destination = DicomDestination | StowDestination | FolderDestination
Notification = WebhookNotification | EmailNotification | Hl7Notification | FhirNotification
Target = Destination | Notification
Source = DicomSource | WadoSource


class RetrySettings(_Section, frozen=True, kw_only=True):
    """How often a target that fails is tried again: after `first_s`, then twice as late each time, up to `longest_s`.

    Args:
        first_s: after the first failure.
        longest_s: no wait is longer.
        jitter: each wait is changed at random by up to this fraction, so that not all come back at once.
        give_up_h: a delivery that still fails after so many hours is dead, until it is replayed by hand.
        lease_s: a delivery whose program died is taken over after this time; longer than any timeout of a target.
    """

    first_s: Seconds = 5.0
    longest_s: Seconds = 300.0
    jitter: Annotated[float, msgspec.Meta(ge=0.0, le=0.5)] = 0.2
    give_up_h: Annotated[float, msgspec.Meta(gt=0.0)] = 168.0
    lease_s: Seconds = 300.0


class DeliverySettings(_Section, frozen=True, kw_only=True):
    """Where results go and who is told.

    Args:
        site: code of this hospital, in messages.
        viewer_url: address of the worklist (`lvo view`): messages carry a link to the study's page there; none if empty.
        outbox: file that holds what is to be delivered, and what became of it.
        destinations: that receive results.
        notifications: that tell people.
        sources: that missing series and earlier studies are fetched from.
        retry: how often failures are tried again.
    """

    site: str = ""
    viewer_url: Annotated[str, msgspec.Meta(pattern=r"^$|^https?://[^\s@?#]+$")] = ""
    outbox: Annotated[str, msgspec.Meta(min_length=1)] = "outbox.sqlite"
    destinations: tuple[Destination, ...] = ()
    notifications: tuple[Notification, ...] = ()
    sources: tuple[Source, ...] = ()
    retry: RetrySettings = RetrySettings()

    def __post_init__(self) -> None:
        """Refuse two targets of one name, which records could not tell apart."""
        names = [target.name for target in self.targets]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            msg = f"two targets are called {twice[0]!r}; give each its own name"
            raise ValueError(msg)

    @property
    def targets(self) -> tuple[Target, ...]:
        """Notifications, which are urgent and small, then destinations."""
        return (*self.notifications, *self.destinations)

    def target(self, name: str) -> Target | None:
        """The target of that name, None if there is none any more."""
        return next((target for target in self.targets if target.name == name), None)


def load_delivery(path: Path) -> DeliverySettings:
    """Read the settings of delivery from a file of their own; the paths in them are relative to it.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or has an unknown key, a wrong type or an impossible value.
    """
    settings = read_settings(path, DeliverySettings, "see configs/delivery.toml for every key")
    return beside(path, settings)


_FILES = frozenset({"outbox", "path", "ca", "certificate", "key", "secret_file", "password_file", "token_file"})
"""Keys that hold a path, wherever they stand."""


def beside(path: Path, settings: DeliverySettings) -> DeliverySettings:
    """The settings with every path in them made relative to a file; empty ones stay empty."""
    return msgspec.convert(_joined(msgspec.to_builtins(settings), path.parent), DeliverySettings)


def _joined(value: object, folder: Path) -> object:
    match value:
        case dict():
            return {k: str(folder / v) if k in _FILES and v else _joined(v, folder) for k, v in value.items()}
        case list() | tuple():
            return [_joined(one, folder) for one in value]
        case _:
            return value
