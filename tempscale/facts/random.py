"""Random numbers."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tempscale.facts.fact import Fact, single

__all__ = ["FACTS", "TITLE", "TOPIC"]

TOPIC, TITLE = "random", "Random numbers"

fact = partial(Fact, topic=TOPIC)

MANY = 4096
SHARES = single([0.1, 0.9])


def finest(values: Any) -> int:
    """Return how many bits the finest of many numbers from 0 to 1 has behind the point."""
    scaled = np.asarray(values, np.float64)
    scaled = scaled[scaled >= 0.5]  # where float32 has 24 bits
    return next(bits for bits in range(53) if np.all(np.ldexp(scaled, bits) % 1 == 0))


def share(tokens: Any) -> float:
    """Return the share of ones, in tenths."""
    return round(float(np.mean(np.asarray(tokens))), 1)


def dropped(values: Any) -> float:
    """Return the share of zeros, in tenths."""
    return round(float(np.mean(np.asarray(values) == 0)), 1)


def torch_seeded(torch: Any, draw: str, *shape: int) -> Any:
    """Return draws of PyTorch with seed 0."""
    return getattr(torch, draw)(*shape, generator=torch.Generator().manual_seed(0))


def torch_dropped(torch: Any) -> float:
    """Return the share of zeros after a new dropout layer."""
    return dropped(torch.nn.Dropout()(torch.ones(MANY)))


def torch_repeats(torch: Any) -> bool:
    """Say whether a generator repeats itself."""
    generator = torch.Generator().manual_seed(0)
    return bool(torch.rand(1, generator=generator) == torch.rand(1, generator=generator))


def tensorflow_repeats(tf: Any) -> bool:
    """Say whether a generator repeats itself."""
    generator = tf.random.Generator.from_seed(0)
    return bool(generator.uniform(()) == generator.uniform(()))


def jax_repeats(jax: Any) -> bool:
    """Say whether a key repeats itself."""
    key = jax.random.key(0)
    return bool(jax.random.uniform(key) == jax.random.uniform(key))


def numpy_repeats(numpy: Any) -> bool:
    """Say whether a generator repeats itself."""
    generator = numpy.random.default_rng(0)
    return bool(generator.random() == generator.random())


def torch_in_order(torch: Any) -> bool:
    """Say whether a loader hands over 0 to 31 in order."""
    return [int(x) for x in torch.utils.data.DataLoader(range(32))] == [*range(32)]


def keras_in_order(keras: Any) -> bool:
    """Say whether a model that is fitted sees 0 to 31 in order."""
    seen: list[float] = []

    class Watching(keras.Model):  # type: ignore[misc]
        def train_step(self, data: Any) -> dict[str, Any]:
            seen.append(float(keras.ops.sum(data[0])))
            return {"loss": 0.0}

    model = Watching()
    model.compile(run_eagerly=True)
    model.fit(np.arange(32, dtype=np.float32)[:, None], np.zeros((32, 1)), batch_size=1, verbose=0)
    return seen == [*range(32)]


FACTS = (
    fact(
        id="seed",
        title="The same seed gives other numbers in each framework.",
        measures="the first uniform number of seed 0",
        probes={
            "torch": lambda torch: float(torch_seeded(torch, "rand", 1)),
            "keras": lambda keras: float(keras.random.uniform((1,), seed=0)[0]),
            "tensorflow": lambda tf: float(tf.random.Generator.from_seed(0).uniform((1,))[0]),
            "jax": lambda jax: float(jax.random.uniform(jax.random.key(0), (1,))[0]),
            "numpy": lambda np: float(np.random.default_rng(0).random()),
        },
        expected={"torch": 0.496257, "keras": 0.211015, "tensorflow": 0.311793, "jax": 0.947667, "numpy": 0.636962},
        cost=(
            "{torch:.3f}, {keras:.3f}, {tensorflow:.3f}, {jax:.3f}, {numpy:.3f}: weights, dropout and augmentation "
            "cannot be compared by seed."
        ),
        equal={"numpy": "tempscale.random.uniform(tempscale.random.key(0), (1,))  # the same bits in all"},
        source="Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011",
    ),
    fact(
        id="normal-prefix",
        title=(
            "torch.randn fills fewer than 16 numbers in another way than more: the first number depends on how many "
            "follow."
        ),
        measures="whether the first normal number of seed 0 is the same for 8 and for 16",
        probes={
            "torch": lambda torch: (
                float(torch_seeded(torch, "randn", 8)[0]) == float(torch_seeded(torch, "randn", 16)[0])
            ),
            "jax": lambda jax: bool(
                jax.random.normal(jax.random.key(0), (8,))[0] == jax.random.normal(jax.random.key(0), (16,))[0]
            ),
            "numpy": lambda np: bool(
                np.random.default_rng(0).standard_normal(8)[0] == np.random.default_rng(0).standard_normal(16)[0]
            ),
        },
        expected={"torch": False, "jax": True, "numpy": True},
        cost=(
            "The same: {torch} in PyTorch, {jax} in JAX, {numpy} in NumPy. A test with a batch of 8 sees no number that"
            " a batch of 16 sees."
        ),
        equal={"torch": "torch.randn(16)[:8]"},
        source="https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/DistributionTemplates.h",
    ),
    fact(
        id="uniform-bits",
        title="Uniform float32 numbers have 24 bits in PyTorch and NumPy, and 23 in TensorFlow and JAX.",
        measures="bits behind the point",
        probes={
            "torch": lambda torch: finest(torch_seeded(torch, "rand", MANY)),
            "tensorflow": lambda tf: finest(tf.random.Generator.from_seed(0).uniform((MANY,))),
            "jax": lambda jax: finest(jax.random.uniform(jax.random.key(0), (MANY,))),
            "numpy": lambda np: finest(np.random.default_rng(0).random(MANY, np.float32)),
        },
        expected={"torch": 24, "tensorflow": 23, "jax": 23, "numpy": 24},
        cost=(
            "{torch} and {jax} bits: an exact 0 comes once in 2^{torch} and in 2^{jax} draws, and its logarithm is "
            "-inf."
        ),
        equal={"jax": "tempscale.random.uniform(tempscale.random.key(0), shape)  # the same bits in all"},
        source="https://docs.jax.dev/en/latest/_autosummary/jax.random.uniform.html",
    ),
    fact(
        id="categorical-input",
        title="A draw of classes takes probabilities in PyTorch and NumPy, and logits in TensorFlow, Keras and JAX.",
        measures="the share of ones for the weights 0.1 and 0.9",
        probes={
            "torch": lambda torch: share(
                torch.multinomial(torch.tensor(SHARES), MANY, True, generator=torch.Generator().manual_seed(0))
            ),
            "keras": lambda keras: share(keras.random.categorical(SHARES[None], MANY, seed=0)),
            "tensorflow": lambda tf: share(tf.random.stateless_categorical(SHARES[None], MANY, (0, 0))),
            "jax": lambda jax: share(jax.random.categorical(jax.random.key(0), SHARES, shape=(MANY,))),
            "numpy": lambda np: share(np.random.default_rng(0).choice(2, MANY, p=SHARES)),
        },
        expected={"torch": 0.9, "keras": 0.7, "tensorflow": 0.7, "jax": 0.7, "numpy": 0.9},
        cost="Probabilities of 0.1 and 0.9 draw {torch} ones in PyTorch, and {jax} in JAX, without an error.",
        equal={
            "jax": "jax.random.categorical(key, jax.numpy.log(p))",
            "torch": "torch.distributions.Categorical(logits=logits)",
        },
        source="https://docs.jax.dev/en/latest/_autosummary/jax.random.categorical.html",
    ),
    fact(
        id="dropout-mode",
        title="A new dropout layer drops in PyTorch and Flax, and not in Keras.",
        defaults={
            "torch": "torch.nn.Dropout(p)",
            "keras": "keras.layers.Dropout.call(training)",
            "flax": "flax.nnx.Dropout(deterministic)",
        },
        measures="the share of zeros after a dropout of 0.5",
        probes={
            "torch": torch_dropped,
            "keras": lambda keras: dropped(keras.layers.Dropout(0.5)(np.ones(MANY, np.float32))),
            "flax": lambda nnx: dropped(nnx.Dropout(0.5, rngs=nnx.Rngs(0))(np.ones(MANY, np.float32))),
        },
        expected={"torch": 0.5, "keras": 0.0, "flax": 0.5},
        cost="{torch} of the values are dropped in PyTorch without a word about training, {keras} in Keras.",
        equal={"torch": "model.eval()", "keras": "model(x, training=True)", "flax": "model.eval()"},
        source="https://keras.io/api/layers/regularization_layers/dropout/",
    ),
    fact(
        id="repeated-draw",
        title="A second draw repeats the first one in JAX and in Keras with a seed; the others go on.",
        measures="whether two draws with the same key, seed or generator are equal",
        probes={
            "torch": torch_repeats,
            "keras": lambda keras: bool(keras.random.uniform((1,), seed=0)[0] == keras.random.uniform((1,), seed=0)[0]),
            "tensorflow": tensorflow_repeats,
            "jax": jax_repeats,
            "numpy": numpy_repeats,
        },
        expected={"torch": False, "keras": True, "tensorflow": False, "jax": True, "numpy": False},
        cost=(
            "Equal: {jax} in JAX, {torch} in PyTorch. A key that is used twice gives two layers the same weights: a "
            "correlation of 1."
        ),
        equal={"jax": "key, subkey = jax.random.split(key)", "keras": "seed = keras.random.SeedGenerator(0)"},
        source="https://docs.jax.dev/en/latest/random-numbers.html",
    ),
    fact(
        id="shuffled-by-default",
        title="Training data are shuffled by default in Keras's fit, and not by PyTorch's DataLoader.",
        defaults={"torch": "torch.utils.data.DataLoader(shuffle)", "keras": "keras.Model.fit(shuffle)"},
        measures="whether 32 numbers arrive in their order",
        probes={"torch": torch_in_order, "keras": keras_in_order},
        expected={"torch": True, "keras": False},
        cost="In order: {torch} in PyTorch, {keras} in Keras. Data that are sorted by class give batches of one class.",
        equal={"torch": "torch.utils.data.DataLoader(data, shuffle=True)", "keras": "model.fit(x, y, shuffle=False)"},
        source="https://keras.io/api/models/model_training_apis/#fit-method",
    ),
)
