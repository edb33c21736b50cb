"""Random numbers from keys: counter-based, stateless, the same bits in NumPy, PyTorch, TensorFlow and JAX.

A function draws from a key, and from the same key always the same: split a key for as many more as are needed, and
use each once. `bits` and `uniform` are `jax.random.bits` and `jax.random.uniform` (Threefry-2x32-20, partitionable) bit
for bit, and so is what `key`, `split` and `fold_in` make. The other distributions have definitions of their own, in
integers or in float64 operations that IEEE 754 rounds alike everywhere; they are in the docstrings.
"""

from tempscale.random._arguments import Key
from tempscale.random._continuous import exponential, gumbel, normal, truncated_normal
from tempscale.random._integers import choice, permutation, randint
from tempscale.random._keys import fold_in, key, split
from tempscale.random._uniform import bernoulli, bits, uniform

__all__ = [
    "Key",
    "bernoulli",
    "bits",
    "choice",
    "exponential",
    "fold_in",
    "gumbel",
    "key",
    "normal",
    "permutation",
    "randint",
    "split",
    "truncated_normal",
    "uniform",
]
