"""A small data set, and what every test of a benchmark must leave alone."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification


@pytest.fixture(scope="session")
def table():
    """Three classes with string labels, float64 columns, hard enough that no network is certain."""
    X, y = make_classification(
        n_samples=240, n_features=6, n_informative=4, n_classes=3, flip_y=0.1, random_state=0
    )
    return X, np.array(["ant", "bee", "cat"])[y]


@pytest.fixture(autouse=True)
def _global_generators_stay_untouched():
    """No test, and so no fit in it, may move torch's global generator."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state())
