"""
A table with texts, categories and gaps
=======================================

Few tables are all numbers. skrub's ``tabular_pipeline`` makes numbers of columns of any kind, and the network
follows in the same pipeline. Labels stay strings.
"""

# %%
# The table
# ---------
# Parcels, and how each of them arrived. We draw the table ourselves, so the true probabilities are known. It
# has categories, addresses of which most come only a few times, a date, numbers, and gaps in three columns.
# This example needs ``pip install skrub``.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split
from skrub import tabular_pipeline

from sk_ils import InstanceSmoothedClassifier
from sk_ils.inspection import ReliabilityDisplay
from sk_ils.metrics import calibration_report

OUTCOMES = np.array(["damaged", "late", "on time"])


def make_parcels(n_rows, seed):
    """Return a table of parcels, how each arrived, and the true probabilities of that."""
    rng = np.random.default_rng(seed)
    carrier = rng.choice(["Bike & Co", "Northern Post", "Rapid"], size=n_rows, p=[0.2, 0.5, 0.3])
    content = rng.choice(["books", "glass", "shoes", "spare parts"], size=n_rows)
    kilometres = rng.gamma(2.0, 150.0, size=n_rows)
    kilograms = rng.lognormal(0.5, 0.8, size=n_rows)
    posted = pd.Timestamp("2025-01-06") + pd.to_timedelta(rng.integers(0, 360, size=n_rows), unit="D")
    is_december = posted.month == 12
    street = rng.choice(["Main St", "Mill Lane", "High St", "Station Road"], size=n_rows)
    address = [f"{number} {name}" for number, name in zip(rng.integers(1, 200, n_rows), street, strict=True)]
    late = (
        0.004 * kilometres
        + 1.5 * is_december
        - 1.2 * (carrier == "Rapid")
        + 0.8 * (street == "Mill Lane")
        - 2
    )
    damaged = 1.8 * (content == "glass") + 0.4 * kilograms - 1.0 * (carrier == "Bike & Co") - 3
    logits = np.column_stack((damaged, late, np.zeros(n_rows)))
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    arrived = OUTCOMES[(logits + rng.gumbel(size=logits.shape)).argmax(axis=1)]
    table = pd.DataFrame(
        {
            "carrier": carrier,
            "content": content,
            "address": address,
            "posted": posted,
            "kilometres": kilometres.round(),
            "kilograms": kilograms.round(1),
        }
    )
    for column in ("content", "kilometres", "kilograms"):
        table[column] = table[column].mask(rng.random(n_rows) < 0.1)
    return table, arrived, proba


X, y, truth = make_parcels(6000, seed=0)
X_train, X_test, y_train, y_test, _, truth_test = train_test_split(
    X, y, truth, train_size=2000, random_state=0
)
print(X_train.head(4).to_string())
print(pd.Series(y_train).value_counts().to_dict())

# %%
# The pipeline
# ------------
# It encodes each column by its type, fills the gaps and scales.

model = tabular_pipeline(InstanceSmoothedClassifier(random_state=0))
# The encoder of texts draws random numbers, too.
model.set_params(tablevectorizer__high_cardinality__random_state=0).fit(X_train, y_train)
print("steps:", ", ".join(model.named_steps))
print("columns that the network sees:", model[-1].n_features_in_)

# %%
# Two parcels
# -----------
# The pipeline takes what it was trained on: columns with the same names, strings, and gaps.

parcels = pd.DataFrame(
    {
        "carrier": ["Rapid", "Bike & Co"],
        "content": ["glass", None],
        "address": ["12 Mill Lane", "1 Main St"],
        "posted": pd.to_datetime(["2025-12-20", "2025-06-01"]),
        "kilometres": [800.0, np.nan],
        "kilograms": [2.0, 1.5],
    }
)
print(pd.DataFrame(model.predict_proba(parcels), columns=model.classes_).round(2))

# %%
# Are they right?
# ---------------
# The network beside the true probabilities, on 4,000 test parcels. Even whoever knows these is right about
# only two thirds of them. And the truth knows what is missing in the gaps, so no classifier can reach it. The
# error of the network's confidence is below what chance alone may leave (``null_high``). That of all its
# probabilities, class by class, is a little above.

proba = model.predict_proba(X_test)
report = calibration_report(y_test, {"network": proba, "truth": truth_test}, random_state=0)
table = report.frame()[["value", "null_high"]].unstack(level=0)
print(table[[("value", "network"), ("value", "truth"), ("null_high", "network")]].round(3).to_string())

# %%
# Class by class. "Damaged" is the rarest: few parcels get more than 0.4 for it, and of these more are damaged
# than the network says. "Late" comes a little less often than it says.

display = ReliabilityDisplay.from_predictions(y_test, proba, kind="classwise", n_bins=10)
plt.show()
