"""Options that were given and mean nothing beside the others: refused, since they would silently do nothing."""
import click
from click.core import ParameterSource


def refuse(names, wanted):
    """Raise a usage error if one of these options was given.

    Args:
        names: of the parameters.
        wanted: what they are for, and what there is instead.

    Example:

    >>> refuse(("scale", "resize"), "--data, which is not given")
    Error: --scale is for --data, which is not given. Leave --scale out.
    """
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} is for {wanted}. Leave {option} out.")
