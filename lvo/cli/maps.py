"""`lvo maps`: perfusion maps for research."""

from pathlib import Path

import click

from lvo.cli.boundary import GivenPath

NOT_ASSESSABLE = 3
"""Exit status of the contract."""


@click.command(name="maps")
@click.argument("source", metavar="INPUT", type=GivenPath())
@click.option("--out", "out_dir", required=True, type=GivenPath(), help="Folder to make: new or empty.")
@click.option("--times", "times_path", type=GivenPath(), help="Times of a NIfTI file (JSON, keys as in BIDS).")
@click.option("--config", "config_path", type=GivenPath(), envvar="LVO_CONFIG", help="Settings (TOML).")
def command(*, source: Path, out_dir: Path, times_path: Path | None, config_path: Path | None) -> int:
    """Make perfusion maps of INPUT: a 4D .nii or .nii.gz file in HU, or a DICOM study with a CT perfusion.

    Leaves in OUT cbf, cbv, mtt, tmax, delay, core, hypoperfusion and brain as .nii.gz on the voxels of the input, and
    maps.json with units, methods, thresholds, curves, volumes and quality. Times come from the DICOM headers, from --times,
    from the .json file beside the NIfTI file, or from its header if that names the unit. Exit status: 0 analysed, 1 failed,
    2 wrong usage, 3 not assessable.
    """
    from lvo import RESEARCH_USE_ONLY
    from lvo.cli.folders import new_folder
    from lvo.config import load_config
    from lvo.core.outcome import Assessed
    from lvo.maps import make_maps, write_maps
    from lvo.report.words import FALLBACK_LIMIT, perfusion_headline

    config = load_config(config_path)
    with new_folder(out_dir) as folder:
        result = make_maps(source, config, times_path=times_path)
        write_maps(result, folder)
    headline = perfusion_headline(result.report)
    for words in (headline.numbers, headline.where, *headline.sentences):
        if words:
            click.echo(f"{headline.title}: {words}")
    if result.report.fallback is not None:
        click.echo(FALLBACK_LIMIT)
    click.echo(f"Maps  {out_dir}\n{RESEARCH_USE_ONLY}")
    return 0 if isinstance(result.report.perfusion, Assessed) else NOT_ASSESSABLE
