"""Random numbers from keys: counter-based, stateless, the same bits in NumPy, PyTorch, TensorFlow and JAX.

A function draws from a key, and from the same key always the same: split a key for as many more as are needed, and
use each once. `bits` and `uniform` are `jax.random.bits` and `jax.random.uniform` (Threefry-2x32-20, partitionable) bit
for bit, and so is what `key`, `split` and `fold_in` make. The other distributions have definitions of their own, in
integers or in float64 operations that IEEE 754 rounds alike everywhere; they are in the docstrings.

These parameters and errors are the same in every function; the docstrings of the functions have what else there is.

Parameters
----------
key : Key or array
    What `key` makes, or an integer array of shape (2,) of any framework: uint32, int32 or int64 that hold the bit
    patterns of the words; or one of JAX's typed keys (threefry2x32).
shape : int or sequence of int
    Of the result, which has at most 2^32 entries.
dtype : str or dtype
    Of the result: where nothing else is said "float32", which is the default, float16, bfloat16 or float64. The default
    is the same on every framework, so that the results are.
like : array, optional
    Decides framework and device, where no array among the other arguments does; NumPy without any.

Raises
------
TypeError
    If `key` is no key, arrays of two frameworks meet, or the framework has no such dtype: 64 bits in JAX without x64.
ValueError
    If `shape` is no shape.
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
