"""Signing in with an identity provider: a small real one, which signs its tokens."""

import json
import time
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse
from joserfc import jwt
from joserfc.jwk import RSAKey

from lvo.web.oidc import role_of
from lvo.web.settings import OidcSettings, WebSettings

KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})


class Provider:
    """An identity provider whose answers can be spoiled."""

    def __init__(self) -> None:
        self.claims = {"preferred_username": "anna", "groups": ["stroke-readers"]}
        self.audience, self.key, self.url, self.asked = "lvo", KEY, "", {}
        self.app = FastAPI()
        self.app.get("/.well-known/openid-configuration")(self.configuration)
        self.app.get("/keys")(lambda: {"keys": [KEY.as_dict(private=False)]})
        self.app.get("/authorize")(self.authorize)
        self.app.post("/token")(self.token)

    def configuration(self):
        """Where everything is."""
        return {
            "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize", "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys", "id_token_signing_alg_values_supported": ["RS256"],
        }  # fmt: skip

    def authorize(self, request: Request):
        """The person agrees at once."""
        self.asked = dict(request.query_params)
        return RedirectResponse(f"{self.asked['redirect_uri']}?code=c1&state={self.asked['state']}")

    async def token(self, request: Request):
        """A signed token."""
        self.form = parse_qs((await request.body()).decode())
        now = int(time.time())
        claims = {"iss": self.url, "aud": self.audience, "sub": "1", "iat": now, "exp": now + 60, "nonce": self.asked["nonce"]}
        id_token = jwt.encode({"alg": "RS256", "kid": "one"}, {**claims, **self.claims}, self.key)
        return {"access_token": "a", "token_type": "Bearer", "id_token": id_token}


@pytest.fixture
def provider(serving):
    provider = Provider()
    with serving.behind_a_socket(uvicorn.Server(uvicorn.Config(provider.app, log_level="error"))) as address:
        provider.url = f"http://{address}"
        yield provider


@pytest.fixture
def oidc_server(results, tmp_path, provider, serving):
    (tmp_path / "secret").write_text("s3cret\n")
    roles = {"stroke-readers": "reader", "stroke-admins": "admin"}
    oidc = OidcSettings(issuer=provider.url, client_id="lvo", client_secret_file=str(tmp_path / "secret"), roles=roles)
    with serving.running(results, tmp_path / "state", WebSettings(oidc=oidc), needs_accounts=True) as server:
        yield server


@contextmanager
def signing_in(server):
    """Follow the redirects as a browser does, up to the page or the refusal: the client and the last answer."""
    with httpx.Client(timeout=30.0) as client:
        answer = client.get(f"{server.url}/api/oidc/start")
        for _ in range(2):
            answer = client.get(answer.headers["location"])
        yield client, answer


def test_a_hospital_account_signs_in_with_its_role(oidc_server, provider, serving):
    with signing_in(oidc_server) as (client, answer):
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        person = client.get(f"{oidc_server.url}/api/session").json()
    assert (person["name"], person["role"]) == ("anna", "reader")
    assert provider.asked["code_challenge_method"] == "S256"
    assert provider.form["code_verifier"]
    assert [line["kind"] for line in serving.audit_lines(oidc_server.state)] == ["signed_in"]


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (lambda p: setattr(p, "audience", "another"), 401),
        (lambda p: setattr(p, "key", RSAKey.generate_key(2048, {"kid": "one"})), 401),
        (lambda p: p.claims.update(nonce="replayed"), 401),
        (lambda p: p.claims.update(exp=int(time.time()) - 3600), 401),
        (lambda p: p.claims.update(groups=["cleaners"]), 403),
        (lambda p: p.claims.update(preferred_username="Anna Smith"), 403),
    ],
    ids=["audience", "key", "nonce", "expired", "no role", "a real name"],
)
def test_a_spoiled_answer_signs_nobody_in(oidc_server, provider, serving, spoil, status):
    spoil(provider)
    with signing_in(oidc_server) as (client, answer):
        assert answer.status_code == status, answer.text
        assert client.get(f"{oidc_server.url}/api/session").status_code == 401
    lines = serving.audit_lines(oidc_server.state)
    assert [line["kind"] for line in lines] == ["sign_in_refused"]
    assert "Smith" not in json.dumps(lines)


def test_an_answer_nobody_asked_for_is_refused(oidc_server):
    answer = httpx.get(f"{oidc_server.url}/api/oidc/back", params={"code": "c1", "state": "forged"})
    assert answer.status_code == 401
    assert urlsplit(str(answer.url)).path == "/api/oidc/back"


def test_the_highest_role_counts():
    settings = OidcSettings(issuer="https://x", client_id="c", client_secret_file="f", roles={"a": "viewer", "b": "admin"})  # noqa: S106 - a path
    assert role_of({"groups": ["a", "b"]}, settings) == "admin"
    assert role_of({"groups": "a"}, settings) == "viewer"
    assert role_of({}, settings) is None
