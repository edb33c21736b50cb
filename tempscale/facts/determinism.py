"""TF32, rounding that is the compiler's or the kernel's choice, and determinism."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tempscale.facts.fact import Fact, single

__all__ = ["FACTS", "TITLE", "TOPIC"]

TOPIC, TITLE = "determinism", "TF32 and determinism"

fact = partial(Fact, topic=TOPIC)

COUNT = 2**17
TENTHS = np.full(COUNT, 0.1, np.float32)
ROWS = np.stack([TENTHS, TENTHS], axis=1)
TOTAL = float(TENTHS.astype(np.float64).sum())
THIRDS = np.arange(1, 1001, dtype=np.float32) / 7
TINY = single([1e-40])


def off(total: Any) -> float:
    """Return the relative error of a sum of the tenths, with one digit; below 1e-6 it is 0."""
    error = abs(float(total) - TOTAL) / TOTAL
    return float(f"{error:.0e}") if error >= 1e-6 else 0.0


def rounded_to_tf32(array: Any) -> Any:
    """Return float32 numbers with the 11 bits that a tensor core multiplies."""
    bits = array.view(np.uint32)
    return ((bits + 0xFFF + ((bits >> 13) & 1)) & np.uint32(0xFFFFE000)).view(np.float32)


def tf32_error(numpy: Any) -> float:
    """Return how far a product of matrices in TF32 is off, in units of its standard deviation, with one digit."""
    left, right = numpy.random.default_rng(0).standard_normal((2, 256, 256)).astype(numpy.float32)
    error = rounded_to_tf32(left).astype(float) @ rounded_to_tf32(right) - left.astype(float) @ right
    return float(f"{numpy.abs(error).max() / 16:.0e}")


def spread_of_orders(numpy: Any) -> float:
    """Return how much a sum depends on its order, relative to the sum, with one digit."""
    draws = numpy.random.default_rng(0)
    values = draws.exponential(size=10**5).astype(numpy.float32)
    totals = [numpy.cumsum(draws.permutation(values))[-1] for _ in range(20)]
    return float(f"{(max(totals) - min(totals)) / max(totals):.0e}")


def wrongly_divided(quotients: Any) -> float:
    """Return the share of quotients by 3 that are not the nearest number, in hundredths."""
    return round(float(np.mean(np.asarray(quotients) != THIRDS / np.float32(3))), 2)


def remainder(product: Any) -> bool:
    """Say whether a product, minus itself as rounded, left something: it was not rounded before it was subtracted."""
    return bool(np.any(np.asarray(product) != 0))


FACTS = (
    fact(
        id="tf32",
        title=(
            "On a GPU, float32 may be TF32: in PyTorch for convolutions, in TensorFlow for products too; JAX leaves it "
            "open."
        ),
        defaults={
            "torch": "torch.backends.cudnn.allow_tf32",
            "torch products": "torch.backends.cuda.matmul.allow_tf32",
            "tensorflow": "tensorflow.config.experimental.tensor_float_32_execution_enabled",
            "jax": "jax.config.jax_default_matmul_precision",
        },
        measures=(
            "the worst error of a 256 x 256 product with inputs rounded to TF32, over its deviation; worked out in "
            "NumPy"
        ),
        probes={"numpy": tf32_error},
        expected={"numpy": 0.001},
        cost=(
            "An entry of a product is off by up to {numpy} of its deviation where float32 has 1e-6: that looks like "
            "another model."
        ),
        equal={
            "torch": "torch.backends.cudnn.allow_tf32 = False",
            "tensorflow": "tf.config.experimental.enable_tensor_float_32_execution(False)",
            "jax": "jax.config.update('jax_default_matmul_precision', 'highest')",
        },
        source="https://docs.pytorch.org/docs/stable/notes/cuda.html#tf32-on-ampere",
    ),
    fact(
        id="deterministic-switch",
        title="Nobody asks for deterministic kernels by default; on a GPU two runs differ in the last bits.",
        defaults={
            "torch": "torch.are_deterministic_algorithms_enabled",
            "torch benchmark": "torch.backends.cudnn.benchmark",
        },
        measures=(
            "the relative spread of a float32 sum of 100000 numbers, one after another, in 20 orders, with one digit"
        ),
        probes={"numpy": spread_of_orders},
        expected={"numpy": 2e-05},
        cost="The order of a sum alone moves it by {numpy}; over thousands of steps that becomes another model.",
        equal={
            "torch": "torch.use_deterministic_algorithms(True)",
            "tensorflow": "tf.config.experimental.enable_op_determinism()",
            "jax": "os.environ['XLA_FLAGS'] = '--xla_gpu_deterministic_ops=true'",
        },
        source="https://docs.pytorch.org/docs/stable/notes/randomness.html",
    ),
    fact(
        id="cumulative-sum",
        title="A cumulative sum in float32 adds one after another in TensorFlow and NumPy; PyTorch and JAX lose less.",
        measures="the relative error of the last of 2^17 sums of 0.1, with one digit; 0 below 1e-6",
        probes={
            "torch": lambda torch: off(torch.cumsum(torch.tensor(TENTHS), 0)[-1]),
            "tensorflow": lambda tf: off(tf.cumsum(TENTHS)[-1]),
            "jax": lambda jax: off(jax.numpy.cumsum(TENTHS)[-1]),
            "numpy": lambda np: off(np.cumsum(TENTHS)[-1]),
        },
        expected={"torch": 0.0, "tensorflow": 0.001, "jax": 0.0, "numpy": 0.001},
        cost="{tensorflow} in TensorFlow, {torch} in PyTorch: top-p over a large vocabulary cuts elsewhere.",
        equal={"tensorflow": "tf.cumsum(tf.cast(x, tf.float64))", "numpy": "numpy.cumsum(x, dtype=float)"},
        source="Higham, The Accuracy of Floating Point Summation, 1993",
    ),
    fact(
        id="sum-over-rows",
        title="A float32 sum over the first axis adds one row after another in NumPy; PyTorch and JAX lose less.",
        measures="the relative error of a sum of 2^17 rows of 0.1, with one digit; 0 below 1e-6",
        probes={
            "torch": lambda torch: off(torch.tensor(ROWS).sum(0)[0]),
            "jax": lambda jax: off(jax.numpy.sum(ROWS, axis=0)[0]),
            "numpy": lambda np: off(np.sum(ROWS, axis=0)[0]),
            "numpy last axis": lambda np: off(np.sum(ROWS.T.copy(), axis=-1)[0]),
        },
        expected={"torch": 0.0, "jax": 0.0, "numpy": 0.001, "numpy last axis": 0.0},
        cost=(
            "{numpy} in NumPy, {numpy last axis} for the same numbers along the last axis: the mean of a batch depends "
            "on its layout."
        ),
        equal={"numpy": "numpy.sum(x, axis=0, dtype=float)"},
        source="https://numpy.org/doc/stable/reference/generated/numpy.sum.html (Notes)",
    ),
    fact(
        id="contracted-product",
        title="Compiled JAX may skip the rounding between a product and a sum; the others round it.",
        measures="whether a * a - (a * a as rounded) leaves something",
        probes={
            "torch": lambda torch: remainder(
                torch.tensor(THIRDS) * torch.tensor(THIRDS) - torch.tensor(THIRDS * THIRDS)
            ),
            "tensorflow": lambda tf: remainder(tf.constant(THIRDS) * THIRDS - THIRDS * THIRDS),
            "jax": lambda jax: remainder(jax.numpy.asarray(THIRDS) * THIRDS - THIRDS * THIRDS),
            "jax jit": lambda jax: remainder(jax.jit(lambda a, b: a * a - b)(THIRDS, THIRDS * THIRDS)),
            "numpy": lambda np: remainder(THIRDS * THIRDS - THIRDS * THIRDS),
        },
        expected={"torch": False, "tensorflow": False, "jax": False, "jax jit": True, "numpy": False},
        cost=(
            "Something is left: {jax jit} in jax.jit, {numpy} in NumPy. A comparison of a score with itself decides "
            "otherwise when compiled."
        ),
        equal={"jax": "a.astype('float64') * a.astype('float64') - b  # in all: the product is exact, rounded or not"},
        source="IEEE 754-2019, section 10.4",
    ),
    fact(
        id="reciprocal-division",
        title="JAX on a CPU divides by a number by multiplying with its reciprocal.",
        measures="the share of quotients by 3 that are not the nearest number",
        probes={
            "torch": lambda torch: wrongly_divided(torch.tensor(THIRDS) / 3),
            "tensorflow": lambda tf: wrongly_divided(tf.constant(THIRDS) / 3),
            "jax": lambda jax: wrongly_divided(jax.numpy.asarray(THIRDS) / 3),
            "jax jit": lambda jax: wrongly_divided(jax.jit(lambda a: a / 3)(THIRDS)),
            "numpy": lambda np: wrongly_divided(THIRDS / np.float32(3)),
        },
        expected={"torch": 0.0, "tensorflow": 0.0, "jax": 0.34, "jax jit": 0.34, "numpy": 0.0},
        cost=(
            "{jax jit} of the quotients are another float32 than in PyTorch: logits / temperature are not equal, and "
            "ties break."
        ),
        equal={"torch": "x * (1 / 3)  # in all: a product is rounded the same everywhere"},
        source="IEEE 754-2019, section 5.4.1",
    ),
    fact(
        id="subnormal-numbers",
        title="Numbers below 2^-126 are 0 in computations of TensorFlow and JAX; PyTorch and NumPy keep them.",
        measures="whether 1e-40 times 2 is more than 0",
        probes={
            "torch": lambda torch: bool((torch.tensor(TINY) * 2).numpy()[0] > 0),
            "tensorflow": lambda tf: bool((tf.constant(TINY) * 2).numpy()[0] > 0),
            "jax": lambda jax: bool(np.asarray(jax.numpy.asarray(TINY) * 2)[0] > 0),
            "numpy": lambda np: bool((TINY * np.float32(2))[0] > 0),
        },
        expected={"torch": True, "tensorflow": False, "jax": False, "numpy": True},
        cost=(
            "More than 0: {torch} in PyTorch, {jax} in JAX. A probability that is small becomes impossible, and its "
            "logarithm -inf."
        ),
        equal={"torch": "torch.set_flush_denormal(True)"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.set_flush_denormal.html",
    ),
)
