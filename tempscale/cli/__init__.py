"""The command line, ``tempscale ...``. Importing this package needs neither typer nor rich."""

from __future__ import annotations

import logging
import os
import sys

__all__ = ["main"]

_NEEDED = ("rich", "typer")


def main() -> None:
    """Run the command line. Ends the process with status 2 if what it is made of is not installed."""
    # TensorFlow would write its notes and its advice on retracing into the middle of the progress bar.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        from tempscale.cli.app import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        print("the command line needs typer and rich: pip install 'tempscale[cli]'", file=sys.stderr)
        sys.exit(2)
    app(prog_name="tempscale")
