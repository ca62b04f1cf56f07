"""Routes of signing in with the hospital's identity provider: OpenID Connect, authorisation code with PKCE, by authlib."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from authlib.integrations.base_client import OAuthError
from authlib.integrations.starlette_client import OAuth
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from httpx2 import HTTPError
from joserfc.errors import JoseError
from starlette.middleware.sessions import SessionMiddleware

from lvo.errors import ConfigError
from lvo.eventlog import EventKind
from lvo.web.accounts import ACCOUNT_NAME
from lvo.web.context import Context
from lvo.web.guards import RANK
from lvo.web.people import UNKNOWN, begin_session
from lvo.web.settings import OidcSettings, Role

__all__ = ["add_oidc", "role_of"]

LOGIN_S = 600
"""Time to sign in at the provider."""


def add_oidc(app: FastAPI, context: Context, settings: OidcSettings) -> None:
    """Let people sign in with the provider.

    Raises:
        ConfigError: the file with the secret cannot be read.
    """
    try:
        secret = Path(settings.client_secret_file).read_text(encoding="utf-8").strip()
    except OSError as error:
        msg = f"client_secret_file {settings.client_secret_file} cannot be read: {error.strerror}"
        raise ConfigError(msg) from error
    # holds state, nonce and PKCE verifier between the two requests; "lax", since the second one comes from the provider's page
    app.add_middleware(
        SessionMiddleware, secret_key=secrets.token_hex(32), session_cookie="lvo_oidc", max_age=LOGIN_S, same_site="lax"
    )
    client = OAuth().register(
        "hospital",
        server_metadata_url=f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration",
        client_id=settings.client_id,
        client_secret=secret,
        client_kwargs={"scope": "openid profile", "code_challenge_method": "S256"},
    )
    app.include_router(_router(client, context, settings))


def role_of(claims: Mapping[str, Any], settings: OidcSettings) -> Role | None:
    """The highest role that a person's groups stand for, None without any."""
    groups = claims.get(settings.role_claim, [])
    held = [settings.roles[group] for group in ([groups] if isinstance(groups, str) else groups) if group in settings.roles]
    return max(held, key=lambda role: RANK[role], default=None)


def _router(client: Any, context: Context, settings: OidcSettings) -> APIRouter:  # noqa: ANN401 - authlib ships no types
    router = APIRouter(prefix="/api/oidc", tags=["people"])

    @router.get("/start", response_class=RedirectResponse)
    async def start(request: Request) -> Response:
        """Go to the provider."""
        try:
            return cast("Response", await client.authorize_redirect(request, str(request.url_for("back"))))
        except HTTPError as error:
            raise HTTPException(
                502, "the identity provider does not answer; sign in with an account of this program"
            ) from error

    @router.get("/back", response_class=RedirectResponse)
    async def back(request: Request) -> Response:
        """Come back from the provider: its token is checked (signature, issuer, audience, time, nonce) before anything else."""
        try:
            token = await client.authorize_access_token(request)
        except (OAuthError, JoseError, HTTPError, ValueError) as error:
            context.journal.note(EventKind.SIGN_IN_REFUSED, UNKNOWN)
            raise HTTPException(401, "the identity provider's answer was refused; try again") from error
        claims: Mapping[str, Any] = token.get("userinfo") or {}
        name, role = str(claims.get(settings.account_claim, "")), role_of(claims, settings)
        if role is None or not ACCOUNT_NAME.fullmatch(name):
            context.journal.note(EventKind.SIGN_IN_REFUSED, name if ACCOUNT_NAME.fullmatch(name) else UNKNOWN)
            raise HTTPException(
                403, "this hospital account has no role here, or a name that no log can hold; ask whoever runs this"
            )
        response = RedirectResponse("/", status_code=303)
        begin_session(context, request, response, name, role)
        request.session.clear()
        return response

    return router
