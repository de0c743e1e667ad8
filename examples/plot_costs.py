"""
Decisions with costs: what overconfidence is charged
====================================================

Probabilities are there to decide with. Classifiers that are too sure promise low costs, and then the bill
comes. The same classifiers with a temperature decide better, and their promise is kept.
"""

# %%
# Ship, inspect or scrap?
# -----------------------
# A part may be broken. Each decision has its price, in euros, and the best one depends on the probability
# :math:`p` that the part is broken: ship it if :math:`p` is below 0.1, scrap it above 0.75, inspect it in
# between. For the share of right predictions only the side of 0.5 matters. For the costs other probabilities
# do.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split

from sk_ils import InstanceSmoothedClassifier, TeacherClassifier
from sk_ils.inspection import ReliabilityDisplay
from sk_ils.temperature import TemperatureScaledClassifier

COSTS = pd.DataFrame({"good": [0, 10, 40], "broken": [100, 10, 0]}, index=["ship", "inspect", "scrap"])
print(COSTS)


def decide(p):
    """Return the cheapest decision of each part, and the cost that it is expected to have."""
    expected = np.outer(1 - p, COSTS["good"]) + np.outer(p, COSTS["broken"])
    return expected.argmin(axis=1), expected.min(axis=1)


# %%
# Who is too sure
# ---------------
# Boosted trees as they come; a network that is trained on all rows for 100 epochs, without a hold-out; both
# with a temperature, which :class:`sk_ils.temperature.TemperatureScaledClassifier` finds in a
# cross-validation; and our network as it comes.


def make_data(seed):
    """Return training and test rows, their labels after them; 1 is a broken part."""
    X, y = make_classification(
        n_samples=11000,
        n_features=20,
        n_informative=6,
        n_redundant=8,
        n_clusters_per_class=3,
        weights=[0.8],
        class_sep=0.9,
        flip_y=0.06,
        random_state=seed,
    )
    return train_test_split(X, y, train_size=1000, stratify=y, random_state=seed)


def classifiers(seed):
    """Return unfitted classifiers by name."""
    trees = HistGradientBoostingClassifier(random_state=seed)
    network = TeacherClassifier(train_split=None, random_state=seed)
    return {
        "trees": trees,
        "trees, temperature": TemperatureScaledClassifier(trees),
        "network without hold-out": network,
        "network without hold-out, temperature": TemperatureScaledClassifier(network),
        "InstanceSmoothedClassifier": InstanceSmoothedClassifier(random_state=seed),
    }


rows = []
for seed in range(3):
    X_train, X_test, y_train, y_test = make_data(seed)
    proba = {}
    for name, clf in classifiers(seed).items():
        p = proba[name] = clf.fit(X_train, y_train).predict_proba(X_test)[:, 1]
        decision, promised = decide(p)
        paid = COSTS.to_numpy()[decision, y_test]
        accuracy = ((p > 0.5) == y_test).mean()
        rows.append({"": name, "accuracy": accuracy, "promised": promised.mean(), "paid": paid.mean()})

# %%
# The last data set. Most parts are in the first bin, and there it matters: where trees and network say that
# hardly any part is broken, about one in ten is, and all these parts are shipped.

shown = ["trees", "network without hold-out", "InstanceSmoothedClassifier"]
figure, ax = plt.subplots(figsize=(5, 6.5), layout="constrained")
reliability = ReliabilityDisplay.from_predictions(
    y_test, {name: proba[name] for name in shown}, kind=1, n_bins=10, ax=ax
)

# %%
# The bill
# --------
# Costs of a part, as the classifier expects them and as they come; means over three data sets with 10,000
# test parts each.

table = pd.DataFrame(rows).groupby("", sort=False).mean()
print(table.round(2).to_string())
print(f"everything inspected: 10, everything shipped: {100 * y_test.mean():.2f}")

figure, ax = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
table[["promised", "paid"]].plot.barh(ax=ax, color=["#56B4E9", "#0072B2"], width=0.7)
ax.axvline(10, color="0.5", linestyle=":", linewidth=1)
ax.text(10.1, -0.3, "inspect\nall", color="0.4", va="center")
ax.invert_yaxis()
ax.set(xlabel="Costs of a part (euros)", ylabel="", xlim=(0, 12))
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))

# %%
# All are right about equally often. But as they come, trees and network promise less than half of what must
# be paid. With a temperature both cost less, and their promises come near to what is paid. The network
# without a hold-out still promises somewhat too little. The network that holds rows out keeps its promise
# from the start. The cheapest decisions are those of the trees with a temperature: they know the most about
# these parts, once they say it in the right numbers.

plt.show()
