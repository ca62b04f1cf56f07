"""The figures of a model's card again, from its seeds: what can be recomputed, what came out, and whether it is what is stated.

The network is not trained again. Its validation is repeated on the seeds of the manifest with the shipped model.onnx, and the
call is fitted again on the seeds that call.json names. Every scan leaves its figures with all their digits and a hash of the
map, so that two runs on the same class of machine can be compared bit for bit, on all scans or on a few.
"""

import hashlib
import multiprocessing
import platform
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
import numpy as np

from lvo.cta.call import CallHead
from lvo.durable import sha256_of
from lvo.errors import InputError, ModelError, UsageError
from lvo.infer import Manifest, Model
from lvo.infer.call_head import load_call_head
from lvo.infer.manifest import MODEL_FILE, read_manifest
from lvo.infer.registry import load_model, models_folder
from lvo.infer.window import sliding_window
from lvo.train.call import CallCase, FitQuality, fit_call, fitting_seeds, measure_cases
from lvo.train.call_cases import CALL_METRICS, Gathered, make_call, open_network, seeds_of
from lvo.train.call_config import RECORD_FILE, CallConfig, ManifestCases, read_record
from lvo.train.config import DataSettings, TrainConfig, load_train_config
from lvo.train.metrics import decided, score
from lvo.train.shards import render_crop

__all__ = ["Reproduction", "Scan", "Statement", "Verdict", "compare_runs", "read_reproduction", "reproduce"]

Verdict: TypeAlias = Literal["agrees", "differs", "not recomputed"]
CARD_FILE = "CARD.md"
_DIGITS = 4
"""The manifest states validation figures with as many."""
_LEAST_HEADS, _MOST_HEADS, _TRIED = 50, 900, 40
_OF_DETECTOR = {"carotid T and M1": "stem", "M2": "m2", "basilar": "basilar", "carotid siphon": "siphon"}
"""Names of the detectors in the card."""


class Statement(msgspec.Struct, frozen=True):
    """One thing that a model's folder says.

    Args:
        file: that says it.
        name: what it is.
        stated: in that file.
        found: now; empty when it was not recomputed.
        verdict: whether they are the same, to the digits that are stated.
        remark: why not, or what is behind it.
    """

    file: str
    name: str
    stated: str
    found: str
    verdict: Verdict
    remark: str = ""


class Scan(msgspec.Struct, frozen=True):
    """What one synthetic scan gave: figures with all digits, and the hash of the map or of the measurements."""

    use: Literal["validation", "call"]
    seed: int
    sha256: str
    figures: dict[str, float] = {}


class Reproduction(msgspec.Struct, frozen=True):
    """One run: on what machine, of which model, which scans, and what became of the statements."""

    schema: str
    machine: str
    network_sha256: str
    statements: tuple[Statement, ...]
    scans: tuple[Scan, ...]


@dataclass(frozen=True, slots=True)
class _Run:
    """How a run is done."""

    subset: int | None
    workers: int
    progress: Callable[[str], None]


def reproduce(
    folder: Path, *, subset: int | None = None, workers: int = 1, progress: Callable[[str], None] = lambda _: None
) -> Reproduction:
    """Recompute what the folder of a model states.

    Args:
        folder: as models/arteries.
        subset: only so many scans of each kind; their means are then not compared with what is stated.
        workers: processes.
        progress: told a line after every scan.

    Raises:
        ModelError: the folder is not a model, or was altered.
        UsageError: it is not where this installation looks for models.
    """
    if folder.resolve() != (models_folder() / folder.name).resolve():
        msg = f"{folder} is not among the models of this installation ({models_folder()}); put it there first"
        raise UsageError(msg)
    manifest, run = read_manifest(folder), _Run(subset, workers, progress)
    head = load_call_head(manifest, root=folder.parent)
    fitted = read_record(folder)
    statements = [*_written(folder, manifest, head, fitted)]
    settings, remark = _settings(folder, manifest)
    validation = _validation_scans(folder, manifest, settings, run)
    statements += _validation_statements(manifest, validation, whole=subset is None, remark=remark)
    why = _why_not(folder, fitted)
    cases = () if why else _call_cases(folder, head, run, fitted)
    measured = tuple(Scan("call", case.seed, _sha256(msgspec.json.encode(case))) for case in cases)
    if subset is not None:
        cases, why = (), why or "needs all of its scans"
    statements += _call_statements(folder, manifest, head, cases, fitted, why)
    return Reproduction("lvo-reproduction/1", machine_class(), manifest.sha256, tuple(statements), (*validation, *measured))


def machine_class() -> str:
    """What bits may depend on: processor, and the libraries that compute."""
    processors = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", processors.read_text(encoding="utf-8")) if processors.exists() else []
    runtimes = sorted({dist.name for dist in distributions() if dist.name.startswith("onnxruntime")})  # one of several builds
    libraries = (f"{name} {version(name)}" for name in ("numpy", "scipy", "scikit-learn", *runtimes))
    return "; ".join((names[0] if names else platform.machine(), platform.system(), *libraries))


def compare_runs(run: Reproduction, earlier: Reproduction) -> tuple[Statement, ...]:
    """Scans that both runs have, bit for bit."""
    before = {(scan.use, scan.seed): scan for scan in earlier.scans}
    same_machine = run.machine == earlier.machine
    remark = "" if same_machine else f"other machine or libraries: {earlier.machine}"
    lines = []
    for use in ("validation", "call"):
        shared = [(scan, before[scan.use, scan.seed]) for scan in run.scans if scan.use == use and (use, scan.seed) in before]
        equal = sum(now == then for now, then in shared)
        verdict: Verdict = "not recomputed" if not shared else "agrees" if equal == len(shared) else "differs"
        lines.append(Statement("earlier run", f"{use} scans, bit for bit", str(len(shared)), str(equal), verdict, remark))
    return tuple(lines)


def read_reproduction(path: Path) -> Reproduction:
    """Read what an earlier run left.

    Raises:
        InputError: it is something else.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Reproduction)
    except (OSError, msgspec.DecodeError) as error:
        msg = f"{path.name} is not a reproduced.json of `lvo evaluate --reproduce` ({type(error).__name__})"
        raise InputError(msg) from error


def _written(folder: Path, manifest: Manifest, head: CallHead, fitted: CallConfig | None) -> Iterator[Statement]:
    """What can be told without a scan: hashes, and the card against the manifest."""
    yield _same("manifest.toml", "sha256 of the network", manifest.sha256, sha256_of(folder / MODEL_FILE))
    yield _same("call.json", "network it was fitted on", head.network_sha256, manifest.sha256)
    if fitted is not None:
        stated = re.search(r"configuration ([0-9a-f]{12})", head.fitted_on)
        yield _same(RECORD_FILE, "configuration of call.json", stated[1] if stated else "none", fitted.sha256[:12])
    card = _card(folder)
    for name, value in manifest.metrics.items():
        found = re.search(rf"^\| {re.escape(name)} \| (\S+) \|$", card, flags=re.MULTILINE)
        if found:
            yield _same(CARD_FILE, f"{name}, as in the manifest", found[1], f"{value:.4g}")


def _card(folder: Path) -> str:
    try:
        return (folder / CARD_FILE).read_text(encoding="utf-8")
    except OSError:
        return ""


def _settings(folder: Path, manifest: Manifest) -> tuple[DataSettings, str]:
    """How validation scans were drawn: the configuration of the manifest's hash, or this version's where that is not here."""
    paths = sorted((folder.resolve().parent.parent / "configs" / "train").glob("*.toml"))
    known = [TrainConfig(), *map(load_train_config, paths)]
    for config in known:
        if config.sha256 == manifest.training.config_sha256:
            return config.data, ""
    spacing = msgspec.structs.replace(DataSettings(), spacing_mm=manifest.input.spacing_mm)
    return spacing, "the training configuration of the manifest is not here: this version's way of drawing was taken"


def _validation_scans(folder: Path, manifest: Manifest, settings: DataSettings, run: _Run) -> tuple[Scan, ...]:
    first, last = manifest.training.validation_seeds
    seeds = range(first, last + 1)[: run.subset]
    work = partial(_validate_one, folder, settings)
    scans = []
    for scan in _each(work, seeds, run.workers):
        scans.append(scan)
        run.progress(
            f"validation scan {scan.seed}: artery Dice {scan.figures['artery_dice']:.4f} ({len(scans)} of {len(seeds)})"
        )
    return tuple(scans)


def _each(work: Callable[[int], Scan], seeds: Sequence[int], workers: int) -> Iterator[Scan]:
    """Do the work here or in fresh processes; results in the order of the seeds."""
    if workers <= 1 or len(seeds) <= 1:
        yield from map(work, seeds)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, seeds)


def _validate_one(folder: Path, settings: DataSettings, seed: int) -> Scan:
    """Figures of one validation scan, as `lvo.train.fit.validate` takes them, by the exported network."""
    from lvo.train.fit import crop_image

    model: Model = load_model(folder.name, threads=1, root=folder.parent)
    crop, contract = render_crop(seed, settings, "cases"), model.manifest.input
    probabilities = sliding_window(
        crop_image(crop, contract.window_hu), model.run, largest_kji=contract.window_kji, multiple=contract.multiple,
        n_classes=len(model.manifest.output.channels),
    )  # fmt: skip
    codes = decided(probabilities)
    return Scan("validation", seed, _sha256(np.ascontiguousarray(codes).tobytes()), score(codes, crop.classes))


def _validation_statements(manifest: Manifest, scans: Sequence[Scan], *, whole: bool, remark: str) -> Iterator[Statement]:
    for name, stated in manifest.metrics.items():
        if name in CALL_METRICS:
            continue
        key = name.removeprefix("validation_")
        if not scans or key not in scans[0].figures:
            why = "needs the checkpoint of the training run" if name.startswith("parity") else "no such figure in this version"
            yield Statement("manifest.toml", name, f"{stated:.4g}", "", "not recomputed", why)
            continue
        mean = round(float(np.mean([scan.figures[key] for scan in scans])), _DIGITS)
        if whole:
            yield _same("manifest.toml", name, f"{stated:.{_DIGITS}f}", f"{mean:.{_DIGITS}f}", remark)
        else:
            yield Statement(
                "manifest.toml", name, f"{stated:.{_DIGITS}f}", f"{mean:.{_DIGITS}f}", "not recomputed",
                f"mean of {len(scans)} of its scans only",
            )  # fmt: skip


def _why_not(folder: Path, fitted: CallConfig | None) -> str:
    """Why the scans of the call cannot be measured here again as they were, empty where they can."""
    if fitted is None:
        return ""
    if isinstance(fitted.manifests, ManifestCases):
        return "needs the scans of its manifests: lvo calibrate --config"
    try:
        open_network(folder.name, fitted.precision, root=folder.parent)
    except ModelError as error:
        return f"its maps were made with precision = {fitted.precision!r}, which this machine cannot repeat: {error}"
    return ""


def _call_cases(folder: Path, head: CallHead, run: _Run, fitted: CallConfig | None) -> tuple[CallCase, ...]:
    """Measure the scans of the call again: those of its configuration, or of its words where there is none.

    call.json counts the scans that could be judged, and not those that could not: while too few are, the list was longer.
    """
    measured: dict[int, CallCase] = {}
    tried: set[int] = set()
    cases: tuple[CallCase, ...] = ()
    precision = "float32" if fitted is None else fitted.precision
    measure = partial(measure_cases, folder.name, precision=precision, workers=run.workers, progress=run.progress)
    for n, seeds in _lists_of(head.fitted_on) if fitted is None else [(0, seeds_of(fitted))]:
        fresh = [seed for seed in seeds[: run.subset] if seed not in tried]
        if fresh:
            measured |= {case.seed: case for case in measure(fresh)}
        tried.update(fresh)
        cases = tuple(measured[seed] for seed in seeds if seed in measured)
        if run.subset is not None or len(cases) >= n:
            break
    return cases


def _lists_of(fitted_on: str) -> Iterator[tuple[int, tuple[int, ...]]]:
    """How many scans of call.json were judged, and the lists of seeds that it may speak of, shortest first.

    It names how many were judged, the first and the last; which were drawn beyond the plain ones follows from how many were
    asked for. Nothing where its words are others.
    """
    words = re.search(r"(\d+) synthetic scans, seeds (\d+) to (\d+)", fitted_on)
    if words is None:
        return
    n, first, last = map(int, words.groups())
    start = first - first % 100
    low, high = _LEAST_HEADS, min(n, _MOST_HEADS)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if len(fitting_seeds(start, middle)) >= n else (middle + 1, high)
    for heads in range(low, min(low + _TRIED, _MOST_HEADS) + 1):
        seeds = fitting_seeds(start, heads)
        if len(seeds) >= n and seeds[-1] >= last:
            yield n, seeds


def _call_statements(
    folder: Path, manifest: Manifest, head: CallHead, cases: Sequence[CallCase], fitted: CallConfig | None, why: str = ""
) -> Iterator[Statement]:
    """The call fitted again, part by part, and the quality that manifest and card state."""
    parts = msgspec.to_builtins(head)
    del parts["network_sha256"]
    if not cases:
        for name in parts:
            yield Statement("call.json", name, _short(parts[name]), "", "not recomputed", why)
        return
    if fitted is None:
        again, quality = fit_call(cases, network=manifest)
    else:
        again, quality = make_call(fitted, Gathered(tuple(cases)), manifest)
    found = msgspec.to_builtins(again)
    for name, stated in parts.items():
        yield _same("call.json", name, _short(stated), _short(found[name]))
    for name, value in zip(CALL_METRICS, (quality.auc, quality.brier), strict=True):
        if name in manifest.metrics:
            yield _same("manifest.toml", name, f"{manifest.metrics[name]:.{_DIGITS}f}", f"{value:.{_DIGITS}f}")
    yield from _quality_statements(_card(folder), quality)


def _quality_statements(card: str, quality: FitQuality) -> Iterator[Statement]:
    """Figures of the call that the card states in words."""
    text = " ".join(card.split())
    figures = {"cross-validated AUC": quality.auc, "Brier": quality.brier}
    figures |= {words: quality.detector_auc[name] for words, name in _OF_DETECTOR.items()}
    for words, value in figures.items():
        stated = re.search(rf"{words} (0\.\d+|1\.0+)", text)
        if stated:
            digits = len(stated[1].split(".")[1])
            yield _same(CARD_FILE, words, stated[1], f"{value:.{digits}f}")


def _same(file: str, name: str, stated: str, found: str, remark: str = "") -> Statement:
    return Statement(file, name, stated, found, "agrees" if stated == found else "differs", remark)


def _short(value: object) -> str:
    """A part of the call: a number or words as they are, a detector by its hash."""
    if isinstance(value, dict):
        return f"{value['intercept']} and weights {_sha256(msgspec.json.encode(value))[:12]}"
    return str(value)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
