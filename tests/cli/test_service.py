"""The commands around a service: the clock, the settings of a hospital, the ranking, and what is said when one is wrong."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from lvo import cli as command_line
from lvo.cli.run import _destinations, _log, read_facts
from lvo.config import ServiceConfig, TransferSettings, load_service
from lvo.core.outcome import Absent, NotAssessable
from lvo.core.report import Call
from lvo.criteria.clinical import ClinicalFacts, clinical_facts
from lvo.errors import ConfigError, InputError, LvoError, UsageError
from lvo.eventlog import EventKind, read_events
from lvo.network import require_extra

ROOT = Path(__file__).parents[2]


def run(*arguments: object):
    return CliRunner().invoke(command_line._lvo, list(map(str, arguments)), standalone_mode=False, catch_exceptions=False)


@pytest.fixture
def network_extra():
    try:
        require_extra()
    except UsageError as error:
        pytest.skip(f"NETWORK EXTRA MISSING, destinations are not tested: {error}")


@pytest.fixture
def tables(tmp_path):
    """Alpha treats, Gamma refers."""
    (tmp_path / "units.csv").write_text("postcode,stroke_team,use_ivt,use_mt\nA,Alpha,1,1\nC,Gamma,1,0\n")
    (tmp_path / "between_units.csv").write_text("from,A,C\nA,0,20\nC,21,0\n")
    (tmp_path / "roster.csv").write_text("unit,days,open,close\nA,daily,00:00,24:00\n")
    return tmp_path


def test_the_service_example_is_complete_and_valid():
    """Every key of the settings is in the example, with its default but for the site."""
    service = load_service(ROOT / "configs" / "service.toml")
    assert service.transfer == TransferSettings()
    assert service == ServiceConfig(site=service.site, transfer=TransferSettings())
    text = (ROOT / "configs" / "service.toml").read_text()
    assert all(f"\n{key} = " in text for key in (*TransferSettings.__struct_fields__, "site", "event_log"))


def test_paths_are_relative_to_the_file(tmp_path):
    (tmp_path / "service.toml").write_text('site = "A"\nevent_log = "e.jsonl"\n[transfer]\nroster = "r.csv"\n')
    service = load_service(tmp_path / "service.toml")
    assert service.event_log == str(tmp_path / "e.jsonl")
    assert service.transfer.roster == str(tmp_path / "r.csv")
    assert service.transfer.data == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param('site = "Norwich Hospital"', "site", id="a name for a code"),
        pytest.param('event_log = "x"', "site", id="no site"),
        pytest.param('site = "A"\nlog = "x"', "unknown field", id="misspelt"),
        pytest.param('site = "A"\n[transfer]\ndoor_out_min = -1', "door_out_min", id="a negative time"),
    ],
)
def test_wrong_settings_of_a_hospital_are_refused(tmp_path, text, words):
    (tmp_path / "service.toml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_service(tmp_path / "service.toml")


@pytest.mark.usefixtures("network_extra")
def test_a_result_finds_its_centres_and_its_place_in_the_log(tables, report_phantom):
    """What `lvo run --service` adds: destinations where an occlusion is suspected, and the time of the result."""
    settings = TransferSettings(data=str(tables), roster=str(tables / "roster.csv"))
    service = ServiceConfig(site="C", event_log=str(tables / "events.jsonl"), transfer=settings)
    find = _destinations(service, ClinicalFacts())
    suspected = report_phantom.report()
    found = find(suspected)
    assert [row.code for row in found.destinations] == ["A"]
    assert find(report_phantom.report(call=Call.NOT_DETECTED)) is None
    assert find(report_phantom.report(call=Call.INDETERMINATE)) is None
    read_by_a_person = _destinations(service, clinical_facts({"site": "M1"}))
    assert read_by_a_person(report_phantom.report(call=Call.NOT_DETECTED)) is not None
    for report in (suspected, replace(suspected, cta=NotAssessable(("dark",))), replace(suspected, cta=Absent("none"))):
        _log(service, report)
    events = read_events(tables / "events.jsonl")
    assert [event.facts.call for event in events] == ["suspected", "not_assessable", "absent"]
    assert {event.kind for event in events} == {EventKind.RESULT_OUT}
    assert {event.case for event in events} == {suspected.study_instance_uid}


def test_nothing_is_found_or_logged_until_it_is_configured():
    assert _destinations(None, ClinicalFacts()) is None
    assert _destinations(ServiceConfig(site="A"), ClinicalFacts()) is None


@pytest.mark.usefixtures("network_extra")
def test_wrong_tables_and_times_fail_before_the_analysis(tables):
    settings = TransferSettings(data=str(tables))
    with pytest.raises(UsageError, match="there is no unit 'X'"):
        _destinations(ServiceConfig(site="X", transfer=settings), ClinicalFacts())
    with pytest.raises(UsageError, match="onset lies after now"):
        _destinations(ServiceConfig(site="C", transfer=settings), clinical_facts({"onset": "2999-01-01T00:00Z"}))
    with pytest.raises(InputError, match="roster"):
        _destinations(ServiceConfig(site="C", transfer=TransferSettings(data=str(tables), roster="none.csv")), ClinicalFacts())


@pytest.mark.usefixtures("network_extra")
def test_the_ranking_as_json(tables):
    (tables / "facts.json").write_text('{"onset": "2026-01-14T11:30Z", "site": "M1"}')
    with pytest.raises(UsageError, match="there is no unit 'C'"):
        run("network", "transfer", "--site", "C")
    (tables / "service.toml").write_text('site = "C"\n[transfer]\ndata = "."\nroster = "roster.csv"\n')
    arguments = [
        "--service",
        tables / "service.toml",
        "--clinical",
        tables / "facts.json",
        "--now",
        "2026-01-14T14:00Z",
        "--json",
    ]
    shown = CliRunner().invoke(command_line._lvo, list(map(str, ["network", "transfer", *arguments])), catch_exceptions=False)
    (row,) = json.loads(shown.stdout)["destinations"]
    assert (row["code"], row["opening"], row["drive_min"]) == ("A", "open", 21.0)
    assert row["price"]["onset_to_puncture_min"] == 150 + 60 + 21 + 60


@pytest.mark.usefixtures("network_extra")
@pytest.mark.parametrize(
    ("lvo", "words"),
    [
        ({"call": "not_detected", "site": None}, "no large-vessel occlusion is suspected"),
        ({"call": "suspected", "site": None}, "the occluded artery is unknown"),
        ({"call": "indeterminate", "site": None}, "whether a large vessel is occluded is not known"),
        (None, "whether a large vessel is occluded is not known"),
    ],
)
def test_the_ranking_takes_the_finding_of_a_result(tables, lvo, words):
    (tables / "result.json").write_text(json.dumps({"cta": {"lvo": lvo}}))
    (tables / "service.toml").write_text('site = "C"\n[transfer]\ndata = "."\n')
    shown = CliRunner().invoke(
        command_line._lvo,
        ["network", "transfer", "--service", str(tables / "service.toml"), "--result", str(tables / "result.json")],
        catch_exceptions=False,
    )
    assert "Alpha" in shown.output
    assert f"No outcomes are shown: {words}" in shown.output


@pytest.mark.usefixtures("network_extra")
def test_the_ranking_without_a_result_says_that_nothing_is_known(tables):
    (tables / "service.toml").write_text('site = "C"\n[transfer]\ndata = "."\n')
    arguments = ["network", "transfer", "--service", str(tables / "service.toml")]
    shown = CliRunner().invoke(command_line._lvo, arguments, catch_exceptions=False)
    assert "whether a large vessel is occluded is not known" in shown.output
    assert "no large-vessel occlusion" not in shown.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["network", "transfer"], "one of them", id="no site"),
        pytest.param(["network", "transfer", "--site", "NR47UY", "--now", "now"], "offset from UTC", id="no time"),
        pytest.param(["network", "transfer", "--site", "NR47UY", "--result", "none.json"], "cannot be read", id="no result"),
        pytest.param(
            ["clock", "add", "LOG", "cta", "--case", "c", "--site", "A", "--fact", "mtici"], "NAME=VALUE", id="a bare fact"
        ),
        pytest.param(["clock", "add", "LOG", "cta", "--case", "c", "--site", "A", "--fact", "mtici=2"], "mtici", id="no grade"),
        pytest.param(["clock", "add", "LOG", "cta", "--case", "J Doe", "--site", "A"], "pseudonym", id="a name"),
        pytest.param(["clock", "show", "LOG"], "cannot be read", id="no log"),
        pytest.param(["clock", "import", "LOG", "none.csv"], "cannot be read", id="no table"),
        pytest.param(["audit", "LOG", "--out", "o", "--time-zone", "Norwich"], "no time zone", id="no zone"),
        pytest.param(["audit", "LOG", "--out", "o"], "cannot be read", id="nothing to audit"),
    ],
)
def test_what_is_wrong_is_said(request, tmp_path, monkeypatch, arguments, words):
    if "network" in arguments:
        request.getfixturevalue("network_extra")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LvoError, match=words) as caught:
        run(*arguments)
    assert "Doe" not in str(caught.value)
    assert not (tmp_path / "o").exists()


def test_a_table_of_events_is_imported_whole_or_not_at_all(tmp_path):
    log, table = tmp_path / "log", tmp_path / "table.csv"
    rows = [
        "case,site,kind,at,deprivation_decile,lvo,onset_seen",
        "c1,A,onset,2026-03-01T10:00+00:00,,,true",
        "c1,A,arrival,2026-03-01T11:00Z,3,,",
        "c1,A,final_diagnosis,2026-03-04T12:00+00:00,,false,",
    ]
    table.write_text("\n".join(rows) + "\n")
    run("clock", "import", log, table)
    first, second, third = read_events(log)
    assert first.facts.onset_seen is True
    assert second.facts.deprivation_decile == 3
    assert third.facts.lvo is False
    before = log.read_bytes()
    lines = {
        "c2,A,arival,2026-03-01T11:00Z,,,": "line 5: `kind` must be one of",
        "c2,A,cta,11:00,,,": "line 5",
        "c2,A,cta": "another number of cells",
        ",A,cta,2026-03-01T11:00Z,,,": "case is empty",
    }
    for wrong, words in lines.items():
        table.write_text("\n".join([*rows, wrong]) + "\n")
        with pytest.raises(InputError, match=words):
            run("clock", "import", log, table)
    assert log.read_bytes() == before
    table.write_text("case,kind\n")
    with pytest.raises(InputError, match="lacks the columns at, site"):
        run("clock", "import", log, table)


def test_the_clock_shows_and_checks(tmp_path):
    log = tmp_path / "log"
    shown = CliRunner().invoke(
        command_line._lvo,
        ["clock", "add", str(log), "puncture", "--case", "c1", "--site", "HUB", "--at", "2026-03-01T14:00Z"],
        catch_exceptions=False,
    )
    noted = shown.output.split()[-1]
    run("clock", "add", log, "reperfusion", "--case", "c1", "--site", "HUB", "--at", "2026-03-01T14:40Z", "--fact", "mtici=2b")
    lines = CliRunner().invoke(command_line._lvo, ["clock", "show", str(log)], catch_exceptions=False).output.splitlines()
    assert "puncture" in lines[0]
    assert lines[1].endswith("mtici=2b")
    assert "the chain holds" in CliRunner().invoke(command_line._lvo, ["clock", "check", str(log), "--sha256", noted]).output
    log.write_text(log.read_text().splitlines(keepends=True)[1])
    with pytest.raises(InputError, match="line 1"):
        run("clock", "check", log)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        pytest.param(["--case", "c", "--fact", "grade=3"], "unknown field `grade`; see `lvo clock add --help`", id="a fact"),
        pytest.param(["--case", "c", "--at", "yesterday"], "no time with an offset", id="a time"),
        pytest.param(["--case", "J Doe"], "pseudonym", id="a name"),
    ],
)
def test_a_wrong_event_on_the_command_line_is_wrong_usage(tmp_path, more, words):
    """And of a table it is a failure, since that comes from elsewhere."""
    with pytest.raises(UsageError, match=words) as caught:
        run("clock", "add", tmp_path / "log", "puncture", "--site", "HUB", *more)
    assert "Doe" not in str(caught.value)
    assert not (tmp_path / "log").exists()


def test_a_case_that_is_not_in_the_log_is_said_to_be_missing(tmp_path):
    run("clock", "add", tmp_path / "log", "puncture", "--case", "c1", "--site", "HUB")
    with pytest.raises(InputError, match="no event of that case"):
        run("clock", "show", tmp_path / "log", "--case", "c2")


def test_an_end_cut_off_is_noticed_with_a_noted_hash(tmp_path):
    log = tmp_path / "log"
    for kind in ("puncture", "reperfusion"):
        run("clock", "add", log, kind, "--case", "c1", "--site", "HUB", "--at", "2026-03-01T14:00Z")
    noted = read_events(log)[-1].sha256
    log.write_text(log.read_text().splitlines(keepends=True)[0])
    run("clock", "check", log)
    with pytest.raises(InputError, match="cut off"):
        run("clock", "check", log, "--sha256", noted)


def test_facts_without_a_file_are_unknown():
    assert read_facts(None) == ClinicalFacts()
