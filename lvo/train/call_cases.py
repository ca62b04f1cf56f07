"""The cases that a configuration of the call asks for, and the fit as one record."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from lvo.config import Precision
from lvo.cta.call import CallHead
from lvo.durable import replace_file
from lvo.errors import ModelError, UsageError
from lvo.infer import Manifest, Model, load_model
from lvo.infer.call_head import save_call_head
from lvo.infer.manifest import MANIFEST_FILE, manifest_toml
from lvo.train.call import CallCase, FitQuality, fit_call, fitting_seeds, measure_cases
from lvo.train.call_config import RECORD_FILE, CallConfig, ManifestCases, SyntheticCases, call_toml
from lvo.train.local_cases import measure_for_fit
from lvo.train.manifest_data import Source, read_sources

__all__ = [
    "CALL_METRICS",
    "Gathered",
    "gather",
    "keep_call",
    "keep_cases",
    "make_call",
    "open_network",
    "read_cases",
    "seeds_of",
]


CALL_METRICS = ("call_auc", "call_brier")
"""Figures of the manifest that the fit of the call leaves there."""


class Gathered(msgspec.Struct, frozen=True):
    """Measured cases, the scans that could not be used with the reason, and where the real ones come from, in words."""

    cases: tuple[CallCase, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    local: str = ""


def open_network(name: str, precision: Precision, *, root: Path | None = None) -> Model:
    """Load a network that computes in this precision indeed.

    OpenVINO takes float32 where the processor has not what is asked for, and says nothing.

    Args:
        name: of the network.
        precision: of its arithmetic.
        root: folder of models, that of the installation when omitted.

    Raises:
        ModelError: there is no such network, or this machine has not the precision.
    """
    model = load_model(name, precision=precision, root=root)
    if precision != "float32":
        contract = model.manifest.input
        size = 4 * contract.multiple
        window = np.random.default_rng(0).random((len(contract.channels), size, size, size), dtype=np.float32)
        if np.array_equal(model.run(window), load_model(name, root=root).run(window)):
            msg = f"precision = {precision!r} needs a processor that has it, this one computes in float32: use float32 here"
            raise ModelError(msg)
    return model


def gather(config: CallConfig, model: Model, *, workers: int = 2, progress: Callable[[str], None] = lambda _: None) -> Gathered:
    """Measure the cases of a configuration: synthetic ones first, then those of the manifests.

    Args:
        config: which cases.
        model: the installed network that it names, in its precision.
        workers: processes for the synthetic scans.
        progress: told a line after every case.

    Raises:
        InputError: a manifest cannot be read, or a file changed since it was indexed.
    """
    cases: tuple[CallCase, ...] = ()
    seeds = seeds_of(config)
    if seeds:
        cases = measure_cases(config.network, seeds, precision=config.precision, workers=workers, progress=progress)
    if not isinstance(config.manifests, ManifestCases):
        return Gathered(cases)
    sources = read_sources(config.manifests.paths)
    found = measure_for_fit(sources, config.manifests.splits, model, progress=progress)
    return Gathered((*cases, *found.cases), found.left_out, _about(sources))


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of measured cases: which network drew the maps of which scans."""

    network_sha256: str
    asked_sha256: str
    gathered: Gathered


def keep_cases(path: Path, gathered: Gathered, config: CallConfig, network: Manifest) -> None:
    """Write measured cases, so that another fit need not measure them again."""
    replace_file(path, msgspec.json.encode(_Kept(network.sha256, config.cases_sha256, gathered)))


def read_cases(path: Path, config: CallConfig, network: Manifest) -> Gathered:
    """Cases that were measured before, as they were.

    Raises:
        UsageError: the file holds other cases than the configuration asks for, those of another network, or no cases of this
            version.
    """
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
    except msgspec.DecodeError as error:
        msg = f"{path} holds no cases that this version measured: {error}; delete it, and they are measured"
        raise UsageError(msg) from error
    if (kept.network_sha256, kept.asked_sha256) != (network.sha256, config.cases_sha256):
        msg = f"{path} holds cases of another network or configuration; delete it or name another file, and they are measured"
        raise UsageError(msg)
    return kept.gathered


def seeds_of(config: CallConfig) -> tuple[int, ...]:
    """Seeds of the synthetic scans that a configuration asks for."""
    if not isinstance(config.synthetic, SyntheticCases):
        return ()
    wanted = config.synthetic
    return fitting_seeds(wanted.first_seed, wanted.heads, least_each=wanted.least_each)


def _about(sources: Sequence[Source]) -> str:
    """Titles and hashes of the manifests."""
    return " and ".join(f"{source.manifest.title} (manifest {source.sha256[:12]})" for source in sources)


def make_call(config: CallConfig, gathered: Gathered, network: Manifest) -> tuple[CallHead, FitQuality]:
    """Fit the call; what it was fitted on names the configuration.

    Raises:
        InputError: too few cases with or without an occlusion to fit and to check.
    """
    head, quality = fit_call(gathered.cases, network=network, how=config.fit, local=gathered.local)
    words = f"{head.fitted_on}; configuration {config.sha256[:12]}"
    return msgspec.structs.replace(head, fitted_on=words), quality


def keep_call(head: CallHead, quality: FitQuality, config: CallConfig, network: Manifest, folder: Path) -> Path:
    """Write call.json and call.toml into a folder, and the quality into the manifest of the network where that lies there.

    Returns:
        Path of call.json.
    """
    replace_file(folder / RECORD_FILE, call_toml(config).encode())
    path = save_call_head(head, folder)
    if (folder / MANIFEST_FILE).exists():
        values = (round(value, 4) for value in (quality.auc, quality.brier))
        figures = dict(zip(CALL_METRICS, values, strict=True))
        manifest = msgspec.structs.replace(network, metrics={**network.metrics, **figures})
        replace_file(folder / MANIFEST_FILE, manifest_toml(manifest).encode())
    return path
