"""Draw what `batch_scale.py killed` looked at: memory over the studies of a run.

python benchmarks/batch_picture.py docs/images/batch_memory.png TITLE=DIR/memory-local-plain-1000.csv TITLE=DIR/memory-ray-...
"""

import sys
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from batch_watched import Look, read_looks
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

PARTS = {
    "workers_mb": ("both workers together", "#9B1C1C", "-"),
    "engine_mb": ("Ray's own processes", "#5B2A6E", "--"),
    "runner_mb": ("the runner", "#0B5566", ":"),
}


def draw(axes: Axes, name: str, looks: list[Look]) -> None:
    """Memory of one run; a mark where a worker was killed, a line where the runner was."""
    whole = [look for look in looks if look.workers == 2]
    done = [look.done for look in whole]
    for part, (words, color, style) in PARTS.items():
        values = [getattr(look, part) for look in whole]
        if max(values) > 20.0:  # without Ray there is nothing but a helper of Python's
            axes.plot(done, values, color=color, linestyle=style, linewidth=1.6, label=words)
    pairs = list(pairwise(looks))
    kills = [after.done for before, after in pairs if after.worker_kills > before.worker_kills]
    axes.plot(kills, [12.0] * len(kills), "k^", markersize=5, label="a worker killed")
    for at in (after.done for before, after in pairs if after.runner_kills > before.runner_kills):
        axes.axvline(at, color="black", linewidth=1.0, label="the runner killed")
    axes.set(title=name, xlabel="studies done", xlim=(0, looks[-1].done))
    axes.grid(alpha=0.3)


def main() -> None:
    """One panel per run, side by side."""
    target, *runs = sys.argv[1:]
    figure, panels = plt.subplots(
        1, len(runs), figsize=(5.2 * len(runs), 3.8), sharey=True, squeeze=False, layout="constrained"
    )
    for axes, run in zip(panels[0], runs, strict=True):
        name, _, path = run.partition("=")
        draw(axes, name, read_looks(Path(path)))
    panels[0][0].set_ylabel("resident memory, MB")
    panels[0][0].set_ylim(0, None)
    lines, words = panels[0][-1].get_legend_handles_labels()
    figure.legend(lines, words, loc="outside lower center", ncols=len(words), fontsize=8)
    figure.savefig(target, dpi=110)


if __name__ == "__main__":
    main()
