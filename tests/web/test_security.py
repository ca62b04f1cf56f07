"""Who may do what: signing in, sessions, roles, forged requests, and what no answer may contain."""

import json
import ssl
import stat

import httpx2 as httpx
import pytest

from lvo.errors import InputError, UsageError
from lvo.web.accounts import Accounts
from lvo.web.serve import Address, check
from lvo.web.sessions import Sessions
from lvo.web.settings import WebSettings, load_web

PASSWORD = "correct horse battery"  # noqa: S105 - of a made-up account


@pytest.fixture
def state(tmp_path):
    """A folder with one account per role."""
    folder = tmp_path / "state"
    accounts = Accounts(folder)
    for role in ("viewer", "reader", "admin"):
        accounts.put(f"{role}1", role, PASSWORD)
    return folder


@pytest.fixture
def guarded_server(results, state, serving):
    with serving.running(results, state, WebSettings(), needs_accounts=True) as server:
        yield server


def test_nobody_sees_anything_before_signing_in(guarded_server, serving):
    paths = ["/studies", f"/studies/{serving.key('suspected')}", f"/studies/{serving.key('suspected')}/files/images/site.png"]
    with guarded_server.client() as client:
        for path in [*paths, "/session", "/events", "/audit"]:
            assert client.get(f"/api{path}").status_code == 401, path
        assert client.post(f"/api/studies/{serving.key('suspected')}/acknowledge").status_code == 401
    assert not (guarded_server.state / "audit.jsonl").exists()


def test_two_people_see_who_was_first(guarded_server, serving):
    path = f"/api/studies/{serving.key('suspected')}"
    with guarded_server.signed_in("reader1", PASSWORD) as first, guarded_server.signed_in("admin1", PASSWORD) as second:
        assert first.post(f"{path}/acknowledge").json()["acknowledged"]["by"] == "reader1"
        assert second.post(f"{path}/acknowledge").json()["acknowledged"]["by"] == "reader1"
        given = second.post(f"{path}/opinion", json={"agree": False, "reason": "other_side", "side": "right", "site": "M1"})
        assert given.json()["opinion"]["by"] == "admin1"
        assert first.get(path).json()["row"]["opinion"]["reason"] == "other_side"
    row = json.loads((guarded_server.state / "validation.jsonl").read_text())
    assert (row["by"], row["reader_side"], row["lvo"]["site"], row["agree"]) == ("admin1", "right", "M1", False)


def test_roles_bound_what_one_may_do(guarded_server, serving):
    path = f"/api/studies/{serving.key('suspected')}"
    with guarded_server.signed_in("viewer1", PASSWORD) as viewer, guarded_server.signed_in("admin1", PASSWORD) as admin:
        assert viewer.get(path).status_code == 200
        assert viewer.post(f"{path}/acknowledge").status_code == 403
        assert viewer.post(f"{path}/opinion", json={"agree": True}).status_code == 403
        assert viewer.get("/api/audit").status_code == 403
        lines = admin.get("/api/audit").json()["lines"]
    assert [line["kind"] for line in lines] == ["viewed", "signed_in", "signed_in"]
    assert lines[0]["by"] == "viewer1"
    assert lines[0]["key"] == serving.key("suspected")


def test_every_view_is_on_record_before_anything_is_shown(guarded_server, serving):
    with guarded_server.signed_in("viewer1", PASSWORD) as client:
        picture = client.get(f"/api/studies/{serving.key('suspected')}/files/images/site.png")
    assert picture.headers["content-type"] == "image/png"
    assert [line["kind"] for line in serving.audit_lines(guarded_server.state)] == ["signed_in", "viewed"]


def test_nothing_is_shown_when_the_view_cannot_be_recorded(guarded_server, serving):
    with guarded_server.signed_in("viewer1", PASSWORD) as client:
        (guarded_server.state / "audit.jsonl").write_text("half a line")
        answer = client.get(f"/api/studies/{serving.key('suspected')}")
    assert answer.status_code == 500
    assert "site" not in answer.text


def test_wrong_passwords_are_refused_recorded_and_slowed_down(guarded_server, serving):
    with guarded_server.client() as client:
        answers = [client.post("/api/session", json={"name": "reader1", "password": f"wrong{n}"}) for n in range(6)]
        right = client.post("/api/session", json={"name": "reader1", "password": PASSWORD})
        other = client.post("/api/session", json={"name": "nobody", "password": PASSWORD})
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert right.status_code == 429
    assert other.status_code == 401
    by = [line["facts"]["by"] for line in serving.audit_lines(guarded_server.state)]
    assert by == ["reader1"] * 5 + ["unknown"], "a name that no account has may be a password"


def test_signing_out_ends_the_session(guarded_server):
    with guarded_server.signed_in("reader1", PASSWORD) as client:
        assert client.get("/api/studies").status_code == 200
        assert client.delete("/api/session").status_code == 200
        assert client.get("/api/studies").status_code == 401


@pytest.mark.parametrize("token", [None, "", "forged"], ids=["missing", "empty", "wrong"])
def test_a_forged_request_changes_nothing(guarded_server, serving, token):
    with guarded_server.signed_in("reader1", PASSWORD) as client:
        del client.headers["X-CSRF-Token"]
        headers = {} if token is None else {"X-CSRF-Token": token}
        path = f"/api/studies/{serving.key('suspected')}/acknowledge"
        assert client.post(path, headers=headers).status_code == 403
        assert client.get(f"/api/studies/{serving.key('suspected')}").json()["row"]["acknowledged"] is None


def test_the_cookie_cannot_be_read_by_scripts_or_sent_by_other_sites(guarded_server):
    with guarded_server.client() as client:
        answer = client.post("/api/session", json={"name": "reader1", "password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_over_tls_the_cookie_never_travels_in_the_open(results, state, serving, tmp_path):
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    settings = WebSettings(tls_certificate=str(tmp_path / "certificate.pem"), tls_key=str(tmp_path / "key.pem"))
    with (
        serving.running(results, state, settings, needs_accounts=True) as server,
        httpx.Client(base_url=server.url, verify=trust) as client,
    ):
        answer = client.post("/api/session", json={"name": "reader1", "password": PASSWORD})
    assert "secure" in answer.headers["set-cookie"].lower()
    assert "max-age" in answer.headers["strict-transport-security"]


def test_sessions_end_when_idle_and_after_a_shift():
    now = [0.0]
    sessions = Sessions(idle_min=30.0, session_min=60.0, clock=lambda: now[0])
    token, _ = sessions.begin("reader1", "reader")
    now[0] = 29 * 60.0
    assert sessions.find(token, active=False) is not None
    now[0] = 31 * 60.0
    assert sessions.find(token) is None, "what the page asks by itself must not keep a session alive"
    token, _ = sessions.begin("reader1", "reader")
    for minute in range(31, 92, 20):
        now[0] = minute * 60.0
        found = sessions.find(token)
    assert found is not None
    now[0] = (31 + 61) * 60.0
    assert sessions.find(token) is None, "a shift is over"


def test_passwords_are_kept_as_argon2id_in_a_file_for_the_owner_alone(state):
    rows = json.loads((state / "accounts.json").read_text())
    assert all(row["password_hash"].startswith("$argon2id$") for row in rows)
    assert stat.S_IMODE((state / "accounts.json").stat().st_mode) == 0o600
    assert Accounts(state).check("reader1", PASSWORD).role == "reader"
    assert Accounts(state).check("reader1", PASSWORD + " ") is None


@pytest.mark.parametrize(("name", "password"), [("a b", PASSWORD), ("", PASSWORD), ("reader2", "short")])
def test_bad_names_and_short_passwords_are_refused(state, name, password):
    with pytest.raises(UsageError):
        Accounts(state).put(name, "reader", password)


def test_damaged_accounts_are_said_to_be_damaged(state):
    (state / "accounts.json").write_text("[{]")
    with pytest.raises(InputError, match="restore a copy"):
        Accounts(state)


@pytest.mark.parametrize(
    ("address", "settings", "people", "words"),
    [
        (Address("0.0.0.0"), WebSettings(), 0, "no accounts"),  # noqa: S104 - it must be refused
        (Address("10.0.0.7"), WebSettings(), 3, "no TLS"),
        (Address("127.0.0.1", behind_proxy=True), WebSettings(), 0, "no accounts"),
        (Address("stroke.example.org"), WebSettings(), 3, "no TLS"),
        (Address("::"), WebSettings(tls_certificate="c.pem", tls_key="k.pem"), 3, "set `hosts`"),
    ],
    ids=["no accounts", "no TLS", "proxy without accounts", "a name", "every address"],
)
def test_others_can_reach_it_only_with_accounts_and_tls(tmp_path, address, settings, people, words):
    accounts = Accounts(tmp_path)
    for number in range(people):
        accounts.put(f"reader{number}", "reader", PASSWORD)
    with pytest.raises(UsageError, match=words):
        check(accounts, settings, address)


def test_this_machine_alone_needs_no_accounts_until_there_are_some(tmp_path, state):
    assert check(Accounts(tmp_path), WebSettings(), Address()) is False
    assert check(Accounts(state), WebSettings(), Address()) is True
    with_tls = WebSettings(tls_certificate="c.pem", tls_key="k.pem", hosts=("stroke.example.org",))
    assert check(Accounts(state), with_tls, Address("0.0.0.0")) is True  # noqa: S104 - with accounts and TLS


@pytest.mark.parametrize(
    "path", ["dicom/sr.dcm", "result.json", "../x", "images/../result.json", "/etc/passwd", "images/none.png"]
)
def test_only_pictures_and_volumes_are_served(open_server, serving, path):
    with open_server.client() as client:
        answer = client.get(f"/api/studies/{serving.key('suspected')}/files/{path}")
    assert answer.status_code == 404
    assert serving.CANARY not in answer.text


def test_a_link_out_of_the_folder_is_not_followed(open_server, serving, results, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    picture = results / serving.UIDS["suspected"] / "images" / "site.png"
    picture.unlink()
    picture.symlink_to(tmp_path / "secret.png")
    with open_server.client() as client:
        assert client.get(f"/api/studies/{serving.key('suspected')}/files/images/site.png").status_code == 404


def test_headers_forbid_inline_code_frames_and_caches(open_server):
    with open_server.client() as client:
        page, data = client.get("/study.html"), client.get("/api/studies")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http:" not in policy
    assert data.headers["cache-control"] == "no-store"
    assert data.headers["x-content-type-options"] == "nosniff"


def test_another_name_for_this_server_is_refused(open_server):
    answer = httpx.get(f"{open_server.url}/api/session", headers={"Host": "evil.example.org"})
    assert answer.status_code == 400


def test_a_large_or_endless_body_is_refused(open_server):
    with open_server.reader() as client:
        assert client.post("/api/session", content=b"x" * 20_000).status_code == 413
        assert client.post("/api/session", content=iter([b"x"])).status_code == 413


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"agree": True, "reason": "other"},
        {"agree": False},
        {"agree": False, "reason": "Mr Smith"},
        {"agree": True, "x": 1},
        [],
    ],
    ids=str,
)
def test_an_impossible_opinion_is_refused_without_repeating_it(open_server, serving, given):
    with open_server.reader() as client:
        answer = client.post(f"/api/studies/{serving.key('suspected')}/opinion", json=given)
    assert answer.status_code == 422
    assert "Smith" not in answer.text
    assert not (open_server.state / "validation.jsonl").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("patient = 'all'", "patient"),
        ("colour = 1", "colour"),
        ("tls_key = 'k.pem'", "belong together"),
        ("idle_min = 0", "idle_min"),
    ],
)
def test_wrong_settings_name_the_key(tmp_path, text, words):
    path = tmp_path / "web.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        load_web(path)
