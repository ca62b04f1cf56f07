"""`lvo run`: analyse studies."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lvo.cli.boundary import GivenPath, guarded
from lvo.cli.summary import summary_lines
from lvo.errors import UsageError

if TYPE_CHECKING:
    from lvo.config import ServiceConfig
    from lvo.core.report import Report
    from lvo.core.transfer import Transfer
    from lvo.criteria.clinical import ClinicalFacts

PARTS = {"cta": ("cta", "ncct"), "ctp": ("ctp", "ncct")}


@click.command(name="run")
@click.argument("studies", nargs=-1, required=True, type=GivenPath())
@click.option("--out", "out_dir", required=True, type=GivenPath(), help="Receives one folder per study.")
@click.option("--config", "config_path", type=GivenPath(), envvar="LVO_CONFIG", help="Settings (TOML).")
@click.option("--clinical", "clinical_path", type=GivenPath(), help="Clinical facts for selection rules (JSON).")
@click.option("--service", "service_path", type=GivenPath(), help="Settings of the hospital (TOML): destinations, event log.")
@click.option("--only", type=click.Choice(sorted(PARTS)), help="Analyse only this part.")
@click.option("--json", "as_json", is_flag=True, help="Print result.json on stdout; everything else goes to stderr.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    *,
    studies: tuple[Path, ...],
    out_dir: Path,
    config_path: Path | None,
    clinical_path: Path | None,
    service_path: Path | None,
    only: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Analyse STUDIES: folders of any depth, DICOMDIRs, .zip or .tar(.gz) archives, or single files.

    Leaves OUT/<StudyInstanceUID>/ with result.json, report.html, images, maps and DICOM results. Exit status: 0 analysed,
    1 failed, 2 wrong usage, 3 not assessable; with several studies the highest of theirs.
    """
    from lvo.config import load_config, load_service
    from lvo.core.study import Role
    from lvo.dicom.index import open_studies
    from lvo.run import Request, load_models, run_study

    debug = bool(click.get_current_context().find_root().obj)
    config, facts = load_config(config_path), read_facts(clinical_path)
    service = None if service_path is None else load_service(service_path)
    roles = frozenset(Role(part) for part in (PARTS[only] if only else ("cta", "ctp", "ncct")))
    request = Request(out_dir, config, facts.measurements(), roles, _destinations(service, facts))
    status, documents = 0, []
    with open_studies(studies) as found:
        models = load_models(config)
        for number, study in enumerate(found, 1):
            label = f"study {number} of {len(found)}"
            with _progress(label, show=not quiet):
                result, failure = guarded(
                    partial(run_study, study, models, request), prefix=f"lvo: {label}" if len(found) > 1 else "lvo", debug=debug
                )
            status = max(status, failure if result is None else result.exit_status)
            if result is None:
                continue
            documents.append(result.document)
            if service is not None and service.event_log:
                status = max(status, guarded(partial(_log, service, result.report), debug=debug)[1])
            if not quiet:
                lines = summary_lines(result.report, result.folder, label=label if len(found) > 1 else "")
                click.echo("\n".join(lines), err=as_json)
    if as_json and documents:
        click.echo(json.dumps(documents[0] if len(found) == 1 else documents, indent=2))
    return status


def _destinations(service: "ServiceConfig | None", facts: "ClinicalFacts") -> "Callable[[Report], Transfer | None] | None":
    """How the report gets its thrombectomy centres; tried at once, so that wrong tables fail before the analysis."""
    if service is None or service.transfer is None:
        return None
    from lvo.network.service import destinations_of, patient_of, read_surroundings

    surroundings = read_surroundings(service.site, service.transfer)
    surroundings.destinations(patient_of(facts, suspected=False, site=None), now=_now())
    return lambda report: destinations_of(report, surroundings, facts, now=_now())


def _log(service: "ServiceConfig", report: "Report") -> None:
    """Write the time of the result into the event log of the hospital."""
    from lvo.eventlog import append_events
    from lvo.run import result_event

    append_events(Path(service.event_log), [result_event(report, site=service.site, at=_now())])


def _now() -> datetime:
    return datetime.now().astimezone()


def read_facts(path: Path | None) -> "ClinicalFacts":
    """Clinical facts from a JSON file; none without a file.

    Raises:
        UsageError: the file cannot be read, is not JSON, or has a key or value that nobody knows.
    """
    from lvo.criteria.clinical import ClinicalFacts, clinical_facts

    if path is None:
        return ClinicalFacts()
    try:
        return clinical_facts(json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant))
    except OSError as error:
        msg = f"clinical facts {path} cannot be read: {error.strerror}"
        raise UsageError(msg) from error
    except UsageError:
        raise
    except ValueError as error:
        msg = f"clinical facts {path} are not JSON: {error}"
        raise UsageError(msg) from error


def _no_constant(name: str) -> float:
    """Refuse NaN and Infinity, which Python's reader takes for numbers."""
    msg = f"{name} is no number; leave out what is not known"
    raise ValueError(msg)


@contextmanager
def _progress(text: str, *, show: bool) -> Iterator[None]:
    """A spinner on a terminal, nothing in a pipe."""
    if not show or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"analysing {text}"):
        yield
