"""`lvo batch` seen from outside: its memory every second, workers and runner killed on the way. See `batch_scale.py`."""

import csv
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import psutil

CODE = "from lvo.cli import main\nif __name__ == '__main__':\n    main()\n"
LOOK_S = 1.0
MB = 2.0**20


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a running batch.

    Args:
        seconds: since the first one.
        runner_mb: resident memory of the command itself.
        workers_mb: of the processes that analyse, together.
        workers: how many there are.
        engine_mb: of everything else below the command: Ray's own processes and actors.
        done: studies that are finished.
        worker_kills: workers killed so far.
        runner_kills: how often the command was killed so far.
    """

    seconds: float
    runner_mb: float
    workers_mb: float
    workers: int
    engine_mb: float
    done: int
    worker_kills: int
    runner_kills: int


def command(studies: Path, out: Path, settings: Path, *, engine: str, workers: int) -> list[str]:
    """How the batch is run: only result.json is written."""
    words = [sys.executable, "-c", CODE, "batch", studies, "--out", out, "--config", settings, "--outputs", "json", "--quiet"]
    return [*map(str, words), "--engine", engine, "--workers", str(workers)]


def run_and_kill(words: list[str], out: Path, log: Path, *, n: int, kills: int) -> list[Look]:
    """Run the command to its end, killing workers evenly over its studies and the command itself in the middle.

    What was looked at is kept in `log`, so this program may be killed and started again too.
    """
    looks = read_looks(log)
    rng = random.Random(8)  # noqa: S311 - which worker is killed is no secret
    start_s = time.monotonic() - (looks[-1].seconds if looks else 0.0)
    worker_kills, runner_kills = (looks[-1].worker_kills, looks[-1].runner_kills) if looks else (0, 0)
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        runner, workers, others = _processes(process.pid)
        done = finished(out)
        if workers and worker_kills < kills and done >= (worker_kills + 0.5) * n / kills:
            rng.choice(workers).send_signal(signal.SIGKILL)
            worker_kills += 1
        elif kills and not runner_kills and done >= n // 2:
            process.kill()
            process.wait()
            runner_kills += 1
            process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        mb = [round(sum(map(_rss_mb, group)), 1) for group in (runner, workers, others)]
        kept = (done, worker_kills, runner_kills)
        looks.append(Look(round(time.monotonic() - start_s, 1), mb[0], mb[1], len(workers), mb[2], *kept))
        _append(log, looks[-1])
        time.sleep(LOOK_S)
    return looks


def read_looks(log: Path) -> list[Look]:
    """What was kept."""
    if not log.exists():
        return []
    with log.open(newline="") as file:
        kinds = {field.name: int if field.type is int else float for field in fields(Look)}
        return [Look(**{name: kinds[name](value) for name, value in line.items()}) for line in csv.DictReader(file)]


def _append(log: Path, look: Look) -> None:
    new = not log.exists()
    with log.open("a", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Look)])
        if new:
            writer.writeheader()
        writer.writerow(asdict(look))


def finished(out: Path) -> int:
    """Studies that are done: their folders are complete or absent."""
    return sum(1 for path in out.glob("*/studies/*") if not path.name.startswith("."))


def rows_of(out: Path) -> list[dict[str, object]]:
    """What the table of jobs holds."""
    (table,) = out.glob("*/jobs.sqlite")
    with sqlite3.connect(table) as connection:
        return [row for (text,) in connection.execute("SELECT rows FROM items") for row in json.loads(text)]


def check(rows: list[dict[str, object]], n: int) -> None:
    """Every study once, none failed; ends the program otherwise."""
    uids = {row["study_instance_uid"] for row in rows}
    failed = [row["error.reason"] for row in rows if row["status"] == "failed"]
    if len(rows) != n or len(uids) != n or failed:
        sys.exit(f"{len(rows)} rows of {len(uids)} studies, {n} wanted; failed: {failed[:3]}")


def _processes(pid: int) -> tuple[list[psutil.Process], list[psutil.Process], list[psutil.Process]]:
    """The command, the workers that analyse, everything else below it."""
    try:
        runner = psutil.Process(pid)
        below = runner.children(recursive=True)
    except psutil.NoSuchProcess:
        return [], [], []
    workers = [process for process in below if _is_worker(process)]
    return [runner], workers, [process for process in below if process not in workers]


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _rss_mb(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss / MB)
    except psutil.NoSuchProcess:
        return 0.0
