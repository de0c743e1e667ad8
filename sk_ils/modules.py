"""The default network; any other torch module is the user's own."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from torch import Tensor, nn

__all__ = ["MLP"]


class MLP(nn.Module):
    """Multi-layer perceptron with ReLU units that returns one logit per class.

    Parameters
    ----------
    n_features_in : int
        Number of input values per sample; inputs with more than two dimensions are flattened.
    n_classes : int
        Number of classes.
    hidden_sizes : sequence of int, default=(128, 128)
        Units of each hidden layer, at least 1; empty for a linear model.

    Raises
    ------
    ValueError
        If a hidden layer has no units.

    Examples
    --------
    >>> import torch
    >>> MLP(4, 3)(torch.zeros(2, 4)).shape
    torch.Size([2, 3])
    """

    def __init__(self, n_features_in: int, n_classes: int, hidden_sizes: Sequence[int] = (128, 128)) -> None:
        super().__init__()
        # torch would build layers without units, and classify by a constant.
        if not all(isinstance(size, int | np.integer) and size >= 1 for size in hidden_sizes):
            raise ValueError("hidden_sizes must be integers of at least 1, one for each hidden layer")
        sizes = [n_features_in, *hidden_sizes]
        layers: list[nn.Module] = [nn.Flatten()]
        for size_in, size_out in pairwise(sizes):
            layers += [nn.Linear(size_in, size_out), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], n_classes))

    def forward(self, X: Tensor) -> Tensor:
        """Return logits of shape (n_samples, n_classes) for inputs of shape (n_samples, ...)."""
        logits: Tensor = self.layers(X)
        return logits
