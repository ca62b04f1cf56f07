"""Settings of the worklist and viewer from TOML (`configs/web.toml`): a key nobody knows or a wrong value is an error."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from lvo.config import read_settings

__all__ = ["OidcSettings", "Role", "WebSettings", "load_web"]

Minutes = Annotated[float, msgspec.Meta(gt=0.0, le=1440.0)]
Role = Literal["viewer", "reader", "admin"]
"""What an account may do: look; also acknowledge and judge; also read the audit log."""


class OidcSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Signing in with the hospital's identity provider (OpenID Connect, authorisation code with PKCE).

    Args:
        issuer: address of the provider; its configuration is read from `/.well-known/openid-configuration` below it.
        client_id: this application, as registered there.
        client_secret_file: file with its secret.
        account_claim: claim of the ID token that becomes the account's name.
        role_claim: claim with the person's groups or roles.
        roles: which of them stand for which role here; who has none of them is refused.
    """

    issuer: Annotated[str, msgspec.Meta(pattern="^https://|^http://(127.0.0.1|localhost)(:|/|$)")]
    client_id: str
    client_secret_file: str
    account_claim: str = "preferred_username"
    role_claim: str = "groups"
    roles: dict[str, Role] = {}


class WebSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything about the pages; nothing here changes a result.

    Args:
        site: code of this hospital in the audit log.
        patient: what is shown of the patient.
        ohif_url: address of an OHIF viewer on the archive; the Study Instance UID is appended. No link if empty.
        event_log: log of the service's clock that receives the first acknowledgement of a study as "read"; none if empty.
        hosts: names this server may be called by; those of the address it listens on if empty.
        tls_certificate, tls_key: PEM files.
        idle_min: a session ends after so long without a request of its user.
        session_min: a session ends after so long in any case; a shift.
        oidc: the hospital's identity provider; accounts of this program only if left out.
    """

    site: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "local"
    patient: Literal["hidden", "initials", "full"] = "hidden"
    ohif_url: Annotated[str, msgspec.Meta(pattern="^$|^https?://[^\\s]+$")] = ""
    event_log: str = ""
    hosts: tuple[str, ...] = ()
    tls_certificate: str = ""
    tls_key: str = ""
    idle_min: Minutes = 30.0
    session_min: Minutes = 720.0
    oidc: OidcSettings | None = None

    def __post_init__(self) -> None:
        """Refuse half of a certificate."""
        if bool(self.tls_certificate) != bool(self.tls_key):
            msg = "tls_certificate and tls_key belong together"
            raise ValueError(msg)


def load_web(path: Path | None) -> WebSettings:
    """Read the settings; defaults when no file is given. Paths in it are relative to the file.

    Raises:
        ConfigError: it cannot be read, is not TOML, or has an unknown key, a wrong type or an impossible value.
    """
    if path is None:
        return WebSettings()
    settings = read_settings(path, WebSettings, "see configs/web.toml for every key")
    names = ("event_log", "tls_certificate", "tls_key")
    beside: dict[str, object] = {name: str(path.parent / value) for name in names if (value := getattr(settings, name))}
    if settings.oidc is not None:
        secret = str(path.parent / settings.oidc.client_secret_file)
        beside["oidc"] = msgspec.structs.replace(settings.oidc, client_secret_file=secret)
    return msgspec.structs.replace(settings, **beside)
