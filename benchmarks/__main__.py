"""All benchmarks: ``python -m benchmarks``."""

from __future__ import annotations

from benchmarks import accuracy, dispatch, softmax

accuracy.main()
print()
dispatch.main()
print()
softmax.main()
