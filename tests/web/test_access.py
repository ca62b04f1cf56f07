"""Every route of the application, present and future: closed to strangers, to lesser roles and to other sites' forms."""

import pytest

from lvo.web.accounts import Accounts
from lvo.web.settings import OidcSettings, WebSettings

PASSWORD = "correct horse battery"  # noqa: S105 - of a made-up account

OPEN = {("GET", "/api/ways"), ("POST", "/api/session"), ("GET", "/api/oidc/start"), ("GET", "/api/oidc/back")}
"""What strangers may ask for: how to sign in, and signing in."""

LEAST_ROLE = {
    ("GET", "/api/session"): "viewer", ("DELETE", "/api/session"): "viewer", ("GET", "/api/events"): "viewer",
    ("GET", "/api/studies"): "viewer", ("GET", "/api/studies/{key}"): "viewer",
    ("GET", "/api/studies/{key}/files/{path}"): "viewer",
    ("POST", "/api/studies/{key}/acknowledge"): "reader", ("POST", "/api/studies/{key}/opinion"): "reader",
    ("GET", "/api/audit"): "admin",
}  # fmt: skip
"""The lowest role that may use a route. A new route must be entered here or above, or the first test fails."""

ROLES = ("viewer", "reader", "admin")
REFUSED_WITHOUT = [route for route, role in LEAST_ROLE.items() if role != "viewer"]


@pytest.fixture
def server(results, tmp_path, serving):
    accounts = Accounts(tmp_path / "state")
    for role in ROLES:
        accounts.put(role, role, PASSWORD)
    with serving.running(results, tmp_path / "state", WebSettings(), needs_accounts=True) as running:
        yield running


def ask(client, serving, route, **options):
    method, path = route
    address = path.replace("{key}", serving.key("suspected")).replace("{path}", "images/site.png")
    body = {"json": {"agree": True}} if path.endswith("opinion") else {}
    return client.request(method, address, **body, **options)


def routes(app) -> set[tuple[str, str]]:
    """Of the interface; what else is served are the pages, which hold no data, and the description of the interface."""
    return {(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods}


def test_every_route_of_the_application_is_in_the_tables(server, tmp_path, results, serving):
    (tmp_path / "secret").write_text("a secret")
    provider = OidcSettings(issuer="http://127.0.0.1:9", client_id="lvo", client_secret_file=str(tmp_path / "secret"))
    with serving.running(results, tmp_path / "other", WebSettings(oidc=provider), needs_accounts=True) as with_oidc:
        assert routes(server.app) | routes(with_oidc.app) == OPEN | set(LEAST_ROLE)


@pytest.mark.parametrize("route", LEAST_ROLE, ids=" ".join)
def test_a_stranger_is_refused(server, serving, route):
    for headers in ({}, {"Cookie": "lvo_session=forged", "X-CSRF-Token": "forged"}):
        with server.client(**headers) as client:
            answer = ask(client, serving, route)
        assert answer.status_code == 401
        assert answer.json()["detail"]
    assert not (server.state / "audit.jsonl").exists()


@pytest.mark.parametrize("route", REFUSED_WITHOUT, ids=" ".join)
def test_a_lesser_role_is_refused_and_the_least_one_is_not(server, serving, route):
    least = LEAST_ROLE[route]
    for role in ROLES:
        with server.signed_in(role, PASSWORD) as client:
            answer = ask(client, serving, route)
        assert answer.status_code == (403 if ROLES.index(role) < ROLES.index(least) else 200), role


@pytest.mark.parametrize("route", [route for route in LEAST_ROLE if route[0] != "GET"], ids=" ".join)
@pytest.mark.parametrize("token", [None, "", "forged"], ids=["no token", "an empty one", "a forged one"])
def test_nothing_changes_without_the_token_of_the_session(server, serving, route, token):
    with server.signed_in("admin", PASSWORD) as client:
        del client.headers["X-CSRF-Token"]
        assert ask(client, serving, route, headers={} if token is None else {"X-CSRF-Token": token}).status_code == 403
        assert client.get("/api/session").status_code == 200, "still signed in"
    kinds = {line["kind"] for line in serving.audit_lines(server.state)}
    assert kinds == {"signed_in"}
