"""`lvo batch`: score many studies."""

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

import click

from lvo.cli.boundary import GivenPath
from lvo.errors import UsageError

if TYPE_CHECKING:
    from lvo.batch.batch import Batch, Outcome
    from lvo.batch.engines import Engine
    from lvo.batch.progress import Quiet
    from lvo.batch.records import Setup
    from lvo.config import Config

OUTPUTS = ("json", "html", "dicom", "maps")


class _Options(TypedDict):
    """As typed on the command line."""

    config_path: Path | None
    clinical_path: Path | None
    only: str | None
    outputs: str
    engine: Literal["local", "ray"]
    address: str | None
    workers: int | None
    gpus: float
    memory_mb: int
    time_limit: float
    table: Literal["auto", "sqlite", "files"]
    retry: str | None
    watch: float | None
    deadline: str | None
    deliver_path: Path | None
    export_dir: Path | None
    export_secret: Path | None
    export_times: bool


@click.command(name="batch")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option(
    "--out", "out_dir", required=True, type=GivenPath(file_okay=False), help="Receives one folder per configuration and model."
)
@click.option("--config", "config_path", type=GivenPath(), envvar="LVO_CONFIG", help="Settings (TOML).")
@click.option(
    "--clinical", "clinical_path", type=GivenPath(), help="Clinical facts for selection rules (JSON), the same for all."
)
@click.option("--only", type=click.Choice(["cta", "ctp"]), help="Analyse only this part.")
@click.option("--outputs", default="json,html", show_default=True, help="Of json, html, dicom, maps; json is always written.")
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="Processes here, or Ray."
)
@click.option("--address", help="Of the Ray cluster; 'auto' for the one this machine belongs to.")
@click.option("--workers", type=click.IntRange(min=1), help="At most; as many as cores and memory allow if left out.")
@click.option(
    "--gpus", type=click.FloatRange(min=0.0), default=0.0, show_default=True, help="Of one Ray worker; 0.25: four share one."
)
@click.option("--memory-mb", type=click.IntRange(min=256), default=4096, show_default=True, help="What a study may take.")
@click.option(
    "--time-limit", type=click.FloatRange(min=1.0), default=900.0, show_default=True, help="Seconds a study may take."
)
@click.option(
    "--table", type=click.Choice(["auto", "sqlite", "files"]), default="auto", show_default=True, help="Keeper of the jobs."
)
@click.option("--retry", type=click.Choice(["failed"]), help="Try again what failed before.")
@click.option(
    "--watch", type=click.FloatRange(min=1.0), metavar="SECONDS", help="Look for new studies this often, until stopped."
)
@click.option("--deadline", metavar="TIME", help="Begin nothing that will not be done by then: 07:00, 6h, 90min, or ISO 8601.")
@click.option("--deliver", "deliver_path", type=GivenPath(dir_okay=False), help="Hand results over (TOML: destinations).")
@click.option("--export", "export_dir", type=GivenPath(file_okay=False), help="Receives de-identified copies of the images.")
@click.option("--export-secret", type=GivenPath(dir_okay=False), help="File that new identifiers follow from; made if absent.")
@click.option("--export-times", is_flag=True, help="Copies keep times of day, dates are moved; perfusion needs it.")
@click.option("--json", "as_json", is_flag=True, help="Print summary.json on stdout; everything else goes to stderr.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors and how it ended.")
def command(*, sources: tuple[str, ...], out_dir: Path, as_json: bool, quiet: bool, **options: Unpack[_Options]) -> int:
    """Score many studies; run the same command again to go on where it stopped.

    SOURCE is a folder, an archive, a list (.txt) or table (.csv) of studies, a URL of an object store (s3://..., needs
    lvo[batch]) or a DICOMweb query (dicomweb+https://host/dicom-web?ModalitiesInStudy=CT&StudyDate=20260101-20260131).

    Leaves OUT/<key>/ with results.csv and .parquet, errors.csv, worklist.html, summary.json and studies/<StudyInstanceUID>/;
    another configuration or model has another key. Exit status: 0 all analysed, 1 some failed or were not begun, or nothing was
    there to score, 2 wrong usage, 3 some could not be judged; the highest of them.
    """
    from lvo.batch.batch import run_batch

    batch = _batch(sources, out_dir, options)
    try:
        with _listener(quiet=quiet) as listener:
            outcome = run_batch(batch, _engine_maker(options, batch.setup.config), listener)
    except KeyboardInterrupt:
        click.echo("Stopped: what is finished is kept and in the tables. Run the same command again to go on.", err=True)
        raise
    if as_json:
        click.echo(json.dumps({**asdict(outcome.summary), "exit_status": outcome.summary.exit_status}, indent=2))
    click.echo("\n".join(_words(outcome)), err=as_json or quiet)
    return outcome.summary.exit_status


def _batch(sources: tuple[str, ...], out_dir: Path, options: _Options) -> "Batch":
    """Check what was typed.

    Raises:
        UsageError: it is impossible.
    """
    from lvo.batch.batch import Batch
    from lvo.batch.export import secret_of
    from lvo.batch.records import Limits, Setup
    from lvo.cli.run import PARTS, read_facts
    from lvo.config import load_config
    from lvo.core.study import Role

    if "" in sources:
        msg = "a SOURCE is empty"
        raise UsageError(msg)
    export, secret = options["export_dir"], options["export_secret"]
    if export is not None and secret is None:
        msg = "--export needs --export-secret FILE: new identifiers follow from it; keep it apart from the copies"
        raise UsageError(msg)
    setup = Setup(
        studies_dir=out_dir,
        config=_with_outputs(load_config(options["config_path"]), options["outputs"]),
        clinical=read_facts(options["clinical_path"]).measurements(),
        roles=frozenset(Role(part) for part in (PARTS[options["only"]] if options["only"] else ("cta", "ctp", "ncct"))),
        limits=Limits(options["memory_mb"], options["time_limit"]),
        export_dir=export,
        export_secret=b"" if export is None or secret is None else secret_of(secret),
        export_intervals=options["export_times"],
    )
    return Batch(
        sources,
        out_dir,
        setup,
        keeper=options["table"],
        retry=options["retry"] is not None,
        watch_s=options["watch"],
        deadline=parse_deadline(options["deadline"], now=datetime.now().astimezone()),
        deliver=_deliverer(options["deliver_path"]),
    )


def _with_outputs(config: "Config", text: str) -> "Config":
    """The settings with the outputs that were asked for.

    Raises:
        UsageError: an output nobody knows.
    """
    import msgspec

    wanted = {word.strip() for word in text.split(",") if word.strip()}
    if not wanted <= set(OUTPUTS):
        msg = f"--outputs takes {', '.join(OUTPUTS)} with commas between them; got {text!r}"
        raise UsageError(msg)
    chosen = {name: name in wanted and getattr(config.outputs, name) for name in ("html", "dicom", "maps")}
    return msgspec.structs.replace(config, outputs=msgspec.structs.replace(config.outputs, **chosen))


def parse_deadline(text: str | None, *, now: datetime) -> float | None:
    """A time of day (the next one), a span from now, or a time with date, as seconds since 1970; None without one.

    Raises:
        UsageError: it is none of them, or over.
    """
    if text is None:
        return None
    span = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(h|min)", text)
    try:
        if span:
            at = now + timedelta(hours=float(span[1]) if span[2] == "h" else float(span[1]) / 60.0)
        elif re.fullmatch(r"\d{1,2}:\d{2}", text):
            hour, minute = map(int, text.split(":"))
            at = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
            at += timedelta(days=at <= now)
        else:
            at = datetime.fromisoformat(text)
            at = at if at.tzinfo else at.replace(tzinfo=now.tzinfo)
    except (ValueError, OverflowError) as error:
        msg = f"--deadline takes 07:00, 6h, 90min or 2026-03-01T07:00+00:00; got {text!r}"
        raise UsageError(msg) from error
    if at <= now:
        msg = f"--deadline {text} is over"
        raise UsageError(msg)
    return at.timestamp()


def _deliverer(path: Path | None) -> "Callable[[Path, ExitStack], Callable[..., None]] | None":
    """What opens the outbox of a batch."""
    if path is None:
        return None
    from lvo.batch.handover import handing_over
    from lvo.delivery import load_delivery

    settings = load_delivery(path)
    return lambda folder, stack: stack.enter_context(handing_over(folder, settings))


def _engine_maker(options: _Options, config: "Config") -> "Callable[[Setup], Engine]":
    """How the engine is made.

    Raises:
        UsageError: options that do not go together.
    """
    threads = config.runtime.threads
    if options["engine"] == "ray":
        from lvo.batch.ray_engine import RayEngine, RayPlan

        plan = RayPlan(options["address"], options["workers"], threads, options["gpus"])
        return lambda setup: RayEngine(setup, plan)
    if options["address"] is not None or options["gpus"]:
        msg = "--address and --gpus belong to --engine ray"
        raise UsageError(msg)
    from lvo.batch.engines import LocalEngine
    from lvo.batch.memory import slots

    fitting = slots(threads=threads, memory_mb=options["memory_mb"])
    return lambda setup: LocalEngine(setup, workers=options["workers"] or fitting)


@contextmanager
def _listener(*, quiet: bool) -> "Iterator[Quiet]":
    """A bar on a terminal, lines in a log, nothing if it is to be quiet."""
    from lvo.batch.progress import Lines, Quiet, bar

    if quiet:
        yield Quiet()
    elif sys.stderr.isatty():
        with bar() as shown:
            yield shown
    else:
        yield Lines(print_line=lambda line: click.echo(f"{time.strftime('%H:%M:%S')} {line}", err=True))


def _words(outcome: "Outcome") -> list[str]:
    """How it ended, for a person."""
    from lvo import RESEARCH_USE_ONLY

    summary = outcome.summary
    left = summary.items["queued"] + summary.items["leased"]
    share = "" if summary.positivity is None else f" ({100 * summary.positivity:.1f} % of judged angiograms)"
    calls = ", ".join(f"{n} {call.replace('_', ' ')}" for call, n in sorted(summary.calls.items())) or "no angiogram was judged"
    lines = [
        f"Studies    {summary.studies}: "
        + ", ".join(f"{n} {word.replace('_', ' ')}" for word, n in sorted(summary.status.items()))
    ]
    lines.append(f"Calls      {calls}; suspected {summary.calls.get('suspected', 0)}{share}")
    lines += [f"Unjudged   {n} x {reason}" for reason, n in list(summary.not_assessable.items())[:5]]
    places = "errors.csv says why, items.csv where they lie"
    lines += [f"FAILED     {n} x {kind}: {places}" for kind, n in sorted(summary.failed.items())]
    if left:
        why = f": {outcome.ended_by}" if outcome.ended_by else ""
        lines.append(f"NOT DONE   {left} items are left{why}; run the same command again to go on")
    if summary.seconds_p50 is not None:
        pace = "" if summary.studies_per_hour is None else f"; {summary.studies_per_hour:.0f} studies/h in this run"
        lines.append(
            f"Times      half of the studies within {summary.seconds_p50:.1f} s, 95 % within {summary.seconds_p95:.1f} s{pace}"
        )
    if summary.late:
        lines.append(f"Late       {summary.late} studies were done after they were due")
    return [*lines, f"Worklist   {outcome.folder / 'worklist.html'}", RESEARCH_USE_ONLY]
