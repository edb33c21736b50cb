"""NaN, infinity, ties, and derivatives where there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tempscale.facts.fact import Fact, single

__all__ = ["FACTS", "TITLE", "TOPIC"]

TOPIC, TITLE = "ties", "NaN and ties"

fact = partial(Fact, topic=TOPIC)

HOLED = single([1.0, np.nan, 2.0])
TWO_VALUES = np.arange(100) % 2


def torch_slope(torch: Any, function: Callable[[Any], Any], at: Sequence[float]) -> list[float]:
    """Return the gradient of the sum of a function."""
    x = torch.tensor(at, requires_grad=True)
    function(x).sum().backward()
    return [float(g) for g in x.grad]


def tensorflow_slope(tf: Any, function: Callable[[Any], Any], at: Sequence[float]) -> list[float]:
    """Return the gradient of the sum of a function."""
    x = tf.constant(at)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(function(x))
    return [float(g) for g in tape.gradient(total, x)]


def jax_slope(jax: Any, function: Callable[[Any], Any], at: Sequence[float]) -> list[float]:
    """Return the gradient of the sum of a function."""
    return [float(g) for g in jax.grad(lambda x: function(x).sum())(jax.numpy.asarray(at))]


def stable(order: Any) -> bool:
    """Say whether an order of the two values keeps equal ones as they were."""
    order = np.asarray(order)
    return bool(np.all(np.diff(order[:50]) > 0) and np.all(np.diff(order[50:]) > 0))


FACTS = (
    fact(
        id="argmax-nan",
        title="An argmax of a row with NaN is the place of the NaN, except in TensorFlow, which passes over it.",
        measures="the argmax of 1, NaN, 2",
        probes={
            "torch": lambda torch: int(torch.argmax(torch.tensor(HOLED))),
            "tensorflow": lambda tf: int(tf.argmax(HOLED)),
            "jax": lambda jax: int(jax.numpy.argmax(HOLED)),
            "numpy": lambda np: int(np.argmax(HOLED)),
        },
        expected={"torch": 1, "tensorflow": 2, "jax": 1, "numpy": 1},
        cost=(
            "A model that returns NaN predicts class {tensorflow} in TensorFlow and {torch} in PyTorch; its accuracy is"
            " not 0."
        ),
        equal={"tensorflow": "tf.debugging.assert_all_finite(x, 'NaN')"},
        source="https://numpy.org/doc/stable/reference/generated/numpy.argmax.html",
    ),
    fact(
        id="max-pool-nan",
        title=(
            "A max pool with a NaN in its window is NaN in PyTorch and Flax, and the largest number in TensorFlow and "
            "Keras."
        ),
        measures="the largest of 1, NaN, 2 by a max pool",
        probes={
            "torch": lambda torch: float(torch.nn.functional.max_pool1d(torch.tensor(HOLED)[None, None], 3)[0, 0, 0]),
            "keras": lambda keras: float(keras.ops.max_pool(HOLED[None, :, None], 3)[0, 0, 0]),
            "tensorflow": lambda tf: float(tf.nn.max_pool1d(HOLED[None, :, None], 3, 3, "VALID")[0, 0, 0]),
            "flax": lambda nnx: float(nnx.max_pool(HOLED[None, :, None], (3,))[0, 0, 0]),
        },
        expected={"torch": "nan", "keras": 2.0, "tensorflow": 2.0, "flax": "nan"},
        cost="{torch} in PyTorch and {tensorflow} in TensorFlow: a NaN before a pool is not seen behind it.",
        equal={"tensorflow": "tf.debugging.assert_all_finite(x, 'NaN')"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.max_pool1d.html",
    ),
    fact(
        id="sign-of-nan",
        title="The sign of NaN is 0 in PyTorch, and NaN in the others.",
        measures="the sign of NaN",
        probes={
            "torch": lambda torch: float(torch.sign(torch.tensor(np.nan))),
            "tensorflow": lambda tf: float(tf.sign(np.float32(np.nan))),
            "jax": lambda jax: float(jax.numpy.sign(np.float32(np.nan))),
            "numpy": lambda np: float(np.sign(np.nan)),
        },
        expected={"torch": 0.0, "tensorflow": "nan", "jax": "nan", "numpy": "nan"},
        cost="{torch} in PyTorch, {numpy} in NumPy: signSGD hides a NaN and goes on with one weight that stands still.",
        equal={"torch": "torch.where(x.isnan(), x, x.sign())"},
        source="https://numpy.org/doc/stable/reference/generated/numpy.sign.html",
    ),
    fact(
        id="softmax-infinity",
        title="Softmax of a row with +inf is NaN throughout in PyTorch and JAX; TensorFlow gives the others 0.",
        measures="the softmax of 1 and inf",
        probes={
            "torch": lambda torch: torch.softmax(torch.tensor([1.0, np.inf]), 0),
            "tensorflow": lambda tf: tf.nn.softmax(single([1.0, np.inf])),
            "jax": lambda jax: jax.nn.softmax(single([1.0, np.inf])),
        },
        expected={"torch": ["nan", "nan"], "tensorflow": [0.0, "nan"], "jax": ["nan", "nan"]},
        cost="{torch} in PyTorch and {tensorflow} in TensorFlow, where a check of the first entry finds nothing.",
        equal={"tensorflow": "tempscale.softmax(x)  # one rule in all: the whole row is NaN"},
        source="https://www.tensorflow.org/api_docs/python/tf/nn/softmax",
    ),
    fact(
        id="top-k-ties",
        title="Among equals, top-k takes the first in TensorFlow and JAX; PyTorch promises none.",
        measures="whether the three largest of 64 equal numbers are the first three",
        probes={
            "torch": lambda torch: torch.topk(torch.zeros(64), 3).indices.tolist() == [0, 1, 2],
            "tensorflow": lambda tf: tf.math.top_k(tf.zeros(64), 3).indices.numpy().tolist() == [0, 1, 2],
            "jax": lambda jax: jax.lax.top_k(jax.numpy.zeros(64), 3)[1].tolist() == [0, 1, 2],
        },
        expected={"torch": False, "tensorflow": True, "jax": True},
        cost=(
            "The first three: {torch} in PyTorch, {jax} in the others. Another beam, another token, from equal logits."
        ),
        equal={"torch": "torch.sort(x, descending=True, stable=True).indices[:3]"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.topk.html",
    ),
    fact(
        id="sort-stability",
        title="argsort keeps the order of equals in JAX and TensorFlow; in NumPy it does not by default.",
        defaults={
            "torch": "torch.argsort(stable)",
            "tensorflow": "tensorflow.argsort(stable)",
            "jax": "jax.numpy.argsort(stable)",
            "numpy": "numpy.argsort(kind)",
        },
        measures="whether equals of 0, 1, 0, 1, ... keep their order",
        probes={
            "torch": lambda torch: stable(torch.argsort(torch.tensor(TWO_VALUES))),
            "tensorflow": lambda tf: stable(tf.argsort(TWO_VALUES)),
            "jax": lambda jax: stable(jax.numpy.argsort(TWO_VALUES)),
            "numpy": lambda np: stable(np.argsort(TWO_VALUES)),
        },
        expected={"torch": False, "tensorflow": True, "jax": True, "numpy": False},
        cost=(
            "In order: {jax} in JAX, {torch} in PyTorch, {numpy} in NumPy: sorted by length, a data set has another "
            "order."
        ),
        equal={"numpy": "numpy.argsort(x, kind='stable')", "torch": "torch.argsort(x, stable=True)"},
        source="https://numpy.org/doc/stable/reference/generated/numpy.sort.html",
    ),
    fact(
        id="maximum-slope",
        title=(
            "Where both are equal, the gradient of a maximum is halved in PyTorch and JAX, and goes to the first in "
            "TensorFlow."
        ),
        measures="the slope of max(x, 0) at x = 0",
        probes={
            "torch": lambda torch: torch_slope(torch, lambda x: torch.maximum(x, torch.zeros(1)), [0.0])[0],
            "torch relu": lambda torch: torch_slope(torch, torch.relu, [0.0])[0],
            "tensorflow": lambda tf: tensorflow_slope(tf, lambda x: tf.maximum(x, 0.0), [0.0])[0],
            "tensorflow relu": lambda tf: tensorflow_slope(tf, tf.nn.relu, [0.0])[0],
            "jax": lambda jax: jax_slope(jax, lambda x: jax.numpy.maximum(x, 0.0), [0.0])[0],
            "jax relu": lambda jax: jax_slope(jax, jax.nn.relu, [0.0])[0],
        },
        expected={
            "torch": 0.5,
            "torch relu": 0.0,
            "tensorflow": 1.0,
            "tensorflow relu": 0.0,
            "jax": 0.5,
            "jax relu": 0.0,
        },
        cost=(
            "At 0 the slope is {torch} in PyTorch, {tensorflow} in TensorFlow, and {torch relu} of relu in all: dead "
            "units come alive."
        ),
        equal={"torch": "torch.relu(x)", "tensorflow": "tf.nn.relu(x)", "jax": "jax.nn.relu(x)"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.maximum.html",
    ),
    fact(
        id="clip-slope",
        title="At its limit a clip passes the gradient on in PyTorch and TensorFlow, and half of it in JAX.",
        measures="the slope of clip(x, 0, 1) at x = 1",
        probes={
            "torch": lambda torch: torch_slope(torch, lambda x: torch.clamp(x, 0.0, 1.0), [1.0])[0],
            "tensorflow": lambda tf: tensorflow_slope(tf, lambda x: tf.clip_by_value(x, 0.0, 1.0), [1.0])[0],
            "jax": lambda jax: jax_slope(jax, lambda x: jax.numpy.clip(x, 0.0, 1.0), [1.0])[0],
        },
        expected={"torch": 1.0, "tensorflow": 1.0, "jax": 0.5},
        cost=(
            "{torch} in PyTorch, {tensorflow} in TensorFlow, {jax} in JAX: weights that sit at a limit leave it at half"
            " speed."
        ),
        equal={"jax": "jax.numpy.where((x >= 0) & (x <= 1), x, jax.lax.stop_gradient(jax.numpy.clip(x, 0, 1)))"},
        source="https://docs.jax.dev/en/latest/_autosummary/jax.numpy.clip.html",
    ),
    fact(
        id="max-slope",
        title="The gradient of a largest entry that occurs twice is shared, but not by PyTorch's max with an axis.",
        measures="the gradient of the maximum of 1, 1",
        probes={
            "torch amax": lambda torch: torch_slope(torch, torch.amax, [1.0, 1.0]),
            "torch max": lambda torch: torch_slope(torch, lambda x: x.max(0).values, [1.0, 1.0]),
            "tensorflow": lambda tf: tensorflow_slope(tf, tf.reduce_max, [1.0, 1.0]),
            "jax": lambda jax: jax_slope(jax, lambda x: x.max(), [1.0, 1.0]),
        },
        expected={"torch amax": [0.5, 0.5], "torch max": [1.0, 0.0], "tensorflow": [0.5, 0.5], "jax": [0.5, 0.5]},
        cost="{torch max} with max(dim) in PyTorch, {torch amax} with amax and elsewhere.",
        equal={"torch": "torch.amax(x, dim)"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.amax.html",
    ),
    fact(
        id="norm-slope",
        title="The gradient of a norm at 0 is 0 in PyTorch, and NaN in TensorFlow and JAX.",
        measures="the gradient of the norm of (0, 0)",
        probes={
            "torch": lambda torch: torch_slope(torch, torch.linalg.vector_norm, [0.0, 0.0]),
            "tensorflow": lambda tf: tensorflow_slope(tf, tf.norm, [0.0, 0.0]),
            "jax": lambda jax: jax_slope(jax, jax.numpy.linalg.norm, [0.0, 0.0]),
        },
        expected={"torch": [0.0, 0.0], "tensorflow": ["nan", "nan"], "jax": ["nan", "nan"]},
        cost="{torch} in PyTorch, {tensorflow} in TensorFlow: a single pair of equal embeddings makes all weights NaN.",
        equal={
            "jax": "jax.numpy.sqrt(jax.numpy.maximum((x * x).sum(), 1e-12))",
            "tensorflow": "tf.sqrt(tf.maximum(tf.reduce_sum(x * x), 1e-12))",
        },
        source="https://docs.jax.dev/en/latest/faq.html (gradients contain NaN where using where)",
    ),
    fact(
        id="abs-slope",
        title="The slope of |x| at 0 is 0 in PyTorch and TensorFlow, and 1 in JAX.",
        measures="the slope of |x| at 0",
        probes={
            "torch": lambda torch: torch_slope(torch, torch.abs, [0.0])[0],
            "tensorflow": lambda tf: tensorflow_slope(tf, tf.abs, [0.0])[0],
            "jax": lambda jax: jax_slope(jax, jax.numpy.abs, [0.0])[0],
        },
        expected={"torch": 0.0, "tensorflow": 0.0, "jax": 1.0},
        cost=(
            "{torch} and {jax}: an L1 penalty moves weights that are exactly 0 in JAX, and leaves them sparse "
            "elsewhere."
        ),
        equal={"jax": "x * jax.numpy.sign(x)"},
        source="https://docs.jax.dev/en/latest/_autosummary/jax.numpy.abs.html",
    ),
    fact(
        id="cumulative-product-slope",
        title="The gradient of a cumulative product with zeros is wrong in TensorFlow.",
        measures="the gradient of the sum of the cumulative product of 0, 2, 3",
        probes={
            "torch": lambda torch: torch_slope(torch, lambda x: torch.cumprod(x, 0), [0.0, 2.0, 3.0]),
            "tensorflow": lambda tf: tensorflow_slope(tf, tf.math.cumprod, [0.0, 2.0, 3.0]),
            "jax": lambda jax: jax_slope(jax, jax.numpy.cumprod, [0.0, 2.0, 3.0]),
        },
        expected={"torch": [9.0, 0.0, 0.0], "tensorflow": [0.0, 0.0, 0.0], "jax": [9.0, 0.0, 0.0]},
        cost="{tensorflow} in TensorFlow where {torch} is right.",
        equal={"tensorflow": "tf.stack([tf.reduce_prod(x[: i + 1]) for i in range(n)])"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.cumprod.html",
    ),
    fact(
        id="deviation-slope",
        title="The gradient of the standard deviation of equal numbers is 0 in PyTorch, and NaN in TensorFlow and JAX.",
        measures="the gradient of the standard deviation of 1, 1",
        probes={
            "torch": lambda torch: torch_slope(torch, torch.std, [1.0, 1.0]),
            "tensorflow": lambda tf: tensorflow_slope(tf, tf.math.reduce_std, [1.0, 1.0]),
            "jax": lambda jax: jax_slope(jax, jax.numpy.std, [1.0, 1.0]),
        },
        expected={"torch": [0.0, 0.0], "tensorflow": ["nan", "nan"], "jax": ["nan", "nan"]},
        cost="{torch} in PyTorch, {jax} in JAX: one constant feature makes all weights NaN.",
        equal={"tensorflow": "tf.sqrt(tf.math.reduce_variance(x) + 1e-12)", "jax": "jax.numpy.sqrt(x.var() + 1e-12)"},
        source="https://docs.jax.dev/en/latest/faq.html (gradients contain NaN where using where)",
    ),
)
