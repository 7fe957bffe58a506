"""What a shell may complete, beside paths and options."""

import click


def models(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of models that begin so."""
    from hugraph.assembly.catalog import MODELS

    return [name for name in MODELS if name.startswith(incomplete)]


def components(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of components that begin so."""
    from hugraph.assembly.catalog import REGISTRIES

    names = {name for registry in REGISTRIES.values() for name in registry}
    return sorted(name for name in names if name.startswith(incomplete))
