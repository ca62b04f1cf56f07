"""Batch scoring at scale: pace, overhead, speed-up, memory over the run, and kills, with small studies and both engines.

    python benchmarks/batch_scale.py pace   --out DIR --studies 40   [--kind ctp|plain] [--engine local|ray]
    python benchmarks/batch_scale.py killed --out DIR --studies 1000 [--kind plain|ctp] [--engine local|ray] [--kills 20]

The studies: see `batch_studies.py`. One inference thread per worker. `pace` needs a quiet machine and compares, in one call,
`lvo batch` with the same studies run by `run_study` alone, with one process and with two: the second pair says what the
machine itself allows. A pace is taken while all workers work; what starting costs is given apart. `killed` may run on a busy
machine, and goes on where it stopped: it shows that every study has its row once, and how much memory was used on the way;
with `--kills 0` nothing is killed, and the same two workers do all studies.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from batch_studies import make_studies
from batch_watched import check, command, read_looks, rows_of, run_and_kill

SETTINGS = '[runtime]\nthreads = 1\ndevice = "cpu"\n'


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to go through all studies.

    Args:
        label: what it is.
        wall_s: of the whole command.
        cpu_s: processor time of all its processes; those of Ray are not all seen.
        per_study_s: wall time per study while all its workers work.
    """

    label: str
    wall_s: float
    cpu_s: float
    per_study_s: float


def steady_s(ends: list[float], workers: int) -> float:
    """Wall time per study, leaving out the first and last ones, when not all workers work yet or any more."""
    ordered, skip = sorted(ends), 2 * workers - 1
    return (ordered[-workers] - ordered[skip]) / (len(ordered) - workers - skip)


def pauses_s(rows: list[dict[str, object]], workers: int) -> list[float]:
    """From the end of a study to the beginning of the next one of the same worker, for all but the first of each worker.

    A row tells when its study ended and how many seconds it took, not who did it: the n-th beginning after the first ones
    follows the n-th end.
    """
    ends = [float(str(row["ended_at"])) for row in rows]
    starts = [end - float(str(row["seconds"])) for end, row in zip(ends, rows, strict=True)]
    return [start - end for start, end in zip(sorted(starts)[workers:], sorted(ends), strict=False)]


def alone(studies: Path, out: Path, settings: Path, *, processes: int) -> Arm:
    """As many plain processes, each with its share of the studies."""
    shutil.rmtree(out, ignore_errors=True)
    script = str(Path(__file__).with_name("batch_studies.py"))
    words = [sys.executable, script, str(studies), str(out), str(settings), "--of", str(processes)]
    start, start_cpu = time.perf_counter(), _children_cpu_s()
    running = [subprocess.Popen([*words, "--part", f"{n}"], stdout=subprocess.PIPE) for n in range(processes)]
    ends = [end for process in running for end in json.loads(process.communicate()[0])]
    took_s, cpu_s = time.perf_counter() - start, _children_cpu_s() - start_cpu
    return Arm(f"`run_study` alone, {processes} process(es)", took_s, cpu_s, steady_s(ends, processes))


def batch(studies: Path, out: Path, settings: Path, *, engine: str, workers: int) -> Arm:
    """`lvo batch`."""
    shutil.rmtree(out, ignore_errors=True)
    n = sum(1 for _ in studies.glob("[0-9]*"))
    start, start_cpu = time.perf_counter(), _children_cpu_s()
    words = command(studies, out, settings, engine=engine, workers=workers)
    subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    took_s, cpu_s = time.perf_counter() - start, _children_cpu_s() - start_cpu
    rows = rows_of(out)
    check(rows, n)
    pauses = pauses_s(rows, workers)
    middle, most = (1000 * float(np.quantile(pauses, share)) for share in (0.5, 0.95))
    of_study_s = float(np.median([float(str(row["seconds"])) for row in rows]))
    share = 0.1 * middle / of_study_s
    print(
        f"{workers} worker(s): {middle:.0f} ms between two studies, 95 % within {most:.0f}; {share:.1f} % of {of_study_s:.2f} s"
    )
    ends = [float(str(row["ended_at"])) for row in rows]
    return Arm(f"`lvo batch --engine {engine} --workers {workers}`", took_s, cpu_s, steady_s(ends, workers))


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def pace(asked: argparse.Namespace, studies: Path, settings: Path) -> None:
    """Print what every arm took, and the two ratios that are wanted."""
    arms = []
    for workers in (1, 2):
        arms.append(alone(studies, asked.out / "alone", settings, processes=workers))
        print(arms[-1], flush=True)
        arms.append(batch(studies, asked.out / "paced", settings, engine=asked.engine, workers=workers))
        print(arms[-1], flush=True)
    print(f"\n| {asked.studies} {asked.kind} studies | s per study | studies/h | wall s, all | CPU s, all |")
    print("|---|--:|--:|--:|--:|")
    for arm in arms:
        print(f"| {arm.label} | {arm.per_study_s:.3f} | {3600 / arm.per_study_s:.0f} | {arm.wall_s:.1f} | {arm.cpu_s:.1f} |")
    one, batch_one, two, batch_two = (arm.per_study_s for arm in arms)
    extra_one, extra_two = 100 * (batch_one / one - 1), 100 * (batch_two / two - 1)
    print(f"overhead per study: {extra_one:+.1f} % with 1 worker, {extra_two:+.1f} % with 2")
    print(f"speed-up from 1 to 2: {batch_one / batch_two:.2f}; of two processes without lvo batch: {one / two:.2f}")


def killed(asked: argparse.Namespace, studies: Path, settings: Path) -> None:
    """Print rows, kills and memory."""
    name = f"{asked.engine}-{asked.kind}-{asked.studies}-{asked.kills}"
    out, log = asked.out / f"killed-{name}", asked.out / f"memory-{name}.csv"
    words = command(studies, out, settings, engine=asked.engine, workers=2)
    run_and_kill(words, out, log, n=asked.studies, kills=asked.kills)
    rows = rows_of(out)
    check(rows, asked.studies)
    looks = read_looks(log)
    again = sum(int(str(row["attempts"])) - 1 for row in rows)
    print(f"{name}: {len(rows)} of {asked.studies} rows; {looks[-1].worker_kills} workers and {looks[-1].runner_kills} runner")
    print(f"killed, {again} studies begun again; {looks[-1].seconds:.0f} s. Memory in MB, medians of the fifths of the run:")
    for part in ("runner_mb", "workers_mb", "engine_mb"):
        found = [getattr(look, part) for look in looks if look.workers == 2]
        print(
            part,
            "(both workers)" * (part == "workers_mb"),
            *(f"{np.median(fifth):.0f}" for fifth in np.array_split(found, 5)),
            f"most {max(found):.0f}",
        )


def main() -> None:
    """Make the studies and go."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["pace", "killed", "make"])
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--kind", choices=["plain", "ctp"], default="plain")
    parser.add_argument("--engine", choices=["local", "ray"], default="local")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    studies, settings = asked.out / f"in-{asked.kind}-{asked.studies}", asked.out / "settings.toml"
    make_studies(studies, asked.studies, asked.kind)
    settings.write_text(SETTINGS)
    if asked.what != "make":
        (pace if asked.what == "pace" else killed)(asked, studies, settings)


if __name__ == "__main__":
    main()
