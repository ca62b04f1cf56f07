"""The web service of a node: health, metrics, STOW-RS."""

import hmac
import logging
import socket
import ssl
import threading
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from lvo.delivery.records import is_uid
from lvo.durable import free_of
from lvo.errors import ConfigError, InputError, LvoError
from lvo.node.address import bound
from lvo.node.database import connect_read_only, read_clock
from lvo.node.heartbeat import ages_s, silent
from lvo.node.inbox import Inbox
from lvo.node.metrics import render_metrics
from lvo.node.settings import NodeSettings
from lvo.node.stow import boundary_of, receive

__all__ = ["application", "readiness", "serve"]

LOG = logging.getLogger(__name__)

_CONNECT_S = 2.0
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def serve(settings: NodeSettings, stop: threading.Event) -> None:
    """Run the web service until stopped.

    Raises:
        ConfigError: the token file cannot be read or is empty.
        OutputError: the folder cannot be written, or the address cannot be had.
    """
    with bound(settings.http.host, settings.http.port) as address:
        _serve(settings, stop, address)


def _serve(settings: NodeSettings, stop: threading.Event, address: socket.socket) -> None:
    inbox = Inbox(settings) if settings.http.stow else None
    tls = settings.http.tls
    config = uvicorn.Config(
        application(settings, inbox), log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=5, h11_max_incomplete_event_size=65_536,
        ssl_certfile=tls.certificate if tls else None, ssl_keyfile=tls.key if tls else None,
        ssl_ca_certs=tls.client_ca if tls else None, ssl_cert_reqs=ssl.CERT_REQUIRED if tls else ssl.CERT_NONE,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([address],), name="uvicorn")
    thread.start()
    LOG.info("web service on %s:%d", settings.http.host, settings.http.port)
    while not stop.wait(0.2) and thread.is_alive():
        pass
    server.should_exit = True
    thread.join()
    if inbox is not None:
        inbox.close()


def application(settings: NodeSettings, inbox: Inbox | None) -> Starlette:
    """The routes; STOW-RS only where there is an inbox."""
    token = _token(settings)

    def live(_: Request) -> Response:
        return JSONResponse({"status": "live"})

    def ready(_: Request) -> Response:
        checks = readiness(settings)
        good = not any(checks.values())
        words = {name: why or "ok" for name, why in checks.items()}
        return JSONResponse({"status": "ready" if good else "not ready", "checks": words}, 200 if good else 503)

    def metrics(request: Request) -> Response:
        if not _allowed(request, token):
            return _unauthorised()
        try:
            return Response(render_metrics(settings), media_type=_METRICS_TYPE)
        except LvoError as error:
            return PlainTextResponse(f"{error}\n", 503)

    async def stow(request: Request) -> Response:
        if not _allowed(request, token):
            return _unauthorised()
        return await _stow(request, settings, inbox) if inbox is not None else PlainTextResponse("no STOW-RS here\n", 404)

    routes = [
        Route("/health/live", live), Route("/health/ready", ready), Route("/metrics", metrics),
        Route("/studies", stow, methods=["POST"]), Route("/studies/{study_uid}", stow, methods=["POST"]),
    ]  # fmt: skip
    return Starlette(routes=routes)


def readiness(settings: NodeSettings) -> dict[str, str]:
    """What a node needs to be of use, each with what is wrong with it; empty where nothing is."""
    store, processes = _store(settings)
    return {"store": store, "disk": _disk(settings), "listener": _listener(settings), **processes}


async def _stow(request: Request, settings: NodeSettings, inbox: Inbox) -> Response:
    boundary = boundary_of(request.headers.get("content-type", ""))
    if boundary is None:
        return PlainTextResponse('needed: multipart/related; type="application/dicom"; boundary=...\n', 415)
    study_uid = request.path_params.get("study_uid")
    if study_uid is not None and not is_uid(study_uid):
        return PlainTextResponse("the study in the address is no UID\n", 400)
    try:
        inbox.check_room()  # before gigabytes are read that will be refused
        answer = await receive(
            request.stream(), boundary, inbox, study_uid=study_uid, limit=settings.dicom.max_instance_mb * 1_000_000,
            peer=request.client.host if request.client else "unknown",
        )  # fmt: skip
    except InputError as error:
        return PlainTextResponse(f"{error}\n", 400)
    except OSError as error:
        LOG.error("STOW-RS: %s", error if isinstance(error, LvoError) else f"cannot write: {error.strerror}")  # noqa: TRY400
        return PlainTextResponse("the disk is full or cannot be written; send again later\n", 503)
    if answer.failed:
        LOG.warning("STOW-RS: %d of %d images refused", len(answer.failed), len(answer.failed) + len(answer.stored))
    return JSONResponse(answer.document, answer.status, media_type="application/dicom+json")


def _token(settings: NodeSettings) -> str:
    if not settings.http.token_file:
        return ""
    try:
        token = Path(settings.http.token_file).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        msg = f"http.token_file cannot be read ({type(error).__name__})"
        raise ConfigError(msg) from error
    if not token:
        msg = "http.token_file is empty; put a token of at least 32 random characters into it"
        raise ConfigError(msg)
    return token


def _allowed(request: Request, token: str) -> bool:
    given = request.headers.get("authorization", "")
    return not token or hmac.compare_digest(given.encode(), f"Bearer {token}".encode())


def _unauthorised() -> Response:
    return PlainTextResponse("a bearer token is needed\n", 401, headers={"www-authenticate": "Bearer"})


def _store(settings: NodeSettings) -> tuple[str, dict[str, str]]:
    """What is wrong with the store, and what it says of the other processes."""
    try:
        db = connect_read_only(settings.database_path)
    except LvoError as error:
        return str(error), {}
    try:
        return "", silent(ages_s(db, read_clock(db)), settings)
    finally:
        db.close()


def _disk(settings: NodeSettings) -> str:
    used_percent, left_mb = free_of(settings.root)
    limits = settings.store
    full = used_percent > limits.refuse_above_percent or left_mb < limits.refuse_below_mb
    return f"{used_percent:.0f} % used, {left_mb:.0f} MB left: images are refused" if full else ""


def _listener(settings: NodeSettings) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.dicom.host, settings.dicom.host)  # noqa: S104 - a text that is compared
    try:
        socket.create_connection((host, settings.dicom.port), timeout=_CONNECT_S).close()
    except OSError as error:
        return f"does not answer: {error.strerror or type(error).__name__}"
    return ""
