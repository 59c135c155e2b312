"""How the program says that something went wrong: one line on standard error, exit status 1; settings 2."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def told() -> Iterator[None]:
    """Turn ticketkit's own errors, and settings that don't parse, into a line for people and an exit status."""
    from pydantic import ValidationError

    from ticketkit.backends.errors import Misconfigured
    from ticketkit.domain.errors import TicketkitError

    try:
        yield
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            name = "_".join(str(part) for part in problem["loc"]).upper()
            click.echo(f"ticketkit: TICKETKIT_{name}: {problem['msg']}", err=True)
        sys.exit(2)
    except Misconfigured as error:
        click.echo(f"ticketkit: {error}", err=True)
        sys.exit(2)
    except TicketkitError as error:
        click.echo(f"ticketkit: {error}", err=True)
        sys.exit(1)
