"""Whether a node could work with its settings, before anything is started."""

import ssl
from pathlib import Path

from lvo.config import load_config, load_service
from lvo.delivery.settings import FolderDestination
from lvo.errors import ConfigError
from lvo.node.settings import LOOPBACK, NodeSettings, TlsSettings

__all__ = ["check_settings"]

_FILES = frozenset({"token_file", "secret_file", "password_file", "ca", "certificate", "key"})


def check_settings(settings: NodeSettings) -> list[str]:
    """Try everything that the settings point at.

    Returns:
        What is allowed and should be known.

    Raises:
        ConfigError: a file is missing or wrong.
        ImportError: a library of the extra `node` is missing.
    """
    import prometheus_client  # noqa: F401
    import pynetdicom  # noqa: F401
    import starlette  # noqa: F401
    import uvicorn  # noqa: F401

    load_config(Path(settings.analysis) if settings.analysis else None)
    if settings.service:
        load_service(Path(settings.service))
    for name, tls in (("dicom.tls", settings.dicom.tls), ("http.tls", settings.http.tls)):
        if tls is not None:
            _check_tls(name, tls)
    if settings.http.token_file:
        _readable("http.token_file", settings.http.token_file)
    if settings.watch.folder and not Path(settings.watch.folder).is_dir():
        msg = f"watch.folder {settings.watch.folder} is no folder; make it, or leave it empty"
        raise ConfigError(msg)
    for target in settings.delivery.targets:
        for key in _FILES & set(target.__struct_fields__):
            if getattr(target, key):
                _readable(f"delivery, {target.name}: {key}", getattr(target, key))
    return _notes(settings)


def _notes(settings: NodeSettings) -> list[str]:
    notes = []
    if settings.dicom.any_peer:
        notes.append("dicom.any_peer: everybody may send; for tries only")
    elif not settings.dicom.peers:
        notes.append("dicom.peers is empty: nobody may send by DICOM")
    if settings.dicom.tls is None and settings.dicom.host not in LOOPBACK:
        notes.append("dicom.tls is left out: images travel in clear text, and an AE title proves nothing")
    if settings.http.tls is None and settings.http.host not in LOOPBACK:
        notes.append("http.tls is left out: token and images travel in clear text")
    if not settings.delivery.destinations:
        notes.append("delivery has no destinations: results stay in the folder of the node")
    notes += [
        f"delivery, {one.name}: the folder {one.path} is not there; results wait until it is"
        for one in settings.delivery.destinations
        if isinstance(one, FolderDestination) and not Path(one.path).is_dir()
    ]
    if not settings.delivery.notifications:
        notes.append("delivery has no notifications: nobody is told of a suspected occlusion, nor of a result that is late")
    return notes


def _check_tls(name: str, tls: TlsSettings) -> None:
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key)
        context.load_verify_locations(tls.client_ca)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
        msg = f"{name}: certificate, key or client_ca cannot be read, or do not fit ({reason})"
        raise ConfigError(msg) from error


def _readable(key: str, path: str) -> None:
    try:
        Path(path).read_bytes()
    except OSError as error:
        msg = f"{key}: {path} cannot be read: {error.strerror}"
        raise ConfigError(msg) from error
