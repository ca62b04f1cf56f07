"""`lvo view` and `lvo account`, as far as they go without a browser."""

import socket

import pytest
from click.testing import CliRunner

from lvo.cli import account, view
from lvo.errors import ConfigError, InputError, OutputError, UsageError
from lvo.web import serve
from lvo.web.accounts import Accounts

PASSWORD = "correct horse battery"  # noqa: S105 - of a made-up account


def run(command, *arguments, given=""):
    result = CliRunner().invoke(command, [str(argument) for argument in arguments], input=given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_accounts_are_added_listed_and_removed(tmp_path):
    run(account.command, "add", "anna", "--role", "admin", "--state", tmp_path, given=f"{PASSWORD}\n{PASSWORD}\n")
    run(account.command, "add", "bert", "--state", tmp_path, "--password", PASSWORD)
    assert run(account.command, "list", "--state", tmp_path).output.split() == ["anna", "admin", "bert", "reader"]
    assert Accounts(tmp_path).check("anna", PASSWORD).role == "admin"
    run(account.command, "remove", "anna", "--state", tmp_path)
    assert [known.name for known in Accounts(tmp_path).all()] == ["bert"]


def test_no_password_is_asked_for_in_vain(tmp_path, monkeypatch):
    def missing():
        msg = "pip install 'lvo[web]'"
        raise UsageError(msg)

    monkeypatch.setattr("lvo.web.require_extra", missing)
    result = CliRunner().invoke(account.command, ["add", "anna", "--state", str(tmp_path)])
    assert isinstance(result.exception, UsageError)
    assert "assword" not in result.output
    assert CliRunner().invoke(account.command, ["add", "--help"]).exit_code == 0


def test_removing_nobody_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError, match="no account 'anna'"):
        run(account.command, "remove", "anna", "--state", tmp_path)


@pytest.mark.parametrize("both", [False, True], ids=["neither", "both"])
def test_a_folder_or_a_node_but_not_both(tmp_path, both):
    (tmp_path / "site.toml").write_text("")
    arguments = [tmp_path, "--node", tmp_path / "site.toml"] if both else []
    with pytest.raises(UsageError, match="or --node"):
        run(view.command, *arguments)


def test_what_is_no_folder_is_said_to_be_none(tmp_path):
    with pytest.raises(InputError, match="lvo run --out"):
        run(view.command, tmp_path / "nowhere")


def test_it_serves_the_folder_and_says_where(tmp_path, monkeypatch):
    served = []

    def stub(*arguments, say):
        served.append(arguments)
        say("http://127.0.0.1:9000/")

    monkeypatch.setattr(serve, "serve", stub)
    result = run(view.command, tmp_path, "--port", "9000")
    ((_, state, settings, address),) = served
    assert state == tmp_path / ".lvo-web"
    assert (settings.patient, address.host, address.port) == ("hidden", "127.0.0.1", 9000)
    assert "http://127.0.0.1:9000/" in result.output
    assert "Research use only" in result.output


def test_a_port_that_is_taken_is_said_and_no_address_is_promised(tmp_path):
    """The server library would end with status 3, which means that a study could not be judged."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(view.command, [str(tmp_path), "--port", str(port)])
    assert isinstance(result.exception, OutputError)
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in str(result.exception)
    assert "http" not in result.output


def test_an_interrupted_server_has_ended_as_it_should(tmp_path, monkeypatch):
    def run_until_interrupted(_, sockets):
        assert sockets[0].getsockname()[1] > 0
        raise KeyboardInterrupt

    monkeypatch.setattr(serve.Server, "run", run_until_interrupted)
    result = run(view.command, tmp_path, "--port", "0")
    assert result.exit_code == 0
    assert "http://127.0.0.1:0/" not in result.output
    assert "(Ctrl-C ends)" in result.output


def test_a_certificate_that_is_not_there_is_wrong_usage(tmp_path):
    (tmp_path / "web.toml").write_text('tls_certificate = "none.pem"\ntls_key = "none.key"\n')
    with pytest.raises(ConfigError, match="cannot be read, or they do not fit"):
        run(view.command, tmp_path, "--config", tmp_path / "web.toml", "--port", "0")
