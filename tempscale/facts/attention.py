"""Attention and embeddings."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tempscale.facts.fact import Fact, single

__all__ = ["FACTS", "TITLE", "TOPIC"]

TOPIC, TITLE = "attention", "Attention and embeddings"

fact = partial(Fact, topic=TOPIC)

QUERY = np.zeros((1, 1, 1, 2), np.float32)
KEYS = np.zeros((1, 2, 1, 2), np.float32)
VALUES = single([1.0, 3.0]).reshape(1, 2, 1, 1) * np.ones(2, np.float32)
"""With equal keys attention returns the mean of 1 and 3; if it sees one of them only, that one."""


def torch_attended(torch: Any, mask: list[bool]) -> float:
    """Return what a query finds where the mask of the two keys is as given."""
    query, keys, values = (torch.tensor(x).transpose(1, 2) for x in (QUERY, KEYS, VALUES))
    attend = torch.nn.functional.scaled_dot_product_attention
    return float(attend(query, keys, values, attn_mask=torch.tensor([mask]))[0, 0, 0, 0])


def torch_layer_attended(torch: Any, mask: list[bool]) -> float:
    """Return what the layer of PyTorch finds, with weights that pass values through."""
    layer = torch.nn.MultiheadAttention(2, 1, bias=False, batch_first=True)
    with torch.no_grad():
        layer.in_proj_weight.copy_(torch.eye(2).repeat(3, 1))
        layer.out_proj.weight.copy_(torch.eye(2))
        query, keys, values = (torch.tensor(x[:, :, 0]) for x in (QUERY, KEYS, VALUES))
        return float(layer(query, keys, values, key_padding_mask=torch.tensor([mask]))[0][0, 0, 0])


def keras_attended(keras: Any, mask: list[bool]) -> float:
    """Return what a query finds where the mask of the two keys is as given."""
    layer = keras.layers.Attention()
    query, keys, values = (keras.ops.convert_to_tensor(x[:, :, 0]) for x in (QUERY, KEYS, VALUES))
    ones = keras.ops.ones((1, 1), "bool")
    return float(layer([query, values, keys], mask=[ones, keras.ops.convert_to_tensor([mask])])[0, 0, 0])


def jax_attended(jax: Any, mask: list[bool]) -> float:
    """Return what a query finds where the mask of the two keys is as given."""
    return float(jax.nn.dot_product_attention(QUERY, KEYS, VALUES, mask=np.asarray(mask)[None, None, None])[0, 0, 0, 0])


def flax_attended(nnx: Any, mask: list[bool]) -> float:
    """Return what a query finds where the mask of the two keys is as given."""
    return float(nnx.dot_product_attention(QUERY, KEYS, VALUES, mask=np.asarray(mask)[None, None, None])[0, 0, 0, 0])


def keras_parameters(keras: Any) -> int:
    """Return how many numbers attention with two heads of four features learns."""
    layer = keras.layers.MultiHeadAttention(2, 4)
    layer.build((1, 3, 4), (1, 3, 4))
    return int(layer.count_params())


def flax_parameters(nnx: Any) -> int:
    """Return how many numbers attention with two heads learns."""
    layer = nnx.eval_shape(lambda: nnx.MultiHeadAttention(2, 4, decode=False, rngs=nnx.Rngs(0)))
    return sum(int(np.prod(leaf.shape)) for _, leaf in nnx.to_flat_state(nnx.state(layer, nnx.Param)))


def flax_embedded(nnx: Any) -> float:
    """Return the embedding of token -1 of 3."""
    layer = nnx.Embed(3, 1, rngs=nnx.Rngs(0))
    layer.embedding.set_value(np.arange(3, dtype=np.float32)[:, None])
    return float(layer(np.asarray([-1]))[0, 0])


FACTS = (
    fact(
        id="attention-mask",
        title=(
            "True in a mask means attend, except in the key_padding_mask of PyTorch's layers, where it means leave out."
        ),
        measures="what a query finds of 1 and 3, where the mask is True at the 1",
        probes={
            "torch function": lambda torch: torch_attended(torch, [True, False]),
            "torch layer": lambda torch: torch_layer_attended(torch, [True, False]),
            "keras": lambda keras: keras_attended(keras, [True, False]),
            "jax": lambda jax: jax_attended(jax, [True, False]),
            "flax": lambda nnx: flax_attended(nnx, [True, False]),
        },
        expected={"torch function": 1.0, "torch layer": 3.0, "keras": 1.0, "jax": 1.0, "flax": 1.0},
        cost=(
            "The same mask finds {torch function:.0f} in the function and {torch layer:.0f} in the layer: attention to "
            "the padding alone."
        ),
        equal={"torch": "torch.nn.MultiheadAttention(...)(q, k, v, key_padding_mask=~mask)"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html (key_padding_mask)",
    ),
    fact(
        id="attention-all-masked",
        title=(
            "A query that may see no key gets 0 or NaN in PyTorch, and the mean of all values in Keras, JAX and Flax."
        ),
        measures="what a query finds of 1 and 3, where both are masked",
        probes={
            "torch function": lambda torch: torch_attended(torch, [False, False]),
            "torch layer": lambda torch: torch_layer_attended(torch, [True, True]),
            "keras": lambda keras: keras_attended(keras, [False, False]),
            "jax": lambda jax: jax_attended(jax, [False, False]),
            "flax": lambda nnx: flax_attended(nnx, [False, False]),
        },
        expected={"torch function": 0.0, "torch layer": "nan", "keras": 2.0, "jax": 2.0, "flax": 2.0},
        cost=(
            "A row of nothing but padding is {torch function} or {torch layer} in PyTorch, and {keras} in Keras: one "
            "such row makes a loss NaN."
        ),
        equal={
            "torch": "y = torch.where(mask.any(-1, keepdim=True), y, 0)",
            "jax": "y = jax.numpy.where(mask.any(-1, keepdims=True), y, 0)",
        },
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html",
    ),
    fact(
        id="attention-width",
        title="PyTorch and Flax divide the features among the heads; Keras gives each head key_dim features.",
        defaults={
            "torch": "torch.nn.MultiheadAttention(bias)",
            "keras": "keras.layers.MultiHeadAttention(key_dim, use_bias)",
            "flax": "flax.nnx.MultiHeadAttention(qkv_features, use_bias)",
        },
        measures="parameters of two heads for 4 features, with key_dim 4 in Keras",
        probes={
            "torch": lambda torch: sum(p.numel() for p in torch.nn.MultiheadAttention(4, 2).parameters()),
            "keras": keras_parameters,
            "flax": flax_parameters,
        },
        expected={"torch": 80, "keras": 156, "flax": 80},
        cost="{torch} numbers in PyTorch and Flax, {keras} in Keras.",
        equal={"keras": "keras.layers.MultiHeadAttention(heads, key_dim=features // heads)"},
        source="https://keras.io/api/layers/attention_layers/multi_head_attention/",
    ),
    fact(
        id="embedding-out-of-range",
        title="A token beyond the vocabulary is an error in PyTorch, and NaN or another token in the others.",
        measures="the embedding of token 5 of 3 (whose embeddings are 0, 1, 2)",
        probes={
            "torch": lambda torch: torch.nn.functional.embedding(torch.tensor([5]), torch.arange(3.0)[:, None])[0, 0],
            "tensorflow": lambda tf: tf.nn.embedding_lookup(np.arange(3.0)[:, None], [5])[0, 0],
            "jax": lambda jax: jax.numpy.arange(3.0)[5],
            "jax take": lambda jax: jax.numpy.take(jax.numpy.arange(3.0), 5),
            "numpy": lambda np: np.arange(3.0)[5],
        },
        expected={
            "torch": "raises IndexError",
            "tensorflow": "raises InvalidArgumentError",
            "jax": 2.0,
            "jax take": "nan",
            "numpy": "raises IndexError",
        },
        cost=(
            "PyTorch and NumPy stop; TensorFlow {tensorflow} on a CPU, and its pages promise 0 on a GPU; JAX "
            "goes on with {jax} or {jax take}."
        ),
        equal={
            "jax": "x.at[tokens].get(mode='fill', fill_value=jax.numpy.nan)",
            "tensorflow": "tf.debugging.assert_less(tokens, n)",
        },
        source="https://docs.jax.dev/en/latest/notebooks/Common_Gotchas_in_JAX.html (out-of-bounds indexing)",
    ),
    fact(
        id="negative-token",
        title="A token of -1 is the last one in NumPy and JAX, and an error in PyTorch and TensorFlow.",
        measures="the embedding of token -1 of 3 (whose embeddings are 0, 1, 2)",
        probes={
            "torch": lambda torch: torch.nn.functional.embedding(torch.tensor([-1]), torch.arange(3.0)[:, None])[0, 0],
            "tensorflow": lambda tf: tf.nn.embedding_lookup(np.arange(3.0)[:, None], [-1])[0, 0],
            "jax": lambda jax: jax.numpy.arange(3.0)[-1],
            "flax": flax_embedded,
            "numpy": lambda np: np.arange(3.0)[-1],
        },
        expected={
            "torch": "raises IndexError",
            "tensorflow": "raises InvalidArgumentError",
            "jax": 2.0,
            "flax": 2.0,
            "numpy": 2.0,
        },
        cost="Padding with -1 {torch} in PyTorch, and silently trains the last token, {jax}, in JAX.",
        equal={"jax": "jax.numpy.where(tokens >= 0, tokens, n)  # out of range at both ends"},
        source="https://numpy.org/doc/stable/user/basics.indexing.html",
    ),
)
