"""Networks for Fashion-MNIST: a small convolutional one for CPUs, and a residual one for GPUs."""

from torch import nn

__all__ = ["SmallConvNet", "SmallResNet"]


class SmallConvNet(nn.Module):
    """Two convolutions with pooling and a linear layer, for 28 x 28 images given as 784 values."""

    def __init__(self, n_classes=10):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Unflatten(1, (1, 28, 28)),
            nn.Conv2d(1, 8, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(784, n_classes),
        )

    def forward(self, X):
        """Return logits (n, K) for rows of 784 values."""
        return self.layers(X)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation beside a shortcut (He et al. 2016, Fig. 2)."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
            nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, X):
        """Return the block's output, ReLU(body + shortcut)."""
        return nn.functional.relu(self.body(X) + self.shortcut(X))


class SmallResNet(nn.Module):
    """ResNet-14 with 32, 64 and 128 channels, for 28 x 28 images given as 784 values.

    With a width of 64 and four stages, ResNet-18 with its first layer for small images.
    """

    def __init__(self, n_classes=10, width=32, n_blocks=2, n_stages=3):
        super().__init__()
        layers = [
            nn.Unflatten(1, (1, 28, 28)),
            nn.Conv2d(1, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        n_in = width
        for stage in range(n_stages):
            n_out = width * 2**stage
            for block in range(n_blocks):
                layers.append(ResidualBlock(n_in, n_out, 2 if stage and not block else 1))
                n_in = n_out
        self.layers = nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_in, n_classes)
        )

    def forward(self, X):
        """Return logits (n, K) for rows of 784 values."""
        return self.layers(X)
