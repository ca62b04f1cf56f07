"""Runners in processes of their own, with workers that do as the names of their items say."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start_driver(folder, keeper, count):
    """A runner in a process of its own."""
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]\n"
        "from pathlib import Path\nimport batch_fakes\n"
        "from lvo.batch.engines import LocalEngine\nfrom lvo.batch.progress import Quiet\n"
        "from lvo.batch.records import Item, Limits, Setup\nfrom lvo.batch.runner import Plan, run_jobs\n"
        "from lvo.batch.table import open_table\nfrom lvo.batch.watch import Watch\nfrom lvo.config import Config\n"
        "if __name__ == '__main__':\n"
        f"    folder = Path({str(folder)!r}); (folder / 'studies').mkdir(parents=True, exist_ok=True)\n"
        "    setup = Setup(folder / 'studies', Config(), {}, frozenset(), Limits(attempts=9))\n"
        f"    with open_table(folder, {keeper!r}) as table:\n"
        f"        table.add([Item(f'sleep:0.1:{{n}}', ('x',)) for n in range({count})])\n"
        "        engine = LocalEngine(setup, workers=2, serve=batch_fakes.serve)\n"
        "        run_jobs(table, engine, Plan(folder, setup.limits), Watch([]), Quiet())\n"
    )
    return subprocess.Popen([sys.executable, "-c", code])
