"""What frameworks write about themselves while they are imported: kept back, and shown if the import fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["kept_back"]

_FORGET, _SHOW = b"\0forget\0", b"\0show\0"

# A process of its own: it shows what was written even if the import takes this process down with it.
_KEEPER = f"""
import sys
kept = b""
while part := sys.stdin.buffer.read1():
    kept += part
    if kept.endswith({_FORGET!r}):
        sys.exit()
    if kept.endswith({_SHOW!r}):
        break
sys.stderr.buffer.write(kept.removesuffix({_SHOW!r}))
"""


@contextmanager
def kept_back() -> Iterator[None]:
    """Keep back what the block writes to standard error; show it if the block raises, or ends the process.

    By the file descriptor, because the log lines of TensorFlow come from C++, before any of its settings counts.
    """
    sys.stderr.flush()
    # a session of its own, so that Ctrl-C does not end it
    keeper = subprocess.Popen([sys.executable, "-ISc", _KEEPER], stdin=subprocess.PIPE, start_new_session=True)
    assert keeper.stdin is not None
    before, word = os.dup(2), _SHOW
    os.dup2(keeper.stdin.fileno(), 2)
    try:
        yield
        word = _FORGET
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.close(before)
        keeper.communicate(word)
