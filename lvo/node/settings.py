"""Settings of a node from one TOML file: every key has a default here and a line in `configs/site.toml`.

A key nobody knows, a wrong type or an impossible value is an error that names file and key.
"""

import ipaddress
from pathlib import Path
from typing import Annotated

import msgspec

from lvo.config import read_settings
from lvo.delivery.settings import DeliverySettings, beside

__all__ = [
    "AlarmSettings", "AssemblySettings", "DicomSettings", "HttpSettings", "NodeSettings", "Peer", "RetentionSettings",
    "StoreSettings", "TlsSettings", "WatchSettings", "WorkSettings", "load_settings",
]  # fmt: skip

AeTitle = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._ -]{0,15}$")]
"""Application entity title: at most 16 characters (PS3.5 6.2); only those that are safe in a log and in a file name."""
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=86_400.0)]
Count = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Addresses that only this machine can reach."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every section: frozen, keyword-only, unknown keys refused."""


class Peer(_Section, frozen=True):
    """A sender that may associate, and how its studies are treated.

    Args:
        ae_title: its calling AE title.
        addresses: addresses or networks ("10.1.2.3", "10.1.2.0/24") it may come from; any if empty.
        quiet_s: its own quiet time, that of `[assembly]` if None.
        priority: added to that of its studies; larger is sooner.
        analyse: False keeps its images without analysing them, until somebody replays the study.
    """

    ae_title: AeTitle
    addresses: tuple[str, ...] = ()
    quiet_s: Seconds | None = None
    priority: Annotated[int, msgspec.Meta(ge=-100, le=100)] = 0
    analyse: bool = True

    def __post_init__(self) -> None:
        """Refuse what is no address."""
        for address in self.addresses:
            ipaddress.ip_network(address, strict=False)

    def comes_from(self, address: str) -> bool:
        """Whether this peer may use an address."""
        there = ipaddress.ip_address(address)
        there = getattr(there, "ipv4_mapped", None) or there
        return not self.addresses or any(there in ipaddress.ip_network(net, strict=False) for net in self.addresses)


class TlsSettings(_Section, frozen=True):
    """Encryption with certificates on both sides (TLS 1.2 or later).

    Args:
        certificate: of this node, PEM, with its chain.
        key: private key of it, PEM.
        client_ca: those who may have signed the certificates of senders, PEM; senders without one are refused.
    """

    certificate: str
    key: str
    client_ca: str


class DicomSettings(_Section, frozen=True):
    """The DICOM listener.

    Args:
        host: address to listen on.
        port: to listen on.
        ae_title: of this node; associations that call another one are refused.
        peers: who may associate; nobody if empty, unless `any_peer`.
        any_peer: accept every calling AE title from everywhere: for tries only.
        max_pdu: bytes of a PDU that senders are offered; longer ones end the association.
        max_associations: at once, of all senders.
        max_associations_per_peer: at once, of one address.
        pdu_timeout_s: a PDU that has begun must be complete within this time.
        idle_timeout_s: an association without traffic ends.
        max_instance_mb: a larger image ends the association.
        tls: encryption; none if left out.
    """

    host: str = "127.0.0.1"
    port: Port = 11112
    ae_title: AeTitle = "LVO"
    peers: tuple[Peer, ...] = ()
    any_peer: bool = False
    max_pdu: Annotated[int, msgspec.Meta(ge=16_384, le=1_048_576)] = 131_072
    max_associations: Count = 60
    max_associations_per_peer: Count = 50
    pdu_timeout_s: Annotated[float, msgspec.Meta(gt=0.0, le=600.0)] = 20.0
    idle_timeout_s: Annotated[float, msgspec.Meta(gt=0.0, le=3600.0)] = 60.0
    max_instance_mb: Count = 2048
    tls: TlsSettings | None = None

    def peer(self, ae_title: str) -> Peer | None:
        """The peer of an AE title; None for a stranger."""
        return next((peer for peer in self.peers if peer.ae_title == ae_title), None)


class StoreSettings(_Section, frozen=True):
    """When images are refused for want of space. What is not processed is never deleted.

    Args:
        refuse_above_percent: of the disk in use.
        refuse_below_mb: left on the disk.
    """

    refuse_above_percent: Annotated[float, msgspec.Meta(gt=0.0, le=100.0)] = 90.0
    refuse_below_mb: Annotated[int, msgspec.Meta(ge=0)] = 2048


class WatchSettings(_Section, frozen=True):
    """The watched folder: files that stop growing are taken in, then removed from it.

    Args:
        folder: to watch; none if empty.
        settle_s: a file untouched for this long is complete.
    """

    folder: str = ""
    settle_s: Seconds = 5.0


class HttpSettings(_Section, frozen=True):
    """The web service: health, metrics, and the STOW-RS door.

    Args:
        host: address to listen on.
        port: to listen on.
        stow: accept images by STOW-RS.
        token_file: file with the bearer token that STOW-RS and metrics ask for; nothing is asked for if empty, which is only
            allowed on the loopback address.
        tls: encryption; none if left out.
    """

    host: str = "127.0.0.1"
    port: Port = 8080
    stow: bool = False
    token_file: str = ""
    tls: TlsSettings | None = None

    def __post_init__(self) -> None:
        """Refuse an open door."""
        if not self.token_file and self.host not in LOOPBACK:
            msg = "[http] on another address than 127.0.0.1 needs token_file"
            raise ValueError(msg)


class AssemblySettings(_Section, frozen=True):
    """When a study is ready.

    Args:
        quiet_s: no image for this long.
        settled_s: the same where the images say how many there are, and all are there.
        expected_wait_s: the same where they say so and some are missing.
        max_wait_s: since the last result or the first image, however they trickle in.
        early: analyse a CT angiogram as soon as its series is complete, and amend the result later.
        early_quiet_s: no image of the series for this long.
        early_min_images: shorter series are no angiograms.
        fetch_wait_s: how long images are fetched for that a study lacks, where `[[delivery.sources]]` are given.
    """

    quiet_s: Seconds = 30.0
    settled_s: Seconds = 3.0
    expected_wait_s: Seconds = 120.0
    max_wait_s: Annotated[float, msgspec.Meta(gt=0.0, le=86_400.0)] = 900.0
    early: bool = True
    early_quiet_s: Seconds = 8.0
    early_min_images: Count = 60
    fetch_wait_s: Seconds = 120.0


class WorkSettings(_Section, frozen=True):
    """How studies are analysed.

    Args:
        workers: processes, each with the model loaded.
        memory_mb: one may use; 0 for no limit.
        time_limit_s: for one study.
        lease_s: a worker silent for this long is taken for dead.
        max_attempts: then the study is quarantined.
        backoff_s: before the second attempt; doubled for each further one, with jitter.
        backoff_max_s: at most.
    """

    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    memory_mb: Annotated[int, msgspec.Meta(ge=0)] = 8192
    time_limit_s: Annotated[float, msgspec.Meta(gt=0.0, le=86_400.0)] = 900.0
    lease_s: Annotated[float, msgspec.Meta(ge=0.5, le=3600.0)] = 30.0
    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4
    backoff_s: Seconds = 10.0
    backoff_max_s: Seconds = 600.0


class AlarmSettings(_Section, frozen=True):
    """When people are told that something is missing.

    Args:
        no_result_min: minutes since the first image without a result; 0 for never.
    """

    no_result_min: Annotated[float, msgspec.Meta(ge=0.0)] = 15.0


class RetentionSettings(_Section, frozen=True):
    """How long things stay after a study was delivered; 0 keeps them for ever. Quarantined studies stay.

    Args:
        images_days: images.
        results_days: results and what the store knows of the study.
    """

    images_days: Annotated[float, msgspec.Meta(ge=0.0)] = 7.0
    results_days: Annotated[float, msgspec.Meta(ge=0.0)] = 30.0


class NodeSettings(_Section, frozen=True):
    """All settings of a node.

    Args:
        site: code of this hospital, for the event log.
        folder: receives images, results, store and logs.
        analysis: settings of the analysis (`configs/default.toml`); the defaults if empty.
        service: settings of the hospital (`configs/service.toml`) for destinations in reports; none if empty.
        event_log: hash-chained log; `events.jsonl` in the folder if empty.
        delivery: where results go and who is told.
    """

    site: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    folder: Annotated[str, msgspec.Meta(min_length=1)]
    analysis: str = ""
    service: str = ""
    event_log: str = ""
    dicom: DicomSettings = DicomSettings()
    store: StoreSettings = StoreSettings()
    watch: WatchSettings = WatchSettings()
    http: HttpSettings = HttpSettings()
    assembly: AssemblySettings = AssemblySettings()
    work: WorkSettings = WorkSettings()
    alarm: AlarmSettings = AlarmSettings()
    retention: RetentionSettings = RetentionSettings()
    delivery: DeliverySettings = DeliverySettings()

    @property
    def outbox_path(self) -> Path:
        """Where deliveries wait."""
        return self.root / self.delivery.outbox

    @property
    def database_path(self) -> Path:
        """The store."""
        return self.root / "node.db"

    @property
    def root(self) -> Path:
        """The folder as a path."""
        return Path(self.folder)

    @property
    def log_path(self) -> Path:
        """Where events are logged."""
        return Path(self.event_log) if self.event_log else self.root / "events.jsonl"


def load_settings(path: Path) -> NodeSettings:
    """Read the settings of a node; the paths in them are relative to the file.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or has an unknown key, a wrong type or an impossible value.
    """
    settings = read_settings(path, NodeSettings, "see configs/site.toml for every key")
    base = path.resolve().parent
    folder = _beside(base, settings.folder)
    replace = msgspec.structs.replace
    return replace(
        settings,
        folder=folder,
        **{name: _beside(base, getattr(settings, name)) for name in ("analysis", "service", "event_log")},
        delivery=_delivery(path.resolve(), settings, Path(folder)),
        dicom=replace(settings.dicom, tls=_tls(base, settings.dicom.tls)),
        watch=replace(settings.watch, folder=_beside(base, settings.watch.folder)),
        http=replace(settings.http, tls=_tls(base, settings.http.tls), token_file=_beside(base, settings.http.token_file)),
    )


def _delivery(path: Path, settings: NodeSettings, root: Path) -> DeliverySettings:
    """Delivery of this node: its site, and an outbox in its folder unless another one is given."""
    given = settings.delivery
    made = msgspec.structs.replace(beside(path, given), site=given.site or settings.site)
    return msgspec.structs.replace(made, outbox=str(root / given.outbox)) if given.outbox == DeliverySettings().outbox else made


def _tls(base: Path, tls: TlsSettings | None) -> TlsSettings | None:
    if tls is None:
        return None
    return TlsSettings(**{name: _beside(base, getattr(tls, name)) for name in ("certificate", "key", "client_ca")})


def _beside(base: Path, name: str) -> str:
    """A path relative to a folder; an empty one stays empty."""
    return str(base / name) if name else ""
