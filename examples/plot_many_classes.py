"""
Many classes, few rows
======================

With 40 classes and 15 rows of each no classifier is often right. But with calibrated probabilities it can
give a short list that holds the true class as often as it promises.
"""

# %%
# 40 classes
# ----------
# There are 15 training rows of each class, and each class has two clusters in 14 dimensions. That is far too
# little to learn the classes well.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_ils import InstanceSmoothedClassifier
from sk_ils.inspection import ReliabilityDisplay
from sk_ils.model_selection import CrossFittedClassifier


def make_data(seed):
    """Return training and test rows, their labels after them."""
    X, y = make_classification(
        n_samples=3600,
        n_features=24,
        n_informative=14,
        n_redundant=0,
        n_classes=40,
        class_sep=1.6,
        random_state=seed,
    )
    return train_test_split(X, y, train_size=600, stratify=y, random_state=seed)


def classifiers(seed):
    """Return unfitted classifiers by name."""

    def network(smoothing, **parameters):
        return InstanceSmoothedClassifier(smoothing=smoothing, random_state=seed, **parameters)

    return {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "hard labels": network("none"),
        "label smoothing": network("uniform"),
        "ILS2": network("ils2"),
        "ILS2, epsilon 0.3": network("ils2", smoothing__epsilon=0.3),
        "five networks, ILS2 0.3": CrossFittedClassifier(network("ils2", smoothing__epsilon=0.3)),
    }


# %%
# Short lists
# -----------
# The most probable classes of a row, as many as are needed for a probability of 90 % together. If the
# probabilities are right, nine lists in ten hold the true class.


def short_list(proba, promise=0.9):
    """Return which classes are on each row's list, of shape (n_samples, n_classes)."""
    order = np.argsort(-proba, axis=1)
    ranked = np.take_along_axis(proba, order, axis=1)
    is_needed = ranked.cumsum(axis=1) - ranked < promise  # the classes before it are not enough
    listed = np.zeros(proba.shape, dtype=bool)
    np.put_along_axis(listed, order, is_needed, axis=1)
    return listed


rows = []
for seed in range(3):
    X_train, X_test, y_train, y_test = make_data(seed)
    predictions = {}
    for name, clf in classifiers(seed).items():
        proba = predictions[name] = clf.fit(X_train, y_train).predict_proba(X_test)
        listed = short_list(proba)
        rows.append(
            {
                "": name,
                "log loss": log_loss(y_test, proba),
                "accuracy": (proba.argmax(axis=1) == y_test).mean(),
                "list is right": listed[np.arange(len(y_test)), y_test].mean(),
                "classes on it": listed.sum(axis=1).mean(),
            }
        )
print(pd.DataFrame(rows).groupby("", sort=False).mean().round(3).to_string())

# %%
# Logistic regression is right about as often as the networks, but it is far too sure of itself. Its lists
# have nine classes, and only seven in ten of them are right. One network needs nearly 20 classes to keep its
# promise, and keeps it, whatever its labels are: its temperature takes care of that.
#
# Smoothed labels make the log loss lower, and ILS2 with three times its default amount most of all. The
# average of five networks has the lowest log loss and the most right predictions. It is not sure enough, so
# that its lists are longer and more often right than they need be.

shown = {
    name: predictions[name] for name in ("logistic regression", "hard labels", "five networks, ILS2 0.3")
}
figure, ax = plt.subplots(figsize=(5, 6.5), layout="constrained")
reliability = ReliabilityDisplay.from_predictions(y_test, shown, n_bins=8, strategy="quantile", ax=ax)
plt.show()
