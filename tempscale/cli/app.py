"""The commands: what can be asked, and nothing of how it is answered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tempscale import __version__
from tempscale.cli import conform as conforming
from tempscale.cli import sample as sampling
from tempscale.cli import show as showing
from tempscale.cli.errors import UsageError
from tempscale.cli.files import read_logits
from tempscale.cli.inventory import show_backends
from tempscale.cli.modules import operations_of

__all__ = ["app"]

app = typer.Typer(
    help="What a temperature does to logits: the same numbers in NumPy, PyTorch, TensorFlow and JAX.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_SELECT = "Which to run"
_DATA = "Your own data"
_OUTPUT = "What comes of it"
_Names = list[str] | None


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tempscale {__version__}")
        raise typer.Exit


@app.callback()
def tempscale(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Take the options that stand before the command."""


@contextmanager
def _usage_errors(command: str) -> Iterator[None]:
    """End the process with status 2 and a message, if what was asked for cannot be done."""
    try:
        yield
    except UsageError as error:
        # soft_wrap: a message that is piped or searched for stays on one line
        Console(stderr=True, highlight=False).print(f"tempscale {command}: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(2) from None


def _names(what: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        metavar="NAME", help=f"{what}; several with commas or repeated.", rich_help_panel=_SELECT
    )
    return option


@app.command()
def conform(
    backend: Annotated[_Names, _names("Backends")] = None,
    op: Annotated[_Names, _names("Operations")] = None,
    dtype: Annotated[_Names, _names("float16, bfloat16, float32, float64")] = None,
    mode: Annotated[_Names, _names("eager, compiled, unknown-dims, vmap, gradient, forward, second")] = None,
    device: Annotated[_Names, _names("Devices, as `tempscale backends` names them")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few compilations: three minutes.", rich_help_panel=_SELECT)
    ] = False,
    drawn: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="Elements of each operation to draw at random for the precisions; ten million.",
            show_default=False,
            rich_help_panel=_SELECT,
        ),
    ] = 10**7,
    module: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Your own module: its functions instead of tempscale's.", rich_help_panel=_SELECT
        ),
    ] = None,
    logits: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Rows of logits, .npy or .npz.", rich_help_panel=_DATA),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which array of the .npz.", rich_help_panel=_DATA),
    ] = None,
    log: Annotated[
        bool,
        typer.Option("--log", help="The file has probabilities: take their logarithm.", rich_help_panel=_DATA),
    ] = False,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all of it as JSON.", rich_help_panel=_OUTPUT)
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write JUnit XML.", rich_help_panel=_OUTPUT)
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write one page that works offline.", rich_help_panel=_OUTPUT),
    ] = None,
    allow_unavailable: Annotated[
        bool,
        typer.Option("--allow-unavailable", help="Do not fail for what is missing.", rich_help_panel=_OUTPUT),
    ] = False,
) -> None:
    """Hold every operation on every backend to its numeric contract.

    The exit status is

    - 0 if everything that was selected held,
    - 1 if something is broken,
    - 2 for a mistake in the command or a file that cannot be read,
    - 3 if something was unavailable here, unless --allow-unavailable,
    - 130 if the run was interrupted.
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
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Rows of logits, .npy or .npz.")],
    more: Annotated[list[str] | None, typer.Argument(hidden=True, metavar="T")] = None,
    temperatures: Annotated[
        list[str] | None, typer.Option(metavar="T ...", help="Temperatures; 0.2 0.7 1 2 if there are none.")
    ] = None,
    row: Annotated[int, typer.Option(metavar="N", help="Which row, counted from 0.")] = 0,
    most: Annotated[int, typer.Option(metavar="N", help="How many classes, the heaviest first.")] = 10,
    key: Annotated[str | None, typer.Option(metavar="NAME", help="Which array of the .npz.")] = None,
    log: Annotated[bool, typer.Option("--log", help="The file has probabilities: take their logarithm.")] = False,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it: .png, .svg, .pdf.")] = None,
) -> None:
    """Show what a temperature does to a row of logits.

    Cold (T below 1) sharpens the distribution, hot (T above 1) flattens it. The last line, exp of the entropy, says how
    many classes of equal probability would be as uncertain.
    """
    with _usage_errors("show"):
        # the words behind `--temperatures 0.2 0.7` that are not its own are arguments
        if more and not temperatures:
            raise UsageError(f"{more[0]!r} is one argument too many: one file, and temperatures after --temperatures")
        wanted = showing.parse_temperatures([*(temperatures or []), *(more or [])]) or (0.2, 0.7, 1.0, 2.0)
        rows = read_logits(file, key=key, log=log)
        showing.show(showing.distributions(rows, row=row, temperatures=wanted, most=most), plot=plot)


@app.command()
def sample(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Rows of logits, .npy or .npz.")],
    temperature: Annotated[float, typer.Option(metavar="T", help="At least 0; inf is the other limit.")] = 1.0,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the key; from 0 to 2^64 - 1.")] = 0,
    draws: Annotated[int, typer.Option(metavar="N", help="How many tokens of each row.")] = 1,
    backend: Annotated[_Names, typer.Option(metavar="NAME", help="Which; all that are installed otherwise.")] = None,
    compiled: Annotated[bool, typer.Option("--compiled", help="By each backend's compilers, too.")] = False,
    key: Annotated[str | None, typer.Option(metavar="NAME", help="Which array of the .npz.")] = None,
    log: Annotated[bool, typer.Option("--log", help="The file has probabilities: take their logarithm.")] = False,
) -> None:
    """Draw tokens from logits on every backend, and say whether they are identical.

    The exit status is 0 if they are, 1 if not, 2 for a mistake in the command or a file that cannot be read.
    A token of -1 is that of a row with NaN, with +inf or with nothing but -inf.
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
def backends() -> None:
    """Show which backends are installed, with versions, devices and settings, and what is missing."""
    show_backends()
