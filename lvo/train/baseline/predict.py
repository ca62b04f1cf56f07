"""What a baseline says, as tables that `lvo evaluate` takes: results, and the reference that they are compared with."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lvo.core.report import Call, Side
from lvo.train.baseline.data import Example
from lvo.train.baseline.fit import BaselineState, probabilities
from lvo.train.baseline.network import PLACES, build_baseline
from lvo.train.team import join_team

__all__ = ["REFERENCE_FILE", "RESULTS_FILE", "write_tables"]

RESULTS_FILE, REFERENCE_FILE = "results.csv", "reference.csv"

_SUSPECTED = 0.5
"""As a network is trained: more likely than not. No operating point was chosen on any scan."""


def write_tables(state: BaselineState, examples: Sequence[Example], out: Path) -> tuple[Path, Path]:
    """Judge scans, and write results.csv and reference.csv.

    Args:
        state: a checkpoint.
        examples: scans with their outcome.
        out: folder, which is there.

    Returns:
        The two files; `lvo evaluate RESULTS --reference REFERENCE` compares them.
    """
    network = build_baseline(state.config.network, seed=0).to(join_team().device)
    network.load_state_dict(state.network)
    found = probabilities(network, examples, state.config)
    made_by = f"baseline {state.config.name} (no product, no evidence)"
    results = [_result(example, row, made_by, state.config.sha256) for example, row in zip(examples, found, strict=True)]
    _write(out / RESULTS_FILE, results)
    _write(out / REFERENCE_FILE, [_reference(example) for example in examples])
    return out / RESULTS_FILE, out / REFERENCE_FILE


def _result(example: Example, probability: NDArray[np.float64], made_by: str, config_sha256: str) -> dict[str, str]:
    """A row named like the keys of result.json."""
    worst = float(probability.max())
    suspected = worst >= _SUSPECTED
    both = bool(probability[:2].min() >= _SUSPECTED) and int(probability.argmax()) != PLACES.index("midline")
    side = Side.BOTH if both else Side(PLACES[int(probability.argmax())])
    return {
        "study_instance_uid": example.study,
        "cta_state": "assessed",
        "cta_lvo_call": (Call.SUSPECTED if suspected else Call.NOT_DETECTED).value,
        "cta_lvo_probability": f"{worst:.6f}",
        "cta_lvo_threshold": f"{_SUSPECTED:g}",
        "cta_lvo_side": side.value if suspected else "",
        "models": made_by,
        "config_sha256": config_sha256,
    }


def _reference(example: Example) -> dict[str, str]:
    """A row of the reference table; the evaluation leaves occlusions of arteries aside that are not covered."""
    there = example.occluded | ~example.known
    places = [name for name, is_there in zip(PLACES, there, strict=True) if is_there]
    side = "" if not places else "both" if {"left", "right"} <= set(places) else places[0]
    return {
        "study": example.study, "lvo": "1" if places else "0", "side": side, "site": example.site, "part": example.part,
    }  # fmt: skip


def _write(path: Path, rows: Sequence[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
