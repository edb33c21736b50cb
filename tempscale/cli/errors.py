"""Errors that the user can correct."""

from __future__ import annotations

__all__ = ["UsageError"]


class UsageError(Exception):
    """A mistake in the command or its files. The message says what to do; the exit status is 2."""
