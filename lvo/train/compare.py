"""Networks side by side on the labelled scans of a manifest: the report of a fine-tuned model."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2
import numpy as np

from lvo import RESEARCH_USE_ONLY
from lvo.infer.session import open_model
from lvo.infer.window import sliding_window
from lvo.report.pages import page_environment
from lvo.train.config import load_train_config
from lvo.train.datasets.manifest import Split
from lvo.train.fit import crop_image
from lvo.train.manifest_data import crops_of, read_sources
from lvo.train.metrics import decided, score

__all__ = ["ModelRow", "compare_models", "report_page"]


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model: name and version, scans, and the mean of every metric over them."""

    model: str
    n_scans: int
    metrics: dict[str, float]


def compare_models(
    models: Sequence[Path], manifests: Sequence[Path], cache: Path | str, config: Path | str, *, split: Split = "validation"
) -> tuple[ModelRow, ...]:
    """Judge exported models on the same crops.

    Args:
        models: folders of the models.
        manifests: of `lvo data index`.
        cache: folder of crops, as `lvo train` left it.
        config: training configuration, for the box that is cropped.
        split: which scans; "test" for figures that are to be believed.

    Raises:
        InputError: a manifest cannot be read or a file changed.
        ModelError: a model cannot be opened.
    """
    settings = load_train_config(Path(config)).data
    crops = crops_of(read_sources(manifests), split, settings, Path(cache)).crops
    rows = []
    for folder in models:
        model = open_model(folder)
        contract = model.manifest.input
        scores = []
        for crop in crops:
            found = sliding_window(
                crop_image(crop, contract.window_hu), model.run, largest_kji=contract.window_kji, multiple=contract.multiple,
                n_classes=len(model.manifest.output.channels),
            )  # fmt: skip
            scores.append(score(decided(found), crop.classes))
        means = {name: float(np.mean([one[name] for one in scores])) for name in scores[0]} if scores else {}
        rows.append(ModelRow(f"{model.manifest.name} {model.manifest.version}", len(crops), means))
    return tuple(rows)


def report_page(rows: Sequence[ModelRow]) -> str:
    """The comparison as one HTML page."""
    names = list(rows[0].metrics) if rows else []
    return _template().render(rows=rows, names=names, use=RESEARCH_USE_ONLY)


@cache
def _template() -> jinja2.Template:
    return page_environment().from_string(_PAGE)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Networks on labelled scans</title>
<style>body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse}td,th{border-bottom:1px solid #ccc;padding:.3rem .7rem;text-align:left}</style></head><body>
<h1>Networks on labelled scans</h1>
<p>Means over {{ rows[0].n_scans if rows else 0 }} scans. Unlabelled bright voxels count neither way. Scans that chose a
checkpoint flatter it.</p>
<table><tr><th>metric</th>
{% for row in rows %}<th>{{ row.model }}</th>{% endfor %}</tr>
{% for name in names %}<tr><th>{{ name }}</th>
{% for row in rows %}<td>{{ "%.3f"|format(row.metrics[name]) }}</td>
{% endfor %}</tr>
{% endfor %}</table><p>{{ use }}</p></body></html>
"""
