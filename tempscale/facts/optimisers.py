"""Optimisers, clipping and schedules. Each probe makes a few steps on a single weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tempscale.facts.fact import Fact, single

__all__ = ["FACTS", "TITLE", "TOPIC"]

TOPIC, TITLE = "optimisers", "Optimisers"

fact = partial(Fact, topic=TOPIC)


def torch_weight(torch: Any, optimiser: Callable[..., Any], gradients: Sequence[float], start: float = 0.0) -> float:
    """Return a weight after a step for each gradient. `optimiser` makes one from a list of weights."""
    weight = torch.nn.Parameter(torch.tensor([start]))
    steps = optimiser([weight])
    for gradient in gradients:
        weight.grad = torch.tensor([gradient])
        steps.step()
    return float(weight)


def keras_weight(keras: Any, optimiser: Any, gradients: Sequence[float], start: float = 0.0) -> float:
    """Return a weight after a step for each gradient."""
    weight = keras.Variable([start])
    for gradient in gradients:
        optimiser.apply([keras.ops.convert_to_tensor([gradient])], [weight])
    return float(weight[0])


def optax_weight(optax: Any, optimiser: Any, gradients: Sequence[float], start: float = 0.0) -> float:
    """Return a weight after a step for each gradient."""
    weight = single([start])
    state = optimiser.init(weight)
    for gradient in gradients:
        updates, state = optimiser.update(single([gradient]), state, weight)
        weight = optax.apply_updates(weight, updates)
    return float(weight[0])


def torch_two_rates(torch: Any) -> float:
    """Return a weight after a step at rate 1 and another at rate 0.1, with momentum."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=1.0, momentum=0.9)
    for rate in (1.0, 0.1):
        optimiser.param_groups[0]["lr"] = rate
        weight.grad = torch.ones(1)
        optimiser.step()
    return float(weight)


def keras_two_rates(keras: Any) -> float:
    """Return a weight after a step at rate 1 and another at rate 0.1, with momentum."""
    weight = keras.Variable([0.0])
    optimiser = keras.optimizers.SGD(1.0, momentum=0.9)
    for rate in (1.0, 0.1):
        optimiser.learning_rate = rate
        optimiser.apply([keras.ops.ones(1)], [weight])
    return float(weight[0])


def optax_two_rates(optax: Any) -> float:
    """Return a weight after a step at rate 1 and another at rate 0.1, with momentum."""
    rates = optax.piecewise_constant_schedule(1.0, {1: 0.1})
    return optax_weight(optax, optax.sgd(rates, momentum=0.9), [1.0, 1.0])


def torch_clipped(torch: Any) -> float:
    """Return a gradient of norm 2e-6, clipped to 1e-6."""
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.full((1,), 2e-6)
    torch.nn.utils.clip_grad_norm_([weight], 1e-6)
    return float(weight.grad)


def torch_clipped_pair(torch: Any) -> list[float]:
    """Return gradients of two weights, clipped to 1."""
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    for weight, gradient in zip(weights, (3.0, 4.0), strict=True):
        weight.grad = torch.tensor([gradient])
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    return [round(float(weight.grad), 5) for weight in weights]


def keras_clipped_pair(keras: Any, **clipping: float) -> list[float]:
    """Return gradients of two weights, clipped by an optimiser."""
    weights = [keras.Variable([0.0]), keras.Variable([0.0])]
    gradients = [keras.ops.convert_to_tensor([3.0]), keras.ops.convert_to_tensor([4.0])]
    keras.optimizers.SGD(1.0, **clipping).apply(gradients, weights)
    return [round(-float(weight[0]), 5) for weight in weights]


def optax_clipped_pair(optax: Any) -> list[float]:
    """Return gradients of two weights, clipped to 1."""
    clipping = optax.clip_by_global_norm(1.0)
    gradients = (np.float32(3.0), np.float32(4.0))
    return [round(float(g), 5) for g in clipping.update(gradients, clipping.init(gradients))[0]]


def torch_rate_after(torch: Any, steps: int) -> float:
    """Return the rate of a cosine schedule of 10 steps from 1 to 0."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=10)
    for _ in range(steps):
        optimiser.step()
        schedule.step()
    return round(float(schedule.get_last_lr()[0]), 6)


FACTS = (
    fact(
        id="adam-epsilon",
        title="Adam's epsilon is 1e-8 in PyTorch and optax; Keras has 1e-7, and adds it before the bias is corrected.",
        defaults={
            "torch": "torch.optim.Adam(eps)",
            "keras": "keras.optimizers.Adam(epsilon)",
            "optax": "optax.adam(eps)",
        },
        measures="the first step for a gradient of 1e-8, in units of the rate",
        probes={
            "torch": lambda torch: -torch_weight(torch, partial(torch.optim.Adam, lr=1.0), [1e-8]),
            "keras": lambda keras: -keras_weight(keras, keras.optimizers.Adam(1.0), [1e-8]),
            "optax": lambda optax: -optax_weight(optax, optax.adam(1.0), [1e-8]),
        },
        expected={"torch": 0.5, "keras": 0.00315229, "optax": 0.499998},
        cost=(
            "A weight with a gradient of 1e-8 first moves by {torch:.3f} of the rate in PyTorch, by {keras:.4f} in "
            "Keras."
        ),
        equal={
            "torch": "group['eps'] = 1e-7 / (1 - 0.999**step) ** 0.5  # in each group, before each step",
            "optax": "optax.adam(rate, eps=1e-7)  # the place differs still",
        },
        source="https://keras.io/api/optimizers/adam/ (epsilon hat of Kingma & Ba, 2015, section 2)",
    ),
    fact(
        id="adam-weight-decay",
        title="Adam's weight_decay is an L2 penalty in the gradient in PyTorch, and decays the weights apart in Keras.",
        defaults={
            "torch": "torch.optim.Adam(weight_decay)",
            "keras": "keras.optimizers.Adam(weight_decay)",
            "optax": "optax.adam(weight_decay)",
        },
        measures="a weight of 2 after a step with gradient 1, rate 0.1 and weight_decay 0.1",
        probes={
            "torch": lambda torch: torch_weight(torch, partial(torch.optim.Adam, lr=0.1, weight_decay=0.1), [1.0], 2.0),
            "keras": lambda keras: keras_weight(keras, keras.optimizers.Adam(0.1, weight_decay=0.1), [1.0], 2.0),
            "optax": lambda optax: optax_weight(optax, optax.adamw(0.1, weight_decay=0.1), [1.0], 2.0),
        },
        expected={"torch": 1.9, "keras": 1.88, "optax": 1.88},
        cost=(
            "From 2, a step leads to {torch:.2f} in PyTorch, where Adam scales the penalty away, and to {keras:.2f} in "
            "Keras."
        ),
        equal={
            "torch": "torch.optim.AdamW(w, lr=0.1, weight_decay=0.1)",
            "optax": "optax.adamw(0.1, weight_decay=0.1)",
        },
        source="Loshchilov & Hutter, Decoupled Weight Decay Regularization, 2019, algorithm 2",
    ),
    fact(
        id="adamw-decay",
        title="AdamW decays by 0.01 in PyTorch, 0.004 in Keras and 0.0001 in optax.",
        defaults={
            "torch": "torch.optim.AdamW(weight_decay)",
            "keras": "keras.optimizers.AdamW(weight_decay)",
            "optax": "optax.adamw(weight_decay)",
        },
        measures="what is left of a weight of 1 after 100 steps with gradient 0 and rate 0.1",
        probes={
            "torch": lambda torch: torch_weight(torch, partial(torch.optim.AdamW, lr=0.1), [0.0] * 100, 1.0),
            "keras": lambda keras: keras_weight(keras, keras.optimizers.AdamW(0.1), [0.0] * 100, 1.0),
            "optax": lambda optax: optax_weight(optax, optax.adamw(0.1), [0.0] * 100, 1.0),
        },
        expected={"torch": 0.904793, "keras": 0.960782, "optax": 0.998999},
        cost=(
            "After 100 steps at rate 0.1, {torch:.3f} of an unused weight is left in PyTorch, {keras:.3f} in Keras, "
            "{optax:.3f} in optax."
        ),
        equal={
            "keras": "keras.optimizers.AdamW(rate, weight_decay=0.01)",
            "optax": "optax.adamw(rate, weight_decay=0.01)",
        },
        source="https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html",
    ),
    fact(
        id="sgd-rate",
        title="SGD's rate is 0.001 in PyTorch and 0.01 in Keras; optax has none.",
        defaults={
            "torch": "torch.optim.SGD(lr)",
            "keras": "keras.optimizers.SGD(learning_rate)",
            "optax": "optax.sgd(learning_rate)",
        },
        measures="the first step for a gradient of 1",
        probes={
            "torch": lambda torch: -torch_weight(torch, torch.optim.SGD, [1.0]),
            "keras": lambda keras: -keras_weight(keras, keras.optimizers.SGD(), [1.0]),
            "optax": lambda optax: optax.sgd(),
        },
        expected={"torch": 0.001, "keras": 0.01, "optax": "raises TypeError"},
        cost="A gradient of 1 moves a weight by {torch} in PyTorch and by {keras} in Keras; optax {optax}.",
        equal={"torch": "torch.optim.SGD(w, lr=0.01)", "optax": "optax.sgd(0.01)"},
        source="https://keras.io/api/optimizers/sgd/",
    ),
    fact(
        id="momentum-and-rate",
        title=(
            "SGD's momentum keeps gradients in PyTorch and optax, but steps in Keras: a change of rate comes late "
            "there."
        ),
        defaults={
            "torch": "torch.optim.SGD(momentum)",
            "keras": "keras.optimizers.SGD(momentum)",
            "optax": "optax.sgd(momentum)",
        },
        measures="a weight after a step at rate 1 and one at rate 0.1, with gradient 1 and momentum 0.9",
        probes={"torch": torch_two_rates, "keras": keras_two_rates, "optax": optax_two_rates},
        expected={"torch": -1.19, "keras": -2.0, "optax": -1.19},
        cost=(
            "When the rate falls from 1 to 0.1, the weight is at {torch:.2f} in PyTorch and at {keras:.2f} in Keras: "
            "the second step is 1 long, not 0.19."
        ),
        equal={
            "keras": "for v in optimizer.momentums: v.assign(v * new_rate / old_rate)  # at each change of the rate"
        },
        source="https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html (the last note)",
    ),
    fact(
        id="rmsprop-defaults",
        title="RMSprop differs in rate, decay and epsilon: 0.01, 0.99, 1e-8 in PyTorch; 0.001, 0.9, 1e-7 in Keras.",
        defaults={
            "torch": "torch.optim.RMSprop(lr, alpha, eps)",
            "keras": "keras.optimizers.RMSprop(learning_rate, rho, epsilon)",
            "optax": "optax.rmsprop(learning_rate, decay, eps)",
        },
        measures="the first step for a gradient of 1, in units of the rate",
        probes={
            "torch": lambda torch: -torch_weight(torch, partial(torch.optim.RMSprop, lr=1.0), [1.0]),
            "keras": lambda keras: -keras_weight(keras, keras.optimizers.RMSprop(1.0), [1.0]),
            "optax": lambda optax: -optax_weight(optax, optax.rmsprop(1.0), [1.0]),
        },
        expected={"torch": 10.0, "keras": 3.16228, "optax": 3.16228},
        cost=(
            "The first step is {torch:.1f} rates long in PyTorch and {keras:.2f} in Keras, and the rate is 10 times "
            "larger."
        ),
        equal={
            "torch": "torch.optim.RMSprop(w, lr=0.001, alpha=0.9, eps=1e-7)",
            "optax": "optax.rmsprop(0.001, decay=0.9, eps=1e-7)",
        },
        source="https://keras.io/api/optimizers/rmsprop/",
    ),
    fact(
        id="rmsprop-epsilon",
        title="RMSprop's epsilon is outside the root in PyTorch, and inside it in Keras and optax.",
        defaults={"optax": "optax.rmsprop(eps_in_sqrt)"},
        measures="the first step for a gradient of 1e-4, with decay 0.9 and epsilon 1e-7, in units of the rate",
        probes={
            "torch": lambda torch: (
                -torch_weight(torch, partial(torch.optim.RMSprop, lr=1.0, alpha=0.9, eps=1e-7), [1e-4])
            ),
            "keras": lambda keras: -keras_weight(keras, keras.optimizers.RMSprop(1.0, rho=0.9, epsilon=1e-7), [1e-4]),
            "optax": lambda optax: -optax_weight(optax, optax.rmsprop(1.0, decay=0.9, eps=1e-7), [1e-4]),
        },
        expected={"torch": 3.15231, "keras": 0.314658, "optax": 0.314658},
        cost="With a gradient of 1e-4 and equal options, PyTorch's step is {torch:.2f} rates, and Keras's {keras:.3f}.",
        equal={
            "torch": "torch.optim.RMSprop(w, alpha=0.9, eps=1e-8)  # with all of them outside",
            "optax": "optax.rmsprop(rate, eps=1e-8, eps_in_sqrt=False)",
        },
        source="https://optax.readthedocs.io/en/latest/api/optimizers.html#optax.rmsprop",
    ),
    fact(
        id="adagrad-accumulator",
        title="Adagrad's sum of squares starts at 0 in PyTorch, and at 0.1 in Keras and optax.",
        defaults={
            "torch": "torch.optim.Adagrad(initial_accumulator_value, eps)",
            "keras": "keras.optimizers.Adagrad(initial_accumulator_value, epsilon)",
            "optax": "optax.adagrad(initial_accumulator_value, eps)",
        },
        measures="the first step for a gradient of 0.1, in units of the rate",
        probes={
            "torch": lambda torch: -torch_weight(torch, partial(torch.optim.Adagrad, lr=1.0), [0.1]),
            "keras": lambda keras: -keras_weight(keras, keras.optimizers.Adagrad(1.0), [0.1]),
            "optax": lambda optax: -optax_weight(optax, optax.adagrad(1.0), [0.1]),
        },
        expected={"torch": 1.0, "keras": 0.301511, "optax": 0.301511},
        cost="The first step is {torch:.2f} of the rate in PyTorch and {keras:.2f} in Keras.",
        equal={"torch": "torch.optim.Adagrad(w, initial_accumulator_value=0.1, eps=1e-7)"},
        source="https://keras.io/api/optimizers/adagrad/",
    ),
    fact(
        id="adadelta-rate",
        title="Adadelta's rate is 1 in PyTorch and 0.001 in Keras, its decay 0.9 and 0.95.",
        defaults={
            "torch": "torch.optim.Adadelta(lr, rho, eps)",
            "keras": "keras.optimizers.Adadelta(learning_rate, rho, epsilon)",
            "optax": "optax.adadelta(learning_rate, rho, eps)",
        },
        measures="the first step for a gradient of 1",
        probes={
            "torch": lambda torch: -torch_weight(torch, torch.optim.Adadelta, [1.0]),
            "keras": lambda keras: -keras_weight(keras, keras.optimizers.Adadelta(), [1.0]),
            "optax": lambda optax: -optax_weight(optax, optax.adadelta(1.0), [1.0]),
        },
        expected={"torch": 0.00316226, "keras": 1.41421e-06, "optax": 0.00316226},
        cost="The first step is {torch:.2g} in PyTorch and {keras:.2g} in Keras, which hardly moves.",
        equal={
            "keras": "keras.optimizers.Adadelta(1.0, rho=0.9, epsilon=1e-6)",
            "optax": "optax.adadelta(1.0, eps=1e-6)",
        },
        source="Zeiler, ADADELTA, 2012, algorithm 1 (which has no rate)",
    ),
    fact(
        id="nadam-three",
        title="NAdam is another algorithm in each: PyTorch and Keras have a momentum schedule, optax has none.",
        defaults={
            "torch": "torch.optim.NAdam(lr, momentum_decay)",
            "keras": "keras.optimizers.Nadam(learning_rate, epsilon)",
            "optax": "optax.nadam(learning_rate, eps)",
        },
        measures="a weight after gradients 1, -1 and 0.5 at rate 0.1 and epsilon 1e-8",
        probes={
            "torch": lambda torch: torch_weight(torch, partial(torch.optim.NAdam, lr=0.1), [1.0, -1.0, 0.5]),
            "keras": lambda keras: keras_weight(keras, keras.optimizers.Nadam(0.1, epsilon=1e-8), [1.0, -1.0, 0.5]),
            "optax": lambda optax: optax_weight(optax, optax.nadam(0.1), [1.0, -1.0, 0.5]),
        },
        expected={"torch": -0.0733508, "keras": -0.0741861, "optax": -0.125115},
        cost=(
            "After three steps at equal options the weight is at {torch:.4f} in PyTorch, {keras:.4f} in Keras, "
            "{optax:.4f} in optax."
        ),
        equal={"torch": "torch.optim.AdamW(w)  # no options make the three equal: take Adam in all"},
        source="Dozat, Incorporating Nesterov Momentum into Adam, 2016",
    ),
    fact(
        id="adafactor-rate",
        title=(
            "Adafactor's rate is 0.01 in PyTorch and 0.001 in Keras; optax has none, and a step as long as the weight."
        ),
        defaults={
            "torch": "torch.optim.Adafactor(lr)",
            "keras": "keras.optimizers.Adafactor(learning_rate)",
            "optax": "optax.adafactor(learning_rate)",
        },
        measures="the first step of a weight of 1 with gradient 1",
        probes={
            "torch": lambda torch: round(1 - torch_weight(torch, torch.optim.Adafactor, [1.0], 1.0), 6),
            "keras": lambda keras: round(1 - keras_weight(keras, keras.optimizers.Adafactor(), [1.0], 1.0), 6),
            "optax": lambda optax: round(1 - optax_weight(optax, optax.adafactor(), [1.0], 1.0), 6),
        },
        expected={"torch": 0.01, "keras": 0.001, "optax": 1.0},
        cost="The first step is {torch} in PyTorch, {keras} in Keras, {optax} in optax.",
        equal={"keras": "keras.optimizers.Adafactor(0.01)", "optax": "optax.adafactor(0.01)"},
        source="Shazeer & Stern, Adafactor, 2018, algorithm 5",
    ),
    fact(
        id="clip-epsilon",
        title="Clipping by norm divides by the norm plus 1e-6 in PyTorch, and by the norm itself in Keras and optax.",
        measures="a gradient of norm 2e-6, clipped to a norm of 1e-6",
        probes={
            "torch": torch_clipped,
            "keras": lambda keras: -keras_weight(keras, keras.optimizers.SGD(1.0, global_clipnorm=1e-6), [2e-6]),
            "optax": lambda optax: (
                -optax_weight(optax, optax.chain(optax.clip_by_global_norm(1e-6), optax.sgd(1.0)), [2e-6])
            ),
        },
        expected={"torch": 6.66667e-07, "keras": 1e-06, "optax": 1e-06},
        cost=(
            "Clipped to 1e-6, a gradient is {torch:.2g} in PyTorch, {keras:.2g} in Keras; at norms near 1 both agree to"
            " 1e-6."
        ),
        equal={"torch": "g.mul_(max_norm / torch.nn.utils.get_total_norm([g]))  # where that is larger than max_norm"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html",
    ),
    fact(
        id="clipnorm-per-weight",
        title="Keras's clipnorm clips each weight by itself; PyTorch and optax clip all of them together.",
        defaults={"keras": "keras.optimizers.SGD(clipnorm, global_clipnorm)"},
        measures="gradients 3 and 4 of two weights, clipped to 1",
        probes={
            "torch": torch_clipped_pair,
            "keras": lambda keras: keras_clipped_pair(keras, clipnorm=1.0),
            "keras global_clipnorm": lambda keras: keras_clipped_pair(keras, global_clipnorm=1.0),
            "optax": optax_clipped_pair,
        },
        expected={"torch": [0.6, 0.8], "keras": [1.0, 1.0], "keras global_clipnorm": [0.6, 0.8], "optax": [0.6, 0.8]},
        cost="Gradients 3 and 4 become {keras} with clipnorm, which changes their direction, and {torch} elsewhere.",
        equal={"keras": "keras.optimizers.SGD(rate, global_clipnorm=1.0)"},
        source="https://keras.io/api/optimizers/ (global_clipnorm)",
    ),
    fact(
        id="cosine-past-the-end",
        title="A cosine schedule rises again after its end in PyTorch, and stays down in Keras and optax.",
        defaults={
            "torch": "torch.optim.lr_scheduler.CosineAnnealingLR(eta_min)",
            "keras": "keras.optimizers.schedules.CosineDecay(alpha)",
            "optax": "optax.cosine_decay_schedule(alpha)",
        },
        measures="the rate 5 steps after a schedule of 10 steps from 1 to 0",
        probes={
            "torch": lambda torch: torch_rate_after(torch, 15),
            "keras": lambda keras: round(float(keras.optimizers.schedules.CosineDecay(1.0, 10)(15)), 6),
            "optax": lambda optax: round(float(optax.cosine_decay_schedule(1.0, 10)(15)), 6),
        },
        expected={"torch": 0.5, "keras": 0.0, "optax": 0.0},
        cost=(
            "Half as long again as planned, a run trains at {torch:.2f} of the first rate in PyTorch, and at "
            "{keras:.2f} in Keras."
        ),
        equal={"torch": "if schedule.last_epoch < T_max: schedule.step()"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingLR.html",
    ),
)
