"""Items that do as they are called, a table of either kind, and a runner on top of them."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lvo.batch.engines import LocalEngine
from lvo.batch.progress import Quiet
from lvo.batch.records import Item, Limits, Setup
from lvo.batch.runner import Plan, run_jobs
from lvo.batch.table import open_table
from lvo.batch.watch import Watch
from lvo.config import Config

sys.path.insert(0, str(Path(__file__).parent))  # a worker process must find the module by its name

import batch_fakes


def item(name, **facts):
    return Item(name, (name,), **facts)


@dataclass
class Heard(Quiet):
    """Remembers what it was told."""

    rows: list = field(default_factory=list)
    said: list = field(default_factory=list)

    def ended(self, row):
        super().ended(row)
        self.rows.append(row)

    def say(self, text):
        self.said.append(text)


@dataclass
class Bench:
    """A folder with a table, and what was done in it."""

    folder: Path
    keeper: str = "sqlite"

    def setup(self, **limits):
        return Setup(self.folder / "studies", Config(), {}, frozenset(), Limits(**limits))

    def run(self, items=(), *, workers=1, engine=None, plan=None, **limits):
        """Add items and work until all is done."""
        (self.folder / "studies").mkdir(parents=True, exist_ok=True)
        setup = self.setup(**limits)
        heard = Heard()
        with open_table(self.folder, self.keeper) as table:
            table.add(items)
            engine = engine(setup) if engine else LocalEngine(setup, workers=workers, serve=batch_fakes.serve)
            why = run_jobs(table, engine, Plan(self.folder, setup.limits, **(plan or {})), Watch([]), heard)
            jobs = list(table.jobs())
        return jobs, heard, why

    def log(self):
        """What workers began and ended."""
        return batch_fakes.logged(self.folder)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "out")


@pytest.fixture(params=["sqlite", "files"])
def any_bench(request, tmp_path):
    """Once with each keeper of the table."""
    return Bench(tmp_path / "out", request.param)
