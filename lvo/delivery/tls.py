"""Certificates: how connections are encrypted, and whom they trust."""

import ssl

from lvo.delivery.settings import TlsSettings
from lvo.errors import DeliveryError

__all__ = ["client_context", "server_context"]


def client_context(tls: TlsSettings) -> ssl.SSLContext:
    """How a connection that we open is encrypted; TLS 1.2 at least, the other side's certificate always checked.

    Raises:
        DeliveryError: a file of certificates or keys cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=tls.ca or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = tls.check_host
        if tls.certificate:
            context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        msg = f"a file of [tls] cannot be used (ca {tls.ca!r}, certificate {tls.certificate!r}, key {tls.key!r}): {error}"
        raise DeliveryError(msg) from error
    return context


def server_context(tls: TlsSettings) -> ssl.SSLContext:
    """How a connection that a peer opens is encrypted: it must show a certificate that `ca` vouches for.

    Raises:
        DeliveryError: a file of certificates or keys cannot be read.
    """
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tls.ca or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        msg = f"a file of [tls] cannot be used (ca {tls.ca!r}, certificate {tls.certificate!r}, key {tls.key!r}): {error}"
        raise DeliveryError(msg) from error
    return context
