"""What could be wrong in the gradient of the cross-entropy breaks its contract."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from differentiable import LABELS, LOGITS, TEMPERATURE
from exactness import exact_of, make
from support import require

import tempscale
from tempscale.kernels import example_losses
from tempscale.testing import check

WEIGHTS = np.array([0.5, 2.0, 1.5, 1.0, 0.25, 3.0])
G = np.array([1.0, -0.5, 2.0, 0.75, -1.25])


def held(temperature: Any = 0.75, *, wrt: str = "logits", **options: Any) -> bool:
    """Whether a gradient in NumPy is within its contract."""
    backend = require("numpy")
    if not backend.transforms:
        pytest.skip("NumPy does not differentiate without autograd")
    exact = exact_of("cross_entropy", LOGITS, LABELS, temperature=temperature, reduction="none", **options)
    counted = np.where(options.get("ignore_index") == LABELS, 0.0, G)
    gradients = exact["gradients"](np.asarray(counted, np.longdouble))
    contract = tempscale.cross_entropy.specification.contract

    def loss(x: Any, *temperatures: Any) -> Any:
        t = temperatures[0] if temperatures else temperature
        return tempscale.cross_entropy(x, LABELS, temperature=t, reduction="none", **options)

    arrays = [make(backend, LOGITS, "float64"), *([TEMPERATURE] if wrt == "temperature" else [])]
    found = dict(zip(("logits", "temperature"), backend.vjp(loss, arrays, G), strict=False))
    bound = contract.bound(wrt, **{**exact["quantities"], **gradients})
    return check(
        found[wrt],
        gradients[wrt],
        bound,
        dtype="float64",
        expected_dtype="float64",
        names=[f"row {i}" for i in range(5)],
    ).held


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: Any) -> Any:
    """Blocks of two rows, so that there are several."""
    require("numpy")
    from tempscale_backends.numpy.natives import gradients

    monkeypatch.setattr(gradients, "BLOCK", 12)
    return gradients


@pytest.fixture
def rule() -> Any:
    return example_losses.losses_of_examples_derivatives.gradient


@pytest.mark.parametrize("missing", [{"label_smoothing": 0.25}, {"ignore_index": 2}], ids=["smoothing", "ignored"])
def test_a_gradient_without_an_option_breaks_the_contract(missing: Any, rule: Any, monkeypatch: Any) -> None:
    native = rule.natives["numpy"]
    assert held(**missing)
    without = dict.fromkeys(missing)
    monkeypatch.setitem(rule.natives, "numpy", lambda *arrays, **options: native(*arrays, **{**options, **without}))
    assert not held(**missing)


@pytest.mark.parametrize(("summed_by", "smoothing"), [("accurate_sum", 0.25), ("entry_at", 0.0)])
def test_weights_that_are_not_summed_break_the_contract(summed_by: str, smoothing: float, monkeypatch: Any) -> None:
    assert held(class_weights=WEIGHTS, label_smoothing=smoothing)
    monkeypatch.setattr(example_losses, summed_by, lambda x, *args, axis: np.ones_like(x[:, :1]))
    assert not held(class_weights=WEIGHTS, label_smoothing=smoothing)


def test_a_gradient_of_the_temperature_that_is_off_by_it_breaks_the_contract(monkeypatch: Any) -> None:
    right = example_losses.to_temperature
    assert held(TEMPERATURE, wrt="temperature")
    monkeypatch.setattr(example_losses, "to_temperature", lambda to_z, q, t, *more: right(to_z, q, t, *more) * t)
    assert not held(TEMPERATURE, wrt="temperature")


@pytest.mark.parametrize("options", [{}, {"class_weights": WEIGHTS}], ids=["in place", "by the rule"])
def test_a_block_that_ends_too_early_breaks_the_contract(options: Any, small_blocks: Any, monkeypatch: Any) -> None:
    blocks = small_blocks._blocks
    assert held(**options)
    monkeypatch.setattr(
        small_blocks, "_blocks", lambda n, k: [slice(here.start, max(here.stop - 1, 1)) for here in blocks(n, k)][:-1]
    )
    assert not held(**options)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp", "entropy", "sparsemax", "cross_entropy"])
def test_a_temperature_that_is_a_scalar_of_float64_has_its_gradient(name: str) -> None:
    operation, labels = getattr(tempscale, name), (LABELS,) if name == "cross_entropy" else ()

    def total(temperature: Any) -> Any:
        return (operation(LOGITS, *labels, temperature=temperature) ** 2).sum()

    t = np.asarray(0.75)
    of_scalar = tempscale.grad(lambda t: total(t + 0.0))(t)  # NumPy makes a scalar of a sum without axes
    assert of_scalar == pytest.approx(tempscale.grad(total)(t), rel=1e-14)
    assert of_scalar != 0.0
