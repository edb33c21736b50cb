"""Files that a command writes."""

from __future__ import annotations

from pathlib import Path

from tempscale.cli.errors import UsageError

__all__ = ["reason", "require_writable", "write"]


def require_writable(path: Path) -> None:
    """Raise before the run if the file cannot be written, rather than lose the report after it."""
    existed = path.exists()
    try:
        path.open("a", encoding="utf-8").close()
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {reason(error)}; choose a file in an existing folder that you can write to"
        ) from error
    if not existed:
        path.unlink()


def write(path: Path, text: str) -> str:
    """Write a file. Return what went wrong, or "": the other files are written all the same."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        return reason(error)
    return ""


def reason(error: OSError) -> str:
    """Return what the system says is wrong."""
    return (error.strerror or str(error)).lower()
