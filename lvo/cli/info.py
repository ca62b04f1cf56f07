"""`lvo info`: what is installed, as text or JSON; loads no model."""

import json

import click


@click.command(name="info")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> None:
    """List models with hashes, configuration keys with defaults, and versions."""
    import msgspec

    from lvo import RESEARCH_USE_ONLY, __version__
    from lvo.config import Config
    from lvo.infer.registry import list_models

    document = {
        "lvo": __version__,
        "notice": RESEARCH_USE_ONLY,
        "models": [msgspec.to_builtins(manifest) for manifest in list_models()],
        "config": msgspec.to_builtins(Config()),
        "config_sha256": Config().sha256,
        "result_schema": "lvo-result/1",
    }
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    click.echo(f"lvo {__version__}\n{RESEARCH_USE_ONLY}\n\nModels")
    for manifest in list_models():
        click.echo(f"  {manifest.name} {manifest.version}  sha256 {manifest.sha256[:16]}…")
    click.echo("\nSettings (see configs/default.toml)")
    for section, keys in msgspec.to_builtins(Config()).items():
        click.echo(f"  [{section}] " + ", ".join(f"{key} = {value}" for key, value in keys.items()))
