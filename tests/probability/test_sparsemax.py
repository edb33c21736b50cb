"""sparsemax: known answers and the properties of a projection. Accuracy is the conformance run's matter."""

import numpy as np
import pytest

import tempscale


def on(backend, rows):
    return backend.asarray(np.asarray(rows, np.float64), dtype="float32")


def result(backend, rows, **options):
    return backend.to_numpy(tempscale.sparsemax(on(backend, rows), **options))


def test_known_answers(backend):
    np.testing.assert_array_equal(result(backend, [[1.0, 0.5, -1.0]]), [[0.75, 0.25, 0.0]])
    np.testing.assert_array_equal(result(backend, [[2.0, 0.0, 0.0]]), [[1.0, 0.0, 0.0]])
    np.testing.assert_array_equal(result(backend, [[5.0, 5.0]]), [[0.5, 0.5]])


def test_a_point_of_the_simplex_is_its_own_projection(backend):
    point = [[0.5, 0.25, 0.125, 0.125, 0.0]]
    np.testing.assert_array_equal(result(backend, point), np.float32(point))


def test_temperature_decides_how_many_entries_have_mass(backend):
    logits = [[3.0, 2.0, 1.0, 0.0]]
    sizes = [int((result(backend, logits, temperature=t) > 0).sum()) for t in (0.0, 0.5, 2.0, 4.0, np.inf)]
    assert sizes == [1, 1, 2, 3, 4]


def test_masked_entries_have_no_mass(backend):
    np.testing.assert_array_equal(
        result(backend, [[1.0, -np.inf, 1.0]], where=on(backend, [[1.0, 1.0, 1.0]]) > 0), [[0.5, 0.0, 0.5]]
    )
    mask = backend.asarray(np.asarray([[False, True, True]]))
    np.testing.assert_array_equal(result(backend, [[9.0, 1.0, 1.0]], where=mask), [[0.0, 0.5, 0.5]])


def test_an_invalid_row_is_nan_and_leaves_the_others_alone(backend):
    rows = [[np.nan, 1.0], [np.inf, 1.0], [-np.inf, -np.inf], [0.0, 0.0]]
    np.testing.assert_array_equal(result(backend, rows), [[np.nan] * 2] * 3 + [[0.5, 0.5]])


@pytest.mark.parametrize("seed", range(5))
def test_it_solves_the_quadratic_programme(backend, seed):
    """Optimality: on the support z - p is one constant, the threshold; elsewhere z is at most that."""
    z = np.random.default_rng(seed).standard_normal((1, 200)).astype(np.float32).astype(np.float64)
    p = result(backend, z)[0].astype(np.float64)
    threshold = (z[0] - p)[p > 0]
    bound = tempscale.sparsemax.specification.contract.bound(z=1.0, n=200, u=2.0**-24, tiny=2.0**-126)
    assert np.ptp(threshold) <= 2 * bound
    assert (z[0][p == 0] <= threshold.mean() + bound).all()
    assert abs(p.sum() - 1) <= (p > 0).sum() * bound
