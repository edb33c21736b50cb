"""Recurrent layers."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tempscale.facts.fact import Fact, single

__all__ = ["FACTS", "TITLE", "TOPIC"]

TOPIC, TITLE = "recurrent", "Recurrent layers"

fact = partial(Fact, topic=TOPIC)

SEQUENCES = np.zeros((2, 3, 1), np.float32)


def torch_first_gate(torch: Any) -> float:
    """Return the state 1 after a step with zero weights, and a large bias for the first third of the gates."""
    cell = torch.nn.GRUCell(1, 1)
    with torch.no_grad():
        for weight in cell.parameters():
            weight.zero_()
        cell.bias_ih[0] = 20.0
        return round(float(cell(torch.zeros(1, 1), torch.ones(1, 1))), 4)


def keras_first_gate(keras: Any) -> float:
    """Return the state 1 after a step with zero weights, and a large bias for the first third of the gates."""
    cell = keras.layers.GRUCell(1)
    cell.build((1, 1))
    bias = np.zeros(cell.bias.shape, np.float32)
    bias[0, 0] = 20.0
    cell.set_weights([np.zeros((1, 3)), np.zeros((1, 3)), bias])
    return round(float(cell(np.zeros((1, 1), np.float32), [np.ones((1, 1), np.float32)])[0][0, 0]), 4)


def flax_first_gate(nnx: Any) -> float:
    """Return the state 1 after a step with zero weights, and a large bias for the first third of the gates."""
    zeros = nnx.initializers.zeros
    cell = nnx.GRUCell(1, 1, kernel_init=zeros, recurrent_kernel_init=zeros, rngs=nnx.Rngs(0))
    cell.dense_i.bias.set_value(single([20.0, 0.0, 0.0]))
    return round(float(cell(np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32))[0][0, 0]), 4)


def torch_biases(torch: Any, kind: str) -> int:
    """Return how many biases a cell of one unit has."""
    return sum(weight.numel() for name, weight in getattr(torch.nn, kind)(1, 1).named_parameters() if "bias" in name)


def keras_biases(keras: Any, kind: str) -> int:
    """Return how many biases a cell of one unit has."""
    cell = getattr(keras.layers, kind)(1)
    cell.build((1, 1))
    return int(np.prod(cell.bias.shape))


def flax_biases(nnx: Any, kind: str) -> int:
    """Return how many biases a cell of one unit has."""
    cell = nnx.eval_shape(lambda: getattr(nnx, kind)(1, 1, rngs=nnx.Rngs(0)))
    state = nnx.to_flat_state(nnx.state(cell, nnx.Param))
    return sum(int(np.prod(leaf.shape)) for path, leaf in state if path[-1] == "bias")


def torch_forget_bias(torch: Any) -> int:
    """Return the mean bias of the second of four gates, of both biases together, rounded."""
    cell = torch.nn.LSTMCell(1, 20)
    return round(float((cell.bias_ih + cell.bias_hh)[20:40].mean()))


def keras_forget_bias(keras: Any) -> int:
    """Return the mean bias of the second of four gates."""
    cell = keras.layers.LSTMCell(20)
    cell.build((1, 1))
    return round(float(np.asarray(cell.bias)[20:40].mean()))


def flax_forget_bias(nnx: Any) -> int:
    """Return the mean bias of the forget gate."""
    return round(
        float(nnx.LSTMCell(1, 20, recurrent_kernel_init=nnx.initializers.zeros, rngs=nnx.Rngs(0)).hf.bias.mean())
    )


def keras_recurrent_kernel(keras: Any) -> Any:
    """Return the recurrent kernel of a new cell of 20 units."""
    cell = keras.layers.SimpleRNNCell(20)
    cell.build((1, 1))
    return cell.recurrent_kernel


def orthogonal(kernel: Any) -> bool:
    """Say whether the rows of a kernel are orthogonal, and of length 1."""
    kernel = np.asarray(kernel)
    return bool(np.abs(kernel @ kernel.T - np.eye(len(kernel))).max() < 1e-4)


FACTS = (
    fact(
        id="gru-gates",
        title="The first gate of a GRU is the reset gate in PyTorch and Flax, and the update gate in Keras.",
        measures="a state of 1 after a step with zero weights and a bias of 20 on the first gate",
        probes={"torch": torch_first_gate, "keras": keras_first_gate, "flax": flax_first_gate},
        expected={"torch": 0.5, "keras": 1.0, "flax": 0.5},
        cost=(
            "With its first gate open a cell keeps {torch} of its state in PyTorch and {keras} in Keras: weights that "
            "are copied in order do something else."
        ),
        equal={"keras": "r, z, n = numpy.split(weight, 3); keras_kernel = numpy.concatenate([z, r, n]).T"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html (Variables)",
    ),
    fact(
        id="gru-biases",
        title=(
            "A GRU has two biases in PyTorch and Keras, and one in Flax: a hidden bias behind the reset gate has no "
            "place there."
        ),
        defaults={"torch": "torch.nn.GRUCell(bias)", "keras": "keras.layers.GRU(reset_after, use_bias)"},
        measures="biases of a cell of one unit",
        probes={
            "torch": lambda torch: torch_biases(torch, "GRUCell"),
            "keras": lambda keras: keras_biases(keras, "GRUCell"),
            "flax": lambda nnx: flax_biases(nnx, "GRUCell"),
        },
        expected={"torch": 6, "keras": 6, "flax": 3},
        cost="{torch} numbers against {flax} for each unit: two gates' biases can be added up, the candidate's cannot.",
        equal={
            "torch": "cell.bias_hh[2 * n :].zero_()  # before training, and no gradient to it",
            "keras": "keras.layers.GRU(n, reset_after=True)",
        },
        source="https://keras.io/api/layers/recurrent_layers/gru/ (reset_after)",
    ),
    fact(
        id="lstm-biases",
        title="An LSTM has two biases in PyTorch, which add up, and one in Keras and Flax.",
        measures="biases of a cell of one unit",
        probes={
            "torch": lambda torch: torch_biases(torch, "LSTMCell"),
            "keras": lambda keras: keras_biases(keras, "LSTMCell"),
            "flax": lambda nnx: flax_biases(nnx, "LSTMCell"),
        },
        expected={"torch": 8, "keras": 4, "flax": 4},
        cost=(
            "{torch} numbers against {keras} for each unit; in training both get the same gradient, so the sum learns "
            "twice as fast."
        ),
        equal={"torch": "keras_bias = cell.bias_ih + cell.bias_hh"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html (Variables)",
    ),
    fact(
        id="lstm-forget-bias",
        title="An LSTM's forget gate starts with a bias of 1 in Keras, 0 in Flax, and random in PyTorch.",
        defaults={"keras": "keras.layers.LSTM(unit_forget_bias)"},
        measures="the mean of the forget gate's bias in 20 units, both biases together",
        probes={
            "torch": torch_forget_bias,
            "keras": keras_forget_bias,
            "flax": flax_forget_bias,
        },
        expected={"torch": 0, "keras": 1, "flax": 0},
        cost=(
            "A new cell keeps sigmoid(b) of its memory: with {keras:.0f}, 0.73 a step, with {torch:.0f}, 0.5: after ten"
            " steps 4e-2 or 1e-3."
        ),
        equal={"torch": "cell.bias_ih[n : 2 * n].fill_(1.0); cell.bias_hh[n : 2 * n].zero_()"},
        source="Jozefowicz et al., An Empirical Exploration of Recurrent Network Architectures, 2015",
    ),
    fact(
        id="recurrent-kernel",
        title="A recurrent kernel starts uniform in PyTorch, and orthogonal in Keras and Flax.",
        defaults={
            "keras": "keras.layers.SimpleRNN(recurrent_initializer)",
            "flax": "flax.nnx.SimpleCell(recurrent_kernel_init)",
        },
        measures="whether the kernel's rows are orthogonal, in a simple cell of 20 units",
        probes={
            "torch": lambda torch: orthogonal(torch.nn.RNNCell(1, 20).weight_hh.detach()),
            "keras": lambda keras: orthogonal(keras_recurrent_kernel(keras)),
            "flax": lambda nnx: orthogonal(nnx.SimpleCell(1, 20, rngs=nnx.Rngs(0)).dense_h.kernel),
        },
        expected={"torch": False, "keras": True, "flax": True},
        cost=(
            "Orthogonal: {torch} in PyTorch, {keras} in Keras. A uniform one shrinks a state by sqrt(3) a step: 20 "
            "steps leave 2e-5."
        ),
        equal={"torch": "torch.nn.init.orthogonal_(cell.weight_hh)"},
        source="https://keras.io/api/layers/recurrent_layers/simple_rnn/",
    ),
    fact(
        id="time-axis",
        title="A sequence has its time first in PyTorch, and its batch first in Keras and Flax.",
        defaults={
            "torch": "torch.nn.RNNBase(batch_first)",
            "flax": "flax.nnx.RNN(time_major)",
        },
        measures="the number of sequences that a layer finds in an input of shape (2, 3, 1)",
        probes={
            "torch": lambda torch: torch.nn.RNN(1, 1)(torch.tensor(SEQUENCES))[1].shape[1],
            "keras": lambda keras: keras.layers.SimpleRNN(1)(SEQUENCES).shape[0],
            "flax": lambda nnx: nnx.RNN(nnx.SimpleCell(1, 1, rngs=nnx.Rngs(0)))(SEQUENCES).shape[0],
        },
        expected={"torch": 3, "keras": 2, "flax": 2},
        cost=(
            "Of shape (2, 3, 1), PyTorch sees {torch} sequences of 2 steps and Keras {keras} of 3, both without an "
            "error."
        ),
        equal={"torch": "torch.nn.RNN(n, m, batch_first=True)"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html",
    ),
    fact(
        id="returned-sequence",
        title="A recurrent layer returns all steps in PyTorch and Flax, and the last in Keras.",
        defaults={"keras": "keras.layers.SimpleRNN(return_sequences)", "flax": "flax.nnx.RNN(return_carry)"},
        measures="the shape of what a layer returns for 2 sequences of 3 steps",
        probes={
            "torch": lambda torch: torch.nn.RNN(1, 1, batch_first=True)(torch.tensor(SEQUENCES))[0].shape,
            "keras": lambda keras: keras.layers.SimpleRNN(1)(SEQUENCES).shape,
            "flax": lambda nnx: nnx.RNN(nnx.SimpleCell(1, 1, rngs=nnx.Rngs(0)))(SEQUENCES).shape,
        },
        expected={"torch": [2, 3, 1], "keras": [2, 1], "flax": [2, 3, 1]},
        cost="Shapes {torch} and {keras}: a dense layer behind takes both.",
        equal={"keras": "keras.layers.SimpleRNN(n, return_sequences=True)"},
        source="https://keras.io/api/layers/recurrent_layers/simple_rnn/ (return_sequences)",
    ),
)
