"""Run the application: on this machine alone without accounts, elsewhere only with accounts and TLS."""

import ipaddress
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socket import socket

import uvicorn

from lvo.errors import ConfigError, UsageError
from lvo.node.address import bound
from lvo.web.accounts import Accounts
from lvo.web.app import create_app
from lvo.web.context import Context
from lvo.web.settings import WebSettings
from lvo.web.source import Source

__all__ = ["Address", "Server", "check", "serve"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen.

    Args:
        host: name or address.
        port: TCP port.
        behind_proxy: a reverse proxy on this machine ends TLS and tells who asked.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    behind_proxy: bool = False

    @property
    def is_loopback(self) -> bool:
        """Only this machine can reach it."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_wildcard(self) -> bool:
        """It listens on every address of this machine."""
        return self.host in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound


class Server(uvicorn.Server):
    """Lets streams of live updates end before it stops, instead of cutting them off."""

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Stop."""
        context: Context = self.config.app.state.context  # type: ignore[union-attr]
        context.closing = True
        await super().shutdown(sockets)


def serve(
    source: Source, state: Path, settings: WebSettings, address: Address, *, say: Callable[[str], None] = lambda _: None
) -> None:
    """Serve until interrupted, which is how it ends.

    Args:
        source: the studies.
        state: folder of accounts, audit log, opinions.
        settings: of the pages.
        address: where to listen.
        say: told the URL once the address is ours.

    Raises:
        UsageError: others could reach the address, but there are no accounts or there is no TLS.
        ConfigError: certificate or key cannot be read.
        OutputError: the address cannot be had.
    """
    needs_accounts = check(Accounts(state), settings, address)
    app = create_app(source, state, settings, needs_accounts=needs_accounts, hosts=(address.host, "localhost", "127.0.0.1"))
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # the audit log says who looked at what
        server_header=False,
        proxy_headers=address.behind_proxy,
        forwarded_allow_ips="127.0.0.1",
        ssl_certfile=settings.tls_certificate or None,
        ssl_keyfile=settings.tls_key or None,
        timeout_graceful_shutdown=5,
    )
    try:
        config.load()
    except OSError as error:  # of TLS too
        reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
        msg = f"tls_certificate or tls_key cannot be read, or they do not fit ({reason})"
        raise ConfigError(msg) from error
    with bound(address.host, address.port) as listening, suppress(KeyboardInterrupt):
        scheme, port = "https" if settings.tls_certificate else "http", listening.getsockname()[1]
        say(f"{scheme}://{address.host}:{port}/")
        Server(config).run([listening])


def check(accounts: Accounts, settings: WebSettings, address: Address) -> bool:
    """Whether people must sign in at an address.

    Raises:
        UsageError: they must, but cannot, their passwords would travel in the open, or no name would be let in.
    """
    can_sign_in = len(accounts) > 0 or settings.oidc is not None
    if address.is_loopback and not address.behind_proxy:
        return can_sign_in
    if not can_sign_in:
        msg = f"{address.host} can be reached by others and there are no accounts; add one with `lvo account add`"
        raise UsageError(msg)
    if not settings.tls_certificate and not address.behind_proxy:
        msg = f"{address.host} can be reached by others and there is no TLS; set tls_certificate and tls_key, or --behind-proxy"
        raise UsageError(msg)
    if address.is_wildcard and not settings.hosts:
        msg = f"{address.host} stands for every address; set `hosts` to the names this server is called by"
        raise UsageError(msg)
    return True
