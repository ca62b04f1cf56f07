"""Settings of delivery: every key is in the example, and what nobody knows is refused by name."""

from pathlib import Path

import msgspec
import pytest

from lvo.delivery import DeliverySettings, load_delivery
from lvo.delivery.settings import TlsSettings
from lvo.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "configs" / "delivery.toml"

HOOK = '[[notifications]]\nkind = "webhook"\nname = "hook"\nurl = "https://a.example/x"\nsecret_file = "s"\n'
PACS = '[[destinations]]\nkind = "dicom"\nname = "pacs"\nae_title = "PACS"\nhost = "127.0.0.1"\n'
MAIL = '[[notifications]]\nkind = "email"\nname = "mail"\nhost = "h"\nsender = "a@b"\nto = ["c@d"]\n'


def test_the_example_has_every_kind_and_every_key_with_its_default():
    written = msgspec.toml.decode(EXAMPLE.read_bytes())
    settings = msgspec.convert(written, DeliverySettings)
    assert {target.__struct_config__.tag for target in settings.targets} == {
        "dicom", "stow", "folder", "webhook", "email", "hl7", "fhir",
    }  # fmt: skip
    for target, keys in zip((*settings.targets, *settings.sources), _tables(written), strict=True):
        fields = {field.name: field for field in msgspec.structs.fields(target)}
        assert set(fields) - set(keys) <= {"tls"}, target.name
        for name, field in fields.items():
            if name in keys and field.default is not msgspec.NODEFAULT and name != "port":
                assert getattr(target, name) == field.default, (target.name, name)
    assert {source.__struct_config__.tag for source in settings.sources} == {"dicom", "dicomweb"}
    assert msgspec.structs.replace(settings, destinations=(), notifications=(), sources=()) == DeliverySettings()


def _tables(written: dict) -> list[dict]:
    return [*written["notifications"], *written["destinations"], *written["sources"]]


def test_paths_are_relative_to_the_file_and_empty_ones_stay_empty(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(HOOK + PACS + 'tls = { ca = "tls/ca.pem" }\n')
    settings = load_delivery(path)
    assert settings.outbox == str(tmp_path / "outbox.sqlite")
    assert settings.target("hook").secret_file == str(tmp_path / "s")
    assert settings.target("pacs").tls == TlsSettings(ca=str(tmp_path / "tls" / "ca.pem"))
    assert settings.target("nobody") is None


@pytest.mark.parametrize(
    ("text", "match"),
    [
        pytest.param("outbx = 'a'\n", "outbx", id="an unknown key"),
        pytest.param("viewer_url = 'https://a.example/?key=1'\n", "viewer_url", id="an address of the viewer with a question"),
        pytest.param(PACS + "hots = 'a'\n", "hots", id="an unknown key of a target"),
        pytest.param(PACS.replace("dicom", "ftp"), "ftp", id="an unknown kind"),
        pytest.param(PACS.replace('"PACS"', '"A NAME OF MORE THAN 16"'), "ae_title", id="an AE title that is too long"),
        pytest.param(PACS.replace('"PACS"', r'"A\\B"'), "ae_title", id="an AE title with a backslash"),
        pytest.param(PACS + "port = 70000\n", "port", id="an impossible port"),
        pytest.param(PACS + 'tls = { certificate = "a" }\n', "go together", id="a certificate without key"),
        pytest.param(PACS + HOOK.replace('"hook"', '"pacs"'), "two targets", id="two targets of one name"),
        pytest.param(HOOK.replace("https://a.example", "file:///etc"), "url", id="a URL that is none of HTTP"),
        pytest.param(HOOK.replace("https://a", "https://me:secret@a"), "url", id="a password in a URL"),
        pytest.param(HOOK + 'on = ["everything"]\n', "on", id="an unknown event"),
        pytest.param(MAIL + 'user = "u"\n', "go together", id="a user without password"),
        pytest.param(MAIL + 'user = "u"\npassword_file = "p"\nsecurity = "none"\n', "needs security", id="a clear-text login"),
        pytest.param(MAIL.replace('"a@b"', '"a@b\\nBcc: x@y"'), "sender", id="a header smuggled into an address"),
        pytest.param(
            '[[destinations]]\nkind = "folder"\nname = "f"\npath = "/x"\nparts = ["../up"]\n', "parts", id="a part outside"
        ),
        pytest.param("[retry]\njitter = 0.9\n", "jitter", id="a jitter that could make a wait vanish"),
    ],
)
def test_a_bad_file_is_refused_with_file_and_key(tmp_path, text, match):
    path = tmp_path / "site.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=match) as error:
        load_delivery(path)
    assert "site.toml" in str(error.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_delivery(tmp_path / "none.toml")
