"""The network of the benchmarks that compare methods or speed: nothing but linear layers and ReLU units."""

from itertools import pairwise

from torch import nn

__all__ = ["OLD_NETWORK", "PlainMLP"]


class PlainMLP(nn.Module):
    """Multi-layer perceptron that takes its input as it is, as the package's default once did."""

    def __init__(self, n_features_in, n_classes, hidden_sizes=(128, 128)):
        super().__init__()
        sizes = [n_features_in, *hidden_sizes]
        layers = [nn.Flatten()]
        for size_in, size_out in pairwise(sizes):
            layers += [nn.Linear(size_in, size_out), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], n_classes))

    def forward(self, X):
        """Return logits."""
        return self.layers(X)


#: What the default network and its training were when the twelve tables were run.
OLD_NETWORK = {"module": PlainMLP, "patience": None}
