"""Plain torch modules that return probabilities, for use without this package."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

_HALVES = (torch.float16, torch.bfloat16)


class ProbabilityModule(nn.Module):
    """A copy of a network, and the softmax of its logits divided by a temperature.

    It is in evaluation mode, on the CPU, and its weights ask for no gradients.

    Parameters
    ----------
    network : torch module
        Returns logits, or a tuple with them in the first place.
    temperature : float
    """

    temperature: Tensor

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).cpu().requires_grad_(False)
        dtypes = [part.dtype for part in network.parameters() if part.is_floating_point()]
        # Not always float64, which some devices lack.
        dtype = torch.float64 if torch.float64 in dtypes else torch.float32
        self.register_buffer("temperature", torch.tensor(temperature, dtype=dtype))
        self.eval()

    def log_probabilities(self, X: Any) -> Tensor:
        """Return log(softmax(logits / temperature)), (n_samples, n_classes)."""
        output = self.network(**X) if isinstance(X, dict) else self.network(X)
        logits = output[0] if isinstance(output, tuple) else output
        if logits.dtype in _HALVES:
            logits = logits.float()
        # Quotients of logits that are not below zero could be infinite.
        return torch.log_softmax((logits - logits.amax(dim=1, keepdim=True)) / self.temperature, dim=1)

    def forward(self, X: Any) -> Tensor:
        """Return probabilities of shape (n_samples, n_classes)."""
        return self.log_probabilities(X).exp()


class MeanProbabilityModule(nn.Module):
    """The normalised geometric mean of the probabilities of several networks.

    Parameters
    ----------
    members : sequence of modules
        Each a ProbabilityModule.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.eval()

    def forward(self, X: Any) -> Tensor:
        """Return probabilities of shape (n_samples, n_classes)."""
        parts: Any = self.members
        mean = torch.stack([member.log_probabilities(X) for member in parts]).mean(dim=0)
        return mean.softmax(dim=1)
