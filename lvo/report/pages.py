"""How every HTML page of lvo is filled in."""

import jinja2

__all__ = ["page_environment"]


def page_environment(package: str | None = None) -> jinja2.Environment:
    """Jinja that escapes everything put into a page, and refuses a name that nothing was given for.

    Args:
        package: whose folder holds the templates; none for templates in a string.
    """
    return jinja2.Environment(
        loader=None if package is None else jinja2.PackageLoader(package, ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
