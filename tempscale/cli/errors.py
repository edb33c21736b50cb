"""Errors that are the caller's to mend."""

from __future__ import annotations

__all__ = ["UsageError"]


class UsageError(Exception):
    """Something was asked for that cannot be done as asked; the message says what to do. Exit status 2."""
