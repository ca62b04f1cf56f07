"""Connections to HTTP servers: certificates, tokens, time limits, and what the answers mean for another try."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from lvo.delivery.settings import TlsSettings
from lvo.errors import DeliveryError, RefusedError

__all__ = ["answered", "connection_errors", "read_secret", "session"]

TRY_AGAIN = frozenset({401, 403, 404, 408, 409, 423, 425, 429})
"""Refusals that end without our doing: a person sets a right or an address, a server comes up, a lock is released."""


def session(tls: TlsSettings, *, token_file: str = "") -> requests.Session:
    """A session that checks certificates, follows no redirects of its environment, and knows the token.

    Raises:
        DeliveryError: the file with the token cannot be read.
    """
    made = requests.Session()
    made.trust_env = False  # proxies and .netrc of the account it runs under are no settings of ours
    made.verify = tls.ca or True
    if tls.certificate:
        made.cert = (tls.certificate, tls.key)
    if token_file:
        made.headers["Authorization"] = f"Bearer {read_secret(token_file)}"
    return made


def read_secret(path: str) -> str:
    """The first line of a file.

    Raises:
        DeliveryError: it cannot be read or is empty.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the secret in {path} cannot be read ({type(error).__name__})"
        raise DeliveryError(msg) from error
    if not lines or not lines[0].strip():
        msg = f"the file {path} holds no secret"
        raise DeliveryError(msg)
    return lines[0].strip()


@contextmanager
def connection_errors(url: str) -> Iterator[None]:
    """Turn what goes wrong below HTTP into a delivery error that names the server.

    Raises:
        DeliveryError: the server cannot be reached, does not answer in time, or shows a certificate that is not trusted.
    """
    try:
        yield
    except DeliveryError:
        raise
    except requests.exceptions.SSLError as error:
        msg = f"{url}: its certificate is not trusted, or it does not trust ours"
        raise DeliveryError(msg) from error
    except requests.Timeout as error:
        msg = f"{url} does not answer in time"
        raise DeliveryError(msg) from error
    except (requests.RequestException, OSError) as error:
        msg = f"{url} cannot be reached, or breaks off ({type(error).__name__})"
        raise DeliveryError(msg) from error


def answered(response: requests.Response, url: str) -> None:
    """Return when the answer is a success. What the server wrote into a refusal is not repeated: it may quote the message.

    Raises:
        RefusedError: the server says that the request is wrong.
        DeliveryError: it may take it later.
    """
    if 200 <= response.status_code < 300:
        return
    msg = f"{url} answers {response.status_code} {response.reason}"
    if 400 <= response.status_code < 500 and response.status_code not in TRY_AGAIN:
        raise RefusedError(msg)
    raise DeliveryError(msg)
