"""The default network; any other torch module is the user's own."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["MLP"]

# Inputs of the first layer up to which columns are encoded: beyond that the encoding would be most
# of the network, and columns that many are seldom read one by one.
_MAX_ENCODED = 1024
# Standard deviations to which a value is clipped, smoothly.
_CLIP = 3.0
_HUGE = 1e18
# Rows that can tell a constant column.
_ENOUGH_ROWS = 10
# A spread below this is that of a constant; its inverse would overflow in float32.
_TINY = 1e-30
# A share of all weights by which sums of weights may differ from those of repeated rows.
_ROUND_OFF = 1e-9


class MLP(nn.Module):
    r"""Multi-layer perceptron for tables, with ReLU units, that returns one logit per class.

    It scales and encodes the columns itself, by what :meth:`adapt` has seen of the training rows,
    so that a scaler in front changes nothing. Every column enters twice: standardised,
    :math:`z = (x - \mu) / \sigma`, and smoothly clipped to three standard deviations [1]_,

    .. math:: z / \sqrt{1 + (z / 3)^2},

    and encoded piecewise linearly [2]_ in `n_bins` bins between quantiles :math:`q_0, ..., q_B`,

    .. math:: e_b(x) = \min(1, \max(0, (x - q_{b-1}) / (q_b - q_{b-1}))), \quad b = 1, ..., B.

    So one linear layer can tell the parts of a column from one another. The weights of the encoding
    start at 0: the network begins as one without it, which suits columns that need none.

    Parameters
    ----------
    n_features_in : int
        Number of input values per sample; inputs with more than two dimensions are flattened.
    n_classes : int
        Number of classes.
    hidden_sizes : sequence of int, default=(128, 128)
        Units of each hidden layer, at least 1; empty for a linear model.
    n_bins : int, default=8
        Bins of a column; 0 leaves the encoding out. It is left out, too, where the first layer
        would have more than 1024 inputs.

    Raises
    ------
    ValueError
        If a hidden layer has no units, or `n_bins` is negative.

    References
    ----------
    .. [1] D. Holzmueller, L. Grinsztajn, I. Steinwart: Better by Default: Strong Pre-Tuned MLPs and
       Boosted Trees on Tabular Data, NeurIPS 2024.
    .. [2] Y. Gorishniy, I. Rubachev, A. Babenko: On Embeddings for Numerical Features in Tabular
       Deep Learning, NeurIPS 2022, Eq. 1.

    Examples
    --------
    >>> import torch
    >>> MLP(4, 3)(torch.zeros(2, 4)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        n_features_in: int,
        n_classes: int,
        hidden_sizes: Sequence[int] = (128, 128),
        *,
        n_bins: int = 8,
    ) -> None:
        super().__init__()
        # torch would build layers without units, and classify by a constant.
        if not all(isinstance(size, int | np.integer) and size >= 1 for size in hidden_sizes):
            raise ValueError("hidden_sizes must be integers of at least 1, one for each hidden layer")
        if not (isinstance(n_bins, int | np.integer) and n_bins >= 0):
            raise ValueError("n_bins must be an integer of at least 0")
        self.columns = _Columns(n_features_in, n_bins if n_features_in * (n_bins + 1) <= _MAX_ENCODED else 0)
        sizes = [n_features_in, *hidden_sizes, n_classes]
        first, *others = [nn.Linear(size_in, size_out) for size_in, size_out in pairwise(sizes)]
        encoding = torch.zeros(sizes[1], self.columns.slopes.numel())
        first.weight = nn.Parameter(torch.cat((first.weight.detach(), encoding), dim=1))
        first.in_features = first.weight.shape[1]
        self.layers = nn.Sequential(first, *(part for layer in others for part in (nn.ReLU(), layer)))

    def adapt(self, X: Tensor, sample_weight: Tensor | None = None) -> None:
        """Take each column's mean, standard deviation and quantiles from training rows.

        A constant column counts as 0, whatever it holds later; of fewer than 10 rows nobody knows
        that, and it is only centred.

        Parameters
        ----------
        X : Tensor of shape (n_samples, ...)
            Rows to be trained on.
        sample_weight : Tensor of shape (n_samples,), default=None
            A row of weight 2 counts as two rows; None weighs all alike.
        """
        self.columns.adapt(X, sample_weight)

    def forward(self, X: Tensor) -> Tensor:
        """Return logits of shape (n_samples, n_classes) for inputs of shape (n_samples, ...)."""
        logits: Tensor = self.layers(self.columns(X))
        return logits


class _Columns(nn.Module):
    """Scaled values of rows and their encodings, (n_samples, n_features * (1 + n_bins))."""

    mean: Tensor
    factor: Tensor
    edges: Tensor
    slopes: Tensor

    def __init__(self, n_features: int, n_bins: int) -> None:
        super().__init__()
        self.n_bins = n_bins
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("factor", torch.ones(n_features))
        self.register_buffer("edges", torch.zeros(n_features, n_bins))
        self.register_buffer("slopes", torch.zeros(n_features, n_bins))

    def adapt(self, X: Tensor, sample_weight: Tensor | None) -> None:
        values = X.flatten(1).double().cpu().numpy()
        weight = np.ones(len(values)) if sample_weight is None else sample_weight.double().cpu().numpy()
        values, weight = values[weight > 0], weight[weight > 0]
        mean = np.average(values, axis=0, weights=weight)
        spread = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weight))
        spread[spread <= _ROUND_OFF * np.abs(mean)] = 0  # of a constant nothing but round-off
        self.mean.copy_(torch.from_numpy(mean))
        constant = 0.0 if len(values) >= _ENOUGH_ROWS else 1.0
        self.factor.copy_(torch.from_numpy(np.where(spread > _TINY, _inverse(spread), constant)))
        if self.n_bins:
            quantiles = _quantiles(values, weight, np.linspace(0, 1, self.n_bins + 1))
            self.edges.copy_(torch.from_numpy(quantiles[:-1].T))
            self.slopes.copy_(torch.from_numpy(_inverse(np.diff(quantiles, axis=0).T)))

    def forward(self, X: Tensor) -> Tensor:
        X = X.flatten(1)
        # Squares must stay finite, whatever comes.
        scaled = ((X - self.mean) * (self.factor / _CLIP)).clamp(-_HUGE, _HUGE)
        scaled = _CLIP * scaled * (1 + scaled.square()).rsqrt()
        if not self.n_bins:
            return scaled
        encoded = ((X.unsqueeze(2) - self.edges) * self.slopes).clamp(0, 1)
        return torch.cat((scaled, encoded.flatten(1)), dim=1)


def _inverse(spread: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(spread > _TINY, 1 / np.maximum(spread, _TINY), 0)


def _quantiles(
    columns: NDArray[np.float64], weight: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the values up to which shares of the weights lie, (n_shares, n_columns)."""
    order = np.argsort(columns, axis=0, kind="stable")
    ranked = np.take_along_axis(columns, order, axis=0)
    cumulated = np.cumsum(weight[order], axis=0)
    wanted = shares[:, None] * cumulated[-1] * (1 - _ROUND_OFF)
    places = (cumulated[None] < wanted[:, None]).sum(axis=1)
    return np.take_along_axis(ranked, np.minimum(places, len(columns) - 1), axis=0)
