"""`lvo evaluate --reproduce models/NAME`: the figures of a model's card again, from its seeds."""

from pathlib import Path

import click

from lvo.cli.boundary import FAILED

__all__ = ["REPRODUCED_FILE", "evaluate_reproduce"]

REPRODUCED_FILE = "reproduced.json"


def evaluate_reproduce(folder: Path, out: Path, *, subset: int | None, against: Path | None, workers: int) -> int:
    """Recompute, print every statement with its verdict, and leave OUT/reproduced.json.

    Args:
        folder: of the model.
        out: folder for the result, made when missing.
        subset: only so many scans of each kind.
        against: an earlier reproduced.json; that in the folder of the model when omitted, if there is one.
        workers: processes.

    Returns:
        Exit status: 0, or 1 when something that was recomputed differs.

    Raises:
        OutputError: the result cannot be written.
    """
    from lvo.train import require_extra

    require_extra()
    import msgspec

    from lvo.errors import OutputError
    from lvo.train.reproduce import compare_runs, read_reproduction, reproduce

    path = against or folder / REPRODUCED_FILE
    earlier = read_reproduction(path) if against is not None or path.exists() else None
    run = reproduce(folder, subset=subset, workers=workers, progress=lambda text: click.echo(text, err=True))
    statements = (*run.statements, *(compare_runs(run, earlier) if earlier else ()))
    try:
        out.mkdir(parents=True, exist_ok=True)
        content = msgspec.json.encode(msgspec.structs.replace(run, statements=statements))
        (out / REPRODUCED_FILE).write_bytes(msgspec.json.format(content, indent=1) + b"\n")
    except OSError as error:
        msg = f"{out} cannot be written: {error.strerror}"
        raise OutputError(msg) from error
    for one in statements:
        remark = f" ({one.remark})" if one.remark else ""
        click.echo(f"{one.verdict:15}{one.file}: {one.name}: stated {one.stated}, found {one.found or '-'}{remark}")
    counts = {verdict: sum(one.verdict == verdict for one in statements) for verdict in ("agrees", "differs", "not recomputed")}
    click.echo(f"{', '.join(f'{count} {verdict}' for verdict, count in counts.items())}; on {run.machine}")
    if counts["differs"]:
        names = ", ".join(f"{one.file}: {one.name}" for one in statements if one.verdict == "differs")
        click.echo(f"NOT REPRODUCED: {counts['differs']} of {len(statements)} statements differ ({names})", err=True)
    return FAILED if counts["differs"] else 0
