"""The commands and their options. The modules beside this one do the work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tempscale import __version__
from tempscale.cli import compare as comparing
from tempscale.cli import conform as conforming
from tempscale.cli import facts as stating
from tempscale.cli import sample as sampling
from tempscale.cli import show as showing
from tempscale.cli.errors import UsageError
from tempscale.cli.files import read_logits
from tempscale.cli.inventory import show_backends
from tempscale.cli.modules import operations_of
from tempscale.testing.conformance import DTYPES, MODES

__all__ = ["app"]

app = typer.Typer(
    help="Functions of logits and temperature, with the same numbers in NumPy, PyTorch, TensorFlow and JAX.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_SELECT = "What to run (repeat an option, or separate names by commas)"
_DATA = "Your own data"
_OUTPUT = "Results"
_Names = list[str] | None


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tempscale {__version__}")
        raise typer.Exit


@app.callback()
def tempscale(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options before the command."""


@contextmanager
def _usage_errors(command: str) -> Iterator[None]:
    """Turn a `UsageError` into a message and exit status 2."""
    try:
        yield
    except UsageError as error:
        # soft_wrap: a message that is piped or searched for stays on one line
        Console(stderr=True, highlight=False).print(f"tempscale {command}: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(2) from None


def _names(what: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        metavar="NAME", help=f"{what} (default: all).", rich_help_panel=_SELECT
    )
    return option


@app.command()
def conform(
    backend: Annotated[_Names, _names("Backends")] = None,
    op: Annotated[_Names, _names("Operations")] = None,
    dtype: Annotated[_Names, _names(f"Dtypes: {', '.join(DTYPES)}")] = None,
    mode: Annotated[_Names, _names(f"Modes: {', '.join(MODES)}")] = None,
    device: Annotated[_Names, _names("Devices, named as by `tempscale backends`")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Compile less; takes about five minutes.", rich_help_panel=_SELECT)
    ] = False,
    drawn: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="Random elements to check for each operation and precision (default: ten million).",
            show_default=False,
            rich_help_panel=_SELECT,
        ),
    ] = 10**7,
    module: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Run the functions of this module instead of tempscale's.", rich_help_panel=_SELECT
        ),
    ] = None,
    logits: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with rows of logits, .npy or .npz.", rich_help_panel=_DATA),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the array in the .npz file.", rich_help_panel=_DATA),
    ] = None,
    log: Annotated[
        bool,
        typer.Option("--log", help="The file holds probabilities; take their logarithm.", rich_help_panel=_DATA),
    ] = False,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the full report as JSON.", rich_help_panel=_OUTPUT)
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as JUnit XML.", rich_help_panel=_OUTPUT)
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the report as one HTML page that works offline.", rich_help_panel=_OUTPUT
        ),
    ] = None,
    allow_unavailable: Annotated[
        bool,
        typer.Option(
            "--allow-unavailable",
            help="Do not fail when something is not available on this machine.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
) -> None:
    """Check every operation on every backend against its numeric contract.

    Exit status:

    - 0 if every contract held
    - 1 if a contract is broken
    - 2 for a mistake in the command, or a file that cannot be read
    - 3 if something is not available on this machine, unless --allow-unavailable is given
    - 130 if the run was interrupted
    """
    with _usage_errors("conform"):
        status = conforming.conform(
            conforming.selection(backend, op, dtype, mode, device, quick=quick, drawn=drawn),
            conforming.logits(logits, key=key, log=log),
            conforming.Destinations(json=json, junit=junit, html=html),
            operations=None if module is None else operations_of(module),
            allow_unavailable=allow_unavailable,
        )
    raise typer.Exit(status)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="The model that is right, module:name; or a trace, .npz.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The model that is held to it, or its trace.")],
    given: Annotated[
        Path | None,
        typer.Option("--input", metavar="FILE", help="What both are called with: .npy, or .npz with arrays by name."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the full report as JSON.", rich_help_panel=_OUTPUT)
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the report as one HTML page that works offline.", rich_help_panel=_OUTPUT
        ),
    ] = None,
) -> None:
    """Compare two models, layer by layer, in any two frameworks: the first that differs beyond rounding, and why.

    Exit status:

    - 0 if the models are the same, up to rounding
    - 1 if a layer differs
    - 2 for a mistake in the command, a file that cannot be read, or models that cannot be compared
    - 3 if something should be looked at: it is neither clearly rounding nor clearly a mistake
    """
    with _usage_errors("compare"):
        status = comparing.compare(a, b, given=given, json=json, html=html)
    raise typer.Exit(status)


@app.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File with rows of logits, .npy or .npz.")],
    more: Annotated[list[str] | None, typer.Argument(hidden=True, metavar="T")] = None,
    temperatures: Annotated[
        list[str] | None, typer.Option(metavar="T ...", help="Temperatures to show (default: 0.2 0.7 1 2).")
    ] = None,
    row: Annotated[int, typer.Option(metavar="N", help="Row to show, counted from 0.")] = 0,
    most: Annotated[int, typer.Option(metavar="N", help="Number of classes to show, the most probable first.")] = 10,
    key: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the array in the .npz file.")] = None,
    log: Annotated[bool, typer.Option("--log", help="The file holds probabilities; take their logarithm.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw a picture as well: .png, .svg or .pdf.")
    ] = None,
) -> None:
    """Show what a temperature does to a row of logits.

    A temperature below 1 sharpens the distribution; one above 1 flattens it. The last line is exp(entropy): the
    number of equally probable classes that would be just as uncertain.
    """
    with _usage_errors("show"):
        # of `--temperatures 0.2 0.7` the first is the option's value, and the others are arguments
        if more and not temperatures:
            raise UsageError(f"unexpected argument {more[0]!r}: give one file, and temperatures after --temperatures")
        wanted = showing.parse_temperatures([*(temperatures or []), *(more or [])]) or (0.2, 0.7, 1.0, 2.0)
        rows = read_logits(file, key=key, log=log)
        showing.show(showing.distributions(rows, row=row, temperatures=wanted, most=most), plot=plot)


@app.command()
def sample(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File with rows of logits, .npy or .npz.")],
    temperature: Annotated[float, typer.Option(metavar="T", help="Temperature, from 0 to inf.")] = 1.0,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed for the random key, from 0 to 2^64 - 1.")] = 0,
    draws: Annotated[int, typer.Option(metavar="N", help="Number of tokens to draw for each row.")] = 1,
    backend: Annotated[_Names, typer.Option(metavar="NAME", help="Backends to use (default: all installed).")] = None,
    compiled: Annotated[bool, typer.Option("--compiled", help="Draw with each backend's compilers as well.")] = False,
    key: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the array in the .npz file.")] = None,
    log: Annotated[bool, typer.Option("--log", help="The file holds probabilities; take their logarithm.")] = False,
) -> None:
    """Draw tokens from logits on every backend, and say whether they are identical.

    A row that contains NaN or +inf, or only -inf, gives the token -1.

    Exit status: 0 if the tokens are identical, 1 if they differ, 2 for a mistake in the command or a file that cannot
    be read.
    """
    with _usage_errors("sample"):
        status = sampling.sample(
            read_logits(file, key=key, log=log),
            temperature=temperature,
            seed=seed,
            draws=draws,
            backends=conforming.split_names(backend, "--backend"),
            compiled=compiled,
        )
    raise typer.Exit(status)


@app.command()
def facts(
    topic: Annotated[
        str | None,
        typer.Argument(metavar="[TOPIC]", help="A topic, or the id of a fact (default: all).", show_default=False),
    ] = None,
    framework: Annotated[
        _Names, typer.Option(metavar="NAME", help="Only what is said of these libraries (default: all).")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table as Markdown.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as JSON, with the versions.")] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it as one HTML page that works offline.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Show what has changed since this JSON was written.")
    ] = None,
) -> None:
    """Show where PyTorch, Keras, TensorFlow, JAX, Flax, optax and NumPy differ, as measured here.

    Each fact has the defaults of what is installed, what a probe of a few lines measured, what it costs who overlooks
    it, and how to make them equal.

    Exit status: 0; with --against 1 if a default or a behaviour has changed; 2 for a mistake in the command, or a file
    that cannot be read or written.
    """
    with _usage_errors("facts"):
        status = stating.show_facts(
            topic,
            conforming.split_names(framework, "--framework"),
            stating.Destinations(markdown=markdown, json=json, html=html),
            against=against,
        )
    raise typer.Exit(status)


@app.command()
def backends() -> None:
    """Show the installed backends with their versions, devices and settings, and what is missing."""
    show_backends()
