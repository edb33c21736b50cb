"""All benchmarks: ``python -m benchmarks``."""

from __future__ import annotations

from benchmarks import dispatch, softmax

dispatch.main()
print()
softmax.main()
