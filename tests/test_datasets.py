"""The synthetic problem: exact posteriors, what is drawn, and how far it is the paper's."""

import numpy as np
import pytest
from scipy.stats import kstest, multivariate_normal

from sk_ils._sklearn_compat import InvalidParameterError
from sk_ils.datasets import GaussianCircles, make_gaussian_circles

OTHER = GaussianCircles(
    dense_centers=((0.0, 0.0), (3.0, 1.0)),
    sparse_centers=((1.0, 1.0), (-2.0, 0.0)),
    dense_std=0.7,
    sparse_std=1.6,
    dense_share=0.6,
)


@pytest.fixture(scope="module")
def large():
    return make_gaussian_circles(100_000, random_state=0)


@pytest.mark.parametrize("circles", [None, OTHER])
def test_the_posterior_is_bayes_rule(circles):
    data = make_gaussian_circles(200, circles=circles, random_state=0)
    circles = data.circles
    share = circles.dense_share
    density = np.column_stack(
        [
            share * multivariate_normal(dense, circles.dense_std**2).pdf(data.X)
            + (1 - share) * multivariate_normal(sparse, circles.sparse_std**2).pdf(data.X)
            for dense, sparse in zip(circles.dense_centers, circles.sparse_centers, strict=True)
        ]
    )
    np.testing.assert_allclose(data.posterior, density / density.sum(axis=1, keepdims=True), rtol=1e-10)
    np.testing.assert_array_equal(data.posterior, circles.posterior(data.X))


def test_the_posterior_is_a_probability_far_outside_too():
    far = np.array([[1e3, 0.0], [-1e3, 5e2], [0.0, 0.0], [1e6, -1e6]])
    posterior = make_gaussian_circles(1).circles.posterior(far)
    assert np.isfinite(posterior).all()
    np.testing.assert_allclose(posterior.sum(axis=1), 1, rtol=1e-12)


def test_the_stated_probabilities_are_those_of_the_labels(large):
    """Among rows with a stated probability in a bin, that share has the class."""
    for k in range(3):
        stated = large.posterior[:, k]
        bins = np.digitize(stated, np.linspace(0, 1, 21)[1:-1])
        count = np.bincount(bins, minlength=20)
        gap = np.bincount(bins, stated - (large.y == k), minlength=20) / np.maximum(count, 1)
        error = np.sqrt(0.25 / np.maximum(count, 1))
        assert (abs(gap) < 4.5 * error).all()


def test_rows_are_shared_out_between_classes_and_circles_exactly():
    data = make_gaussian_circles(50, random_state=0)
    assert data.X.shape == (150, 2)
    np.testing.assert_array_equal(np.bincount(data.y), [50] * 3)
    np.testing.assert_array_equal(np.bincount(data.y, data.dense), [40] * 3)
    assert np.bincount(make_gaussian_circles(50, circles=OTHER).y, minlength=3).tolist() == [50, 50, 0]
    assert make_gaussian_circles(1, random_state=0).dense.all()


def test_points_are_normal_about_the_centre_of_their_circle(large):
    circles = large.circles
    for dense, centers, std in (
        (True, circles.dense_centers, circles.dense_std),
        (False, circles.sparse_centers, circles.sparse_std),
    ):
        for k, center in enumerate(centers):
            points = (large.X[(large.dense == dense) & (large.y == k)] - center) / std
            assert kstest(points.ravel(), "norm").pvalue > 1e-4


def test_rows_are_in_random_order():
    data = make_gaussian_circles(500, random_state=0)
    halves = np.array_split(np.arange(1500), 2)
    for half in halves:
        assert (np.bincount(data.y[half]) > 200).all()
        assert 0.7 < data.dense[half].mean() < 0.9


def test_a_seed_gives_the_same_rows_and_another_seed_others():
    one, same, other = (make_gaussian_circles(20, random_state=seed) for seed in (3, 3, 4))
    for name in ("X", "y", "dense", "posterior"):
        np.testing.assert_array_equal(one[name], same[name])
    assert (one.X != other.X).all()
    state = np.random.RandomState(3)
    np.testing.assert_array_equal(make_gaussian_circles(20, random_state=state).X, one.X)
    assert (make_gaussian_circles(20, random_state=state).X != one.X).all()


def test_the_best_possible_classifier_is_as_good_as_the_papers(large):
    """Table V, row Bayes-optimal: 81.98, dense 82.94, sparse 78.14 %, cross-entropy .4444."""
    hit = large.posterior.argmax(axis=1) == large.y
    # three standard errors of 300 000 rows, and what rounding the centres cost
    assert abs(hit.mean() - 0.8198) < 0.003
    assert abs(hit[large.dense].mean() - 0.8294) < 0.003
    assert abs(hit[~large.dense].mean() - 0.7814) < 0.006
    cross_entropy = -np.log(large.posterior[np.arange(len(large.y)), large.y]).mean()
    assert abs(cross_entropy - 0.4444) < 0.004


@pytest.mark.parametrize(
    "parameters",
    [{"n_per_class": 0}, {"n_per_class": 2.5}, {"circles": "paper"}, {"random_state": "seed"}],
)
def test_bad_parameters_are_refused(parameters):
    with pytest.raises(InvalidParameterError):
        make_gaussian_circles(**parameters)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dense_std": 0.0}, "must be positive"),
        ({"dense_share": 1.0}, r"dense_share in \(0, 1\)"),
        ({"sparse_centers": ((0.0, 0.0),)}, r"shapes \(2, 2\) and \(1, 2\)"),
        ({"dense_centers": (0.0, 1.0), "sparse_centers": (0.0, 1.0)}, "one point"),
    ],
)
def test_bad_circles_are_refused(changed, message):
    with pytest.raises(InvalidParameterError, match=message):
        GaussianCircles(**(vars(OTHER) | changed))


@pytest.mark.parametrize("X", [[0.0, 1.0], [[0.0, 1.0, 2.0]]])
def test_points_off_the_plane_are_refused(X):
    with pytest.raises(ValueError, match=r"shape \(n_samples, 2\)"):
        OTHER.posterior(X)
