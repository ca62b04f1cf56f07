"""The application: routes, pages and what protects them."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.middleware.trustedhost import TrustedHostMiddleware

from lvo import __version__
from lvo.errors import OutputError
from lvo.web import audit, live, people, studies
from lvo.web.accounts import Accounts
from lvo.web.context import Context
from lvo.web.journal import Journal
from lvo.web.oidc import add_oidc
from lvo.web.sessions import Session, Sessions
from lvo.web.settings import WebSettings
from lvo.web.shield import protect
from lvo.web.source import Source

__all__ = ["create_app", "pages_folder"]


def create_app(
    source: Source,
    state: Path,
    settings: WebSettings,
    *,
    needs_accounts: bool = True,
    hosts: Sequence[str] = ("127.0.0.1", "localhost"),
) -> FastAPI:
    """The application.

    Args:
        source: of the studies.
        state: folder with accounts, audit log and validation set.
        settings: of the pages.
        needs_accounts: people must sign in; without it everybody is the reader "local", which is for this machine alone.
        hosts: names the server may be called by, so that no other site's name can be pointed at it.

    Raises:
        InputError: audit log or accounts are damaged.
        OutputError: the folder cannot be made, or the pages were not built.
        ConfigError: the identity provider's secret cannot be read.
    """
    pages = pages_folder()
    journal = Journal(state, site=settings.site, service_log=settings.event_log)
    anyone = None if needs_accounts else Session("local", "reader")
    sessions = Sessions(idle_min=settings.idle_min, session_min=settings.session_min)
    context = Context(source, settings, journal, Accounts(state), sessions, anyone)
    app = FastAPI(title="lvo", version=__version__, docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.state.context = context
    protect(app, context)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*(settings.hosts or hosts)])
    for router in (people.router, studies.router, audit.router, live.router):
        app.include_router(router)
    if settings.oidc is not None:
        add_oidc(app, context, settings.oidc)
    app.mount("/", StaticFiles(directory=pages, html=True))
    return app


def pages_folder() -> Path:
    """The built pages.

    Raises:
        OutputError: they are not there.
    """
    folder = Path(str(resources.files("lvo.web"))) / "static"
    if not (folder / "index.html").is_file():
        msg = "the pages are not built; run `npm ci && npm run build` in the folder web of the repository"
        raise OutputError(msg)
    return folder
