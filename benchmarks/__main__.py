"""The benchmarks of speed: ``python -m benchmarks``.

Each runs by itself too, as ``python -m benchmarks.sampling``, with options. `probability`, `precision`,
`exports`, `random_agreement`, `token_agreement` and `array_api` take longer, and are not among them.
"""

from __future__ import annotations

from benchmarks import accuracy, dispatch, random_bits, sampling

for benchmark in (accuracy, dispatch, sampling, random_bits):
    benchmark.main()
    print(flush=True)
