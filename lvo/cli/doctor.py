"""`lvo doctor`: can this installation run?"""

import os
from collections.abc import Callable

import click

from lvo.errors import LvoError


@click.command(name="doctor")
def command() -> int:
    """Check models, atlas and processor of this installation; exit status 1 when something is missing."""
    checks: dict[str, Callable[[], str]] = {"software": _software, "models": _models, "atlas": _atlas, "machine": _machine}
    status = 0
    for name, check in checks.items():
        try:
            click.echo(f"ok    {name}: {check()}")
        except (LvoError, ImportError, OSError) as error:
            click.echo(f"FAIL  {name}: {error}")
            status = 1
    return status


def _software() -> str:
    from lvo.report.result import software_versions

    return ", ".join(f"{name} {version}" for name, version in software_versions().items())


def _models() -> str:
    from lvo.config import Config
    from lvo.run import load_models

    used = load_models(Config()).used()
    return ", ".join(f"{model.name} {model.version} (sha256 verified)" for model in used)


def _atlas() -> str:
    from lvo.image.atlas import load_atlas

    brain = load_atlas().brain
    return f"MNI152 brain, {brain.array.sum() * brain.grid.voxel_ml:.0f} mL"


def _machine() -> str:
    return f"{os.cpu_count()} processors"
