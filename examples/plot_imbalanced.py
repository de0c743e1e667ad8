"""
Rare classes: what weights do to probabilities
==============================================

Where one class is rare, its rows are often given larger weights. More of them are found then. But the
probabilities are those of a world in which the class is not rare, and are too high by far in ours.
"""

# %%
# With weights and without
# ------------------------
# One row in twenty belongs to class 1. The second network gets the weights that ``class_weight="balanced"``
# stands for in scikit-learn: all rows of class 1 together weigh as much as all of class 0.

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.metrics import PrecisionRecallDisplay, log_loss, precision_score, recall_score
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_sample_weight

from sk_ils import InstanceSmoothedClassifier
from sk_ils.inspection import ReliabilityDisplay


def make_data(seed):
    """Return training and test rows of which about 5 % are of class 1."""
    X, y = make_classification(
        n_samples=13000,
        n_features=10,
        n_informative=6,
        n_clusters_per_class=3,
        weights=[0.95],
        class_sep=0.8,
        random_state=seed,
    )
    return train_test_split(X, y, train_size=3000, stratify=y, random_state=seed)


def fit_both(seed):
    """Return the test rows' labels and probabilities of class 1, and the ratio of the weights."""
    X_train, X_test, y_train, y_test = make_data(seed)
    weight = compute_sample_weight("balanced", y_train)
    plain = InstanceSmoothedClassifier(random_state=seed).fit(X_train, y_train)
    weighted = InstanceSmoothedClassifier(random_state=seed).fit(X_train, y_train, sample_weight=weight)
    proba = {
        "no weights": plain.predict_proba(X_test)[:, 1],
        "balanced": weighted.predict_proba(X_test)[:, 1],
    }
    return y_test, proba, weight[y_train == 1][0] / weight[y_train == 0][0]


# %%
# Weights can be taken back
# -------------------------
# The weights have multiplied the odds of class 1, :math:`p / (1 - p)`, by the ratio of the weights, about 17.
# Whoever knows the ratio can divide by it.


def take_back(proba, ratio):
    """Return probabilities of class 1 as they would be without weights."""
    odds = proba / (1 - proba) / ratio
    return odds / (1 + odds)


runs = []
for seed in range(3):
    y_test, proba, ratio = fit_both(seed)
    proba["balanced, taken back"] = take_back(proba["balanced"], ratio)
    runs.append((y_test, proba, ratio))

# %%
# What the probabilities are worth
# --------------------------------
# The last of three data sets. Of the rows to which the balanced network gives a probability of about 0.5, not
# one in ten is of class 1. The two others are on the other side of the diagonal: where they say 0.5, class 1
# comes more often than that. But few rows are there. Nearly all are in the first bin, as the strip above the
# diagram shows, and so their class-wise error is small beside that of the balanced network.

reliability = ReliabilityDisplay.from_predictions(y_test, proba, kind=1, n_bins=10)

# %%
# The means over three data sets: how often class 1 is there, how often each network expects it on average,
# and the log loss. The balanced network expects class 1 four times as often as it comes. Taking the weights
# back mends most of that, but not all: the network without weights has the lowest log loss.

rows = [
    {"network": name, "frequency": y.mean(), "expected": p.mean(), "log loss": log_loss(y, p)}
    for y, predictions, _ in runs
    for name, p in predictions.items()
]
print(pd.DataFrame(rows).groupby("network", sort=False).mean().round(3))

# %%
# And if more of class 1 must be found?
# -------------------------------------
# Then lower the threshold. "Balanced" with the threshold 0.5 treats a missed row of class 1 as 17 times as
# bad as a false alarm. A network without weights does that with the threshold 1 / (1 + 17), about 0.05, and
# its probabilities still mean what they say. Here are the rows that are found (recall), and the share of the
# alarms that are right (precision).

rows = []
for y, predictions, ratio in runs:
    for name, p, threshold in (
        ("no weights, threshold 0.5", predictions["no weights"], 0.5),
        ("no weights, threshold 0.05", predictions["no weights"], 1 / (1 + ratio)),
        ("balanced, threshold 0.5", predictions["balanced"], 0.5),
    ):
        found = p >= threshold
        rows.append({"": name, "recall": recall_score(y, found), "precision": precision_score(y, found)})
print(pd.DataFrame(rows).groupby("", sort=False).mean().round(3))

# %%
# So the threshold finds at least as many rows of class 1 as the weights, with fewer false alarms. On the last
# data set it is so for nearly all thresholds. Here class 1 is not found better by a network that was trained
# with weights.

figure, ax = plt.subplots(figsize=(5.5, 5), layout="constrained")
for name, color in (("no weights", "#0072B2"), ("balanced", "#D55E00")):
    PrecisionRecallDisplay.from_predictions(
        y_test, proba[name], name=name, ax=ax, curve_kwargs={"color": color}
    )
ax.set(xlabel="Recall of class 1", ylabel="Precision of class 1", xlim=(0, 1.02), ylim=(0, 1.02))
plt.show()
