"""The command line, ``tempscale ...``. Importing this package needs neither typer nor rich."""

from __future__ import annotations

import logging
import os
import sys

from tempscale._core import registry
from tempscale.cli.quiet import kept_back

__all__ = ["main"]

_NEEDED = ("rich", "typer")


def main() -> None:
    """Run the command line. The exit status is 2 if typer or rich is not installed."""
    # TensorFlow would write its notes and its advice on retracing into the middle of the progress bar. An error that
    # matters is an exception as well.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if sys.stderr is not None:  # which it is where standard error is closed
        registry.importing = kept_back
    try:
        from tempscale.cli.app import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        print("the command line needs typer and rich: pip install 'tempscale[cli]'", file=sys.stderr)
        sys.exit(2)
    app(prog_name="tempscale")
