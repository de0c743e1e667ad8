"""Synthetic problems with known class probabilities; NumPy only, nothing is downloaded."""

from __future__ import annotations  # help() shows types by their names

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Bunch, check_random_state

from sk_ils._sklearn_compat import Interval, InvalidParameterError, validate_parameter_constraints

__all__ = ["GaussianCircles", "make_gaussian_circles"]

Point = tuple[float, float]


@dataclass(frozen=True)
class GaussianCircles:
    r"""Classes in the plane, each a dense and a sparse Gaussian circle, all classes equally likely.

    The density of class k is

    .. math:: f_k(x) = w \, N(x; \mu_k, \sigma^2 I) + (1 - w) \, N(x; \nu_k, \tau^2 I)

    Parameters
    ----------
    dense_centers, sparse_centers : tuple of (float, float), one for each class
        :math:`\mu_k` and :math:`\nu_k`.
    dense_std, sparse_std : float
        :math:`\sigma` and :math:`\tau`, in (0, inf).
    dense_share : float, default=0.8
        w, the dense circle's share of a class, in (0, 1).

    Examples
    --------
    >>> from sk_ils.datasets import GaussianCircles
    >>> circles = GaussianCircles(((0, 0), (2, 0)), ((0, 3), (2, 3)), dense_std=1.0, sparse_std=0.5)
    >>> circles.posterior([[1.0, 0.0]])
    array([[0.5, 0.5]])
    """

    dense_centers: tuple[Point, ...]
    sparse_centers: tuple[Point, ...]
    dense_std: float
    sparse_std: float
    dense_share: float = 0.8

    def __post_init__(self) -> None:
        shapes = [np.shape(self.dense_centers), np.shape(self.sparse_centers)]
        if shapes[0] != shapes[1] or len(shapes[0]) != 2 or shapes[0][0] < 2 or shapes[0][1] != 2:
            raise InvalidParameterError(
                "dense_centers and sparse_centers must hold one point (x, y) for each of two or more "
                f"classes; got shapes {shapes[0]} and {shapes[1]}."
            )
        if not (self.dense_std > 0 and self.sparse_std > 0 and 0 < self.dense_share < 1):
            raise InvalidParameterError(
                "dense_std and sparse_std must be positive and dense_share in (0, 1); got "
                f"{self.dense_std}, {self.sparse_std} and {self.dense_share}."
            )

    def posterior(self, X: ArrayLike) -> NDArray[np.float64]:
        r"""Return the true class probabilities, :math:`f_k(x) / \sum_l f_l(x)`.

        Parameters
        ----------
        X : array-like of shape (n_samples, 2)
            Any points of the plane.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Rows sum to 1.
        """
        points = np.asarray(X, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"Expected points of shape (n_samples, 2), got {points.shape}.")
        dense = _log_density(points, self.dense_centers, self.dense_std) + np.log(self.dense_share)
        sparse = _log_density(points, self.sparse_centers, self.sparse_std) + np.log1p(-self.dense_share)
        log_density = np.logaddexp(dense, sparse)
        proba: NDArray[np.float64] = np.exp(log_density - log_density.max(axis=1, keepdims=True))
        proba /= proba.sum(axis=1, keepdims=True)
        return proba


def _log_density(points: NDArray[np.float64], centers: tuple[Point, ...], std: float) -> NDArray[np.float64]:
    """Return the log-density of each circle, shape (n_samples, n_classes), without -ln(2 pi)."""
    difference = points[:, None, :] - np.asarray(centers, dtype=np.float64)
    log_density: NDArray[np.float64] = -(difference**2).sum(axis=2) / (2 * std**2) - 2 * np.log(std)
    return log_density


# A reconstruction: see make_gaussian_circles.
_PAPER = GaussianCircles(
    dense_centers=((0.84, -1.22), (2.84, 0.89), (-0.91, 0.26)),
    sparse_centers=((2.55, 3.09), (-1.14, -1.69), (-1.4, 0.22)),
    dense_std=1.0,
    sparse_std=0.71,
)


def make_gaussian_circles(
    n_per_class: int = 50, *, circles: GaussianCircles | None = None, random_state: Any = None
) -> Bunch:
    """Draw from three overlapping classes in the plane, with their true probabilities.

    The synthetic problem of [1]_, appendix A. Its centres are not published. Ours are a
    reconstruction: of many that were tried, those on which the Bayes-optimal classifier and a plain
    network, trained as in the paper, come closest to the paper's Table V
    (``benchmarks/paper/gaussian_circles_search.py``; its result and what was compared are in
    ``benchmarks/results``). No network with smoothed labels was used for the choice.

    Parameters
    ----------
    n_per_class : int, default=50
        Samples of each class, of which round(dense_share * n_per_class) are from its dense circle;
        the paper's dense_share is 0.8.
    circles : GaussianCircles, default=None
        The classes; None is the reconstruction of the paper's.
    random_state : int, RandomState instance or None, default=None
        Draws the points and the order of the samples.

    Returns
    -------
    Bunch
        With the fields

        X : ndarray of shape (n_samples, 2)
            The points, in random order.
        y : int64 ndarray of shape (n_samples,)
            Classes from 0 to n_classes - 1, equally many of each.
        dense : bool ndarray of shape (n_samples,)
            Whether a sample is from the dense circle of its class.
        posterior : ndarray of shape (n_samples, n_classes)
            True probabilities of the classes; rows sum to 1.
        circles : GaussianCircles
            What the samples were drawn from; its ``posterior`` takes any other points.

    References
    ----------
    .. [1] M. Maher and M. Kull, "Instance-based Label Smoothing For Better Calibrated
       Classification Networks", ICMLA 2021, arXiv:2110.05355.

    Examples
    --------
    >>> from sk_ils.datasets import make_gaussian_circles
    >>> data = make_gaussian_circles(50, random_state=0)
    >>> data.X.shape, data.dense.mean()
    ((150, 2), np.float64(0.8))
    """
    constraints: dict[str, list[Any]] = {
        "n_per_class": [Interval(Integral, 1, None, closed="left")],
        "circles": [GaussianCircles, None],
        "random_state": ["random_state"],
    }
    parameters = {"n_per_class": n_per_class, "circles": circles, "random_state": random_state}
    validate_parameter_constraints(constraints, parameters, caller_name="make_gaussian_circles")
    circles = _PAPER if circles is None else circles
    n_classes = len(circles.dense_centers)
    rng = check_random_state(random_state)
    n_dense = round(circles.dense_share * n_per_class)
    y = np.repeat(np.arange(n_classes), n_per_class)
    dense = np.tile(np.arange(n_per_class) < n_dense, n_classes)
    order = rng.permutation(len(y))
    y, dense = y[order], dense[order]
    center = np.where(
        dense[:, None], np.take(circles.dense_centers, y, 0), np.take(circles.sparse_centers, y, 0)
    )
    std = np.where(dense, circles.dense_std, circles.sparse_std)
    X = center + std[:, None] * rng.standard_normal((len(y), 2))
    return Bunch(X=X, y=y, dense=dense, posterior=circles.posterior(X), circles=circles)
