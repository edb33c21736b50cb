"""Losses, and how they and the statistics reduce."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tempscale.facts.fact import Fact, single

__all__ = ["FACTS", "TITLE", "TOPIC"]

TOPIC, TITLE = "losses", "Losses and reductions"

fact = partial(Fact, topic=TOPIC)

LOGITS = single([[2.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
LABELS = np.asarray([0, 1])
WEIGHTS = single([1.0, 3.0, 1.0])
SQUARE = single([[[0, 2, 0], [0, 0, 0], [0, 0, 0]]])
P = single([[0.5, 0.5], [0.5, 0.5]])
Q = single([[0.25, 0.75], [0.75, 0.25]])


def keras_kl(keras: Any) -> float:
    """Return the mean KL divergence of P from Q."""
    return float(keras.losses.KLDivergence()(P, Q))


def torch_kl(torch: Any, reduction: str) -> float:
    """Return the KL divergence of P from Q."""
    return float(torch.nn.KLDivLoss(reduction=reduction)(torch.tensor(Q).log(), torch.tensor(P)))


def torch_cross_entropy(torch: Any, labels: Any, **options: Any) -> float:
    """Return the mean cross-entropy of the logits."""
    loss = torch.nn.functional.cross_entropy
    return float(loss(torch.tensor(LOGITS), torch.tensor(labels), **options))


def keras_cross_entropy(keras: Any, labels: Any, **options: Any) -> float:
    """Return the mean cross-entropy of the logits."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return float(loss(labels, LOGITS, **options))


def optax_cross_entropy(optax: Any, labels: Any) -> float:
    """Return the mean cross-entropy of the logits."""
    return float(optax.softmax_cross_entropy_with_integer_labels(LOGITS, labels).mean())


def torch_square(torch: Any) -> float:
    """Return the loss of three places and three classes."""
    return float(torch.nn.functional.cross_entropy(torch.tensor(SQUARE), torch.zeros(1, 3, dtype=torch.int64)))


def keras_square(keras: Any) -> float:
    """Return the loss of three places and three classes."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return float(loss(np.zeros((1, 3), int), SQUARE))


def optax_square(optax: Any) -> float:
    """Return the loss of three places and three classes."""
    return float(optax.softmax_cross_entropy_with_integer_labels(SQUARE, np.zeros((1, 3), int)).mean())


FACTS = (
    fact(
        id="cross-entropy-input",
        title="Cross-entropy takes logits in PyTorch and optax, and probabilities in Keras.",
        defaults={
            "keras": "keras.losses.SparseCategoricalCrossentropy(from_logits)",
            "torch": "torch.nn.CrossEntropyLoss(reduction)",
        },
        measures="the loss of logits (2, 0, 0) and (0, 0, 1) for labels 0 and 1",
        probes={
            "torch": lambda torch: torch_cross_entropy(torch, LABELS),
            "keras": lambda keras: float(keras.losses.SparseCategoricalCrossentropy()(LABELS, LOGITS)),
            "optax": lambda optax: optax_cross_entropy(optax, LABELS),
        },
        expected={"torch": 0.895495, "keras": 8.05905, "optax": 0.895495},
        cost=(
            "Logits that are given as probabilities have a loss of {keras:.2f} where {torch:.2f} is meant, and no "
            "error."
        ),
        equal={"keras": "keras.losses.SparseCategoricalCrossentropy(from_logits=True)"},
        source="https://keras.io/api/losses/probabilistic_losses/",
    ),
    fact(
        id="weighted-mean",
        title="The mean of weighted losses divides by the sum of the weights in PyTorch, and by their number in Keras.",
        defaults={"torch": "torch.nn.CrossEntropyLoss(weight, reduction)", "keras": "keras.losses.Loss(reduction)"},
        measures="the cross-entropy of two rows, the second of weight 3",
        probes={
            "torch": lambda torch: torch_cross_entropy(torch, LABELS, weight=torch.tensor(WEIGHTS)),
            "keras": lambda keras: keras_cross_entropy(keras, LABELS, sample_weight=WEIGHTS[LABELS]),
        },
        expected={"torch": 1.22347, "keras": 2.44694},
        cost="With weights 1 and 3 the loss, and each gradient, is {torch:.4f} in PyTorch and {keras:.4f} in Keras.",
        equal={
            "keras": "keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction='mean_with_sample_weight')"
        },
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html",
    ),
    fact(
        id="ignored-label",
        title="The label -100 is left out by PyTorch, and is an error or NaN elsewhere.",
        defaults={
            "torch": "torch.nn.CrossEntropyLoss(ignore_index)",
            "keras": "keras.losses.SparseCategoricalCrossentropy(ignore_class)",
        },
        measures="the cross-entropy with labels 0 and -100",
        probes={
            "torch": lambda torch: torch_cross_entropy(torch, np.asarray([0, -100])),
            "keras": lambda keras: keras_cross_entropy(keras, np.asarray([0, -100])),
            "optax": lambda optax: optax_cross_entropy(optax, np.asarray([0, -100])),
        },
        expected={"torch": 0.239545, "keras": "raises InvalidArgumentError", "optax": "nan"},
        cost="PyTorch returns {torch:.4f}, the loss of the first row; Keras {keras}, optax {optax}.",
        equal={
            "keras": "keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-100)",
            "optax": "optax.softmax_cross_entropy_with_integer_labels(logits, labels, where=labels != -100)",
        },
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html (ignore_index)",
    ),
    fact(
        id="class-axis",
        title="Cross-entropy's classes are axis 1 in PyTorch, and the last axis in Keras and optax.",
        defaults={
            "keras": "keras.losses.CategoricalCrossentropy(axis)",
            "optax": "optax.softmax_cross_entropy_with_integer_labels(axis)",
        },
        measures="the loss of logits of shape (1, 3, 3), 2 where row 0 meets column 1, for labels 0",
        probes={
            "torch": torch_square,
            "keras": keras_square,
            "optax": optax_square,
        },
        expected={"torch": 0.812257, "keras": 1.47892, "optax": 1.47892},
        cost=(
            "Where there are as many places as classes nothing is refused: the loss of the same logits is {torch:.3f} "
            "in PyTorch, {keras:.3f} in Keras."
        ),
        equal={"torch": "torch.nn.functional.cross_entropy(logits.movedim(-1, 1), labels)"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html (Shape)",
    ),
    fact(
        id="kl-mean",
        title=(
            "KLDivLoss(reduction='mean') divides by rows and classes in PyTorch; 'batchmean' and Keras divide by rows."
        ),
        defaults={"torch": "torch.nn.KLDivLoss(reduction)", "keras": "keras.losses.KLDivergence(reduction)"},
        measures="the divergence of two rows of two classes",
        probes={
            "torch mean": lambda torch: torch_kl(torch, "mean"),
            "torch batchmean": lambda torch: torch_kl(torch, "batchmean"),
            "keras": keras_kl,
        },
        expected={"torch mean": 0.0719205, "torch batchmean": 0.143841, "keras": 0.143841},
        cost=(
            "{torch mean:.4f} by default in PyTorch where the divergence is {keras:.4f}: less by the number of classes."
        ),
        equal={"torch": "torch.nn.KLDivLoss(reduction='batchmean')"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html",
    ),
    fact(
        id="binary-clip",
        title="Binary cross-entropy of a probability of 0 is 100 in PyTorch and 16 in Keras.",
        defaults={"keras": "keras.config.epsilon"},
        measures="the loss of probability 0 for label 1",
        probes={
            "torch": lambda torch: float(torch.nn.BCELoss()(torch.zeros(1), torch.ones(1))),
            "keras": lambda keras: float(keras.losses.BinaryCrossentropy()(single([[1.0]]), single([[0.0]]))),
        },
        expected={"torch": 100.0, "keras": 16.1181},
        cost=(
            "One such row in a batch adds {torch:.0f} in PyTorch, which clips the logarithm, and {keras:.1f} in Keras, "
            "which clips the probability."
        ),
        equal={"torch": "torch.nn.BCEWithLogitsLoss()", "keras": "keras.losses.BinaryCrossentropy(from_logits=True)"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html",
    ),
    fact(
        id="squared-error",
        title="optax.l2_loss is half of the squared error, and reduces nothing.",
        defaults={"torch": "torch.nn.MSELoss(reduction)", "keras": "keras.losses.MeanSquaredError(reduction)"},
        measures="the losses of errors 1 and 3",
        probes={
            "torch": lambda torch: torch.nn.MSELoss()(torch.tensor([1.0, 3.0]), torch.zeros(2)),
            "keras": lambda keras: keras.losses.MeanSquaredError()(single([1, 3]), single([0, 0])),
            "optax l2_loss": lambda optax: optax.l2_loss(single([1, 3])),
            "optax squared_error": lambda optax: optax.squared_error(single([1, 3])),
        },
        expected={"torch": 5.0, "keras": 5.0, "optax l2_loss": [0.5, 4.5], "optax squared_error": [1.0, 9.0]},
        cost="Errors of 1 and 3 give {torch} in PyTorch and Keras, {optax l2_loss} in optax.l2_loss.",
        equal={"optax": "optax.squared_error(predictions, targets).mean()"},
        source="https://optax.readthedocs.io/en/latest/api/losses.html#optax.losses.l2_loss",
    ),
    fact(
        id="poisson-input",
        title="The Poisson loss takes the logarithm of the rate in PyTorch, and the rate in Keras.",
        defaults={"torch": "torch.nn.PoissonNLLLoss(log_input)"},
        measures="the loss of a prediction of 0.5 for a count of 1",
        probes={
            "torch": lambda torch: float(torch.nn.PoissonNLLLoss()(torch.tensor([0.5]), torch.ones(1))),
            "keras": lambda keras: float(keras.losses.Poisson()(single([[1.0]]), single([[0.5]]))),
        },
        expected={"torch": 1.14872, "keras": 1.19315},
        cost="{torch:.3f} in PyTorch and {keras:.3f} in Keras, with another minimum: log(count) and count.",
        equal={"torch": "torch.nn.PoissonNLLLoss(log_input=False)"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.PoissonNLLLoss.html",
    ),
    fact(
        id="cosine-sign",
        title="The cosine loss is -cos in Keras, and 1 - cos in PyTorch and optax.",
        defaults={"keras": "keras.losses.CosineSimilarity(axis)", "optax": "optax.cosine_distance(epsilon)"},
        measures="the loss of two equal vectors",
        probes={
            "torch": lambda torch: float(
                torch.nn.CosineEmbeddingLoss()(torch.ones(1, 4), torch.ones(1, 4), torch.ones(1))
            ),
            "keras": lambda keras: float(
                keras.losses.CosineSimilarity()(np.ones((1, 4), np.float32), np.ones((1, 4), np.float32))
            ),
            "optax": lambda optax: float(optax.cosine_distance(np.ones(4, np.float32), np.ones(4, np.float32))),
        },
        expected={"torch": 0.0, "keras": -1.0, "optax": 0.0},
        cost="A perfect fit has a loss of {torch:.0f} in PyTorch and {keras:.0f} in Keras; the gradients are equal.",
        equal={"keras": "1 + keras.losses.CosineSimilarity()(a, b)"},
        source="https://keras.io/api/losses/regression_losses/#cosinesimilarity-class",
    ),
    fact(
        id="hinge-labels",
        title="The hinge loss turns labels 0 into -1 in Keras; in optax a 0 stays a 0.",
        measures="the loss of a score of 0.5 for label 0",
        probes={
            "keras": lambda keras: float(keras.losses.Hinge()(single([[0.0]]), single([[0.5]]))),
            "optax": lambda optax: float(optax.hinge_loss(single([0.5]), single([0.0]))[0]),
        },
        expected={"keras": 1.5, "optax": 1.0},
        cost=(
            "A wrong score of 0.5 costs {keras} in Keras, {optax} in optax, as any score does: nothing learns from "
            "label 0."
        ),
        equal={"optax": "optax.hinge_loss(scores, 2 * labels - 1)"},
        source="https://keras.io/api/losses/hinge_losses/",
    ),
    fact(
        id="deviation-correction",
        title="The standard deviation divides by n - 1 in PyTorch, and by n in NumPy, TensorFlow, Keras and JAX.",
        defaults={
            "torch": "torch.std(correction)",
            "numpy": "numpy.std(ddof)",
            "jax": "jax.numpy.std(ddof)",
        },
        measures="the standard deviation of 0 and 2",
        probes={
            "torch": lambda torch: float(torch.std(torch.tensor([0.0, 2.0]))),
            "keras": lambda keras: float(keras.ops.std(single([0, 2]))),
            "tensorflow": lambda tf: float(tf.math.reduce_std([0.0, 2.0])),
            "jax": lambda jax: float(jax.numpy.std(jax.numpy.asarray([0.0, 2.0]))),
            "numpy": lambda np: float(np.std([0.0, 2.0])),
        },
        expected={"torch": 1.41421, "keras": 1.0, "tensorflow": 1.0, "jax": 1.0, "numpy": 1.0},
        cost="Of 0 and 2 it is {torch:.3f} in PyTorch and {numpy:.3f} elsewhere; of one value NaN and 0.",
        equal={"torch": "torch.std(x, correction=0)", "numpy": "numpy.std(x, ddof=1)"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.std.html",
    ),
    fact(
        id="median-of-even",
        title=(
            "The median of an even number of values is the lower one of two in PyTorch, and their mean in NumPy and "
            "JAX."
        ),
        measures="the median of 1, 2, 3, 4",
        probes={
            "torch": lambda torch: float(torch.median(torch.tensor([1.0, 2.0, 3.0, 4.0]))),
            "keras": lambda keras: float(keras.ops.median(single([1, 2, 3, 4]))),
            "jax": lambda jax: float(jax.numpy.median(jax.numpy.asarray([1.0, 2.0, 3.0, 4.0]))),
            "numpy": lambda np: float(np.median([1.0, 2.0, 3.0, 4.0])),
        },
        expected={"torch": 2.0, "keras": 2.5, "jax": 2.5, "numpy": 2.5},
        cost="Of 1, 2, 3, 4 it is {torch} in PyTorch and {numpy} in NumPy: the lower one of the two in the middle.",
        equal={"torch": "torch.quantile(x, 0.5)"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.median.html",
    ),
    fact(
        id="loss-reduction",
        title="A loss is a mean over the batch in PyTorch and Keras, and one number for each example in optax.",
        defaults={"torch": "torch.nn.HuberLoss(reduction)", "keras": "keras.losses.Huber(reduction)"},
        measures="the shape of the Huber loss of four values",
        probes={
            "torch": lambda torch: torch.nn.HuberLoss()(torch.ones(4), torch.zeros(4)).shape,
            "keras": lambda keras: keras.losses.Huber()(np.ones(4, np.float32), np.zeros(4, np.float32)).shape,
            "keras function": lambda keras: (
                keras.losses.huber(np.ones((4, 1), np.float32), np.zeros((4, 1), np.float32)).shape
            ),
            "optax": lambda optax: optax.huber_loss(np.ones(4, np.float32), np.zeros(4, np.float32)).shape,
        },
        expected={"torch": [], "keras": [], "keras function": [4], "optax": [4]},
        cost=(
            "Shapes {torch} and {optax}: a sum in place of the mean makes a rate for batches of 4 four times too large."
        ),
        equal={"optax": "optax.huber_loss(predictions, targets).mean()"},
        source="https://optax.readthedocs.io/en/latest/api/losses.html",
    ),
)
