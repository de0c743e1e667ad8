"""
Boosted trees as teacher, and the leak
======================================

The teacher of a network may be any classifier. Trees know the rows that they were trained on by heart, so
what they say of these rows tells nothing. ``teacher_cv`` asks them out of fold.
"""

# %%
# A table for trees
# -----------------
# The classes depend on steps of single columns and on pairs of them. Trees learn that easily, networks do
# not. The other columns are noise, and so are the labels, in part.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import cross_val_predict, train_test_split

from sk_ils import InstanceSmoothedClassifier
from sk_ils.inspection import SmoothingCurveDisplay
from sk_ils.smoothing import SelfDistillation
from sk_ils.temperature import TemperatureScaledClassifier


def make_data(seed):
    """Return training and test rows of three classes."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(7000, 12))
    above = X > 0
    logits = 6 * np.column_stack(
        (above[:, 0] ^ above[:, 1], above[:, 2] ^ above[:, 3], 0.6 * above[:, 4] + 0.6 * (X[:, 0] > 0.3))
    )
    y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)  # drawn by the softmax of the logits
    return train_test_split(X, y, train_size=1500, stratify=y, random_state=seed)


# %%
# The leak
# --------
# How probable is the true label of a training row? The fitted trees say: nearly certain. Asked about rows
# that they have not seen, in a cross-validation, they are in doubt about many.

X_train, X_test, y_train, y_test = make_data(0)
trees = HistGradientBoostingClassifier(random_state=0)
in_sample = trees.fit(X_train, y_train).predict_proba(X_train)
out_of_fold = cross_val_predict(trees, X_train, y_train, cv=5, method="predict_proba")
print(f"log loss of training rows they have seen  {log_loss(y_train, in_sample):.3f}")
print(f"log loss of training rows, out of fold    {log_loss(y_train, out_of_fold):.3f}")
print(f"log loss of test rows                     {log_loss(y_test, trees.predict_proba(X_test)):.3f}")

# %%
# Self-distillation, as a rule, mixes the label with what the teacher says of the row. The line is what leaves
# the true class, for each probability that the teacher may give to it. The strip shows how often which
# probability comes. With rows that the trees have seen, nearly all labels stay as hard as they were.

figure, axes = plt.subplots(1, 2, figsize=(9, 5), layout="constrained", sharey=True)
for ax, (name, proba) in zip(axes, {"in sample": in_sample, "out of fold": out_of_fold}.items(), strict=True):
    SmoothingCurveDisplay.from_predictions(y_train, proba, smoothing=SelfDistillation(), name=name, ax=ax)

# %%
# What it does to the student
# ---------------------------
# The same network, taught in four ways, and the trees themselves. The numbers are means over three data sets.

STUDENTS = {
    "hard labels": {"smoothing": "none"},
    "taught by a network": {"smoothing": "distillation"},
    "taught by trees, in sample": {"smoothing": "distillation", "teacher": trees},
    "taught by trees, out of fold": {"smoothing": "distillation", "teacher": trees, "teacher_cv": 5},
}

rows = []
for seed in range(3):
    X_train, X_test, y_train, y_test = make_data(seed)
    models = {name: InstanceSmoothedClassifier(random_state=seed, **how) for name, how in STUDENTS.items()}
    models["the trees, with a temperature"] = TemperatureScaledClassifier(trees)
    for name, clf in models.items():
        proba = clf.fit(X_train, y_train).predict_proba(X_test)
        accuracy = accuracy_score(y_test, clf.classes_[proba.argmax(axis=1)])
        rows.append({"seed": seed, "": name, "log loss": log_loss(y_test, proba), "accuracy": accuracy})
table = pd.DataFrame(rows)
print(table.groupby("", sort=False)[["log loss", "accuracy"]].mean().round(3).to_string())

losses = table.pivot(index="seed", columns="", values="log loss")
difference = losses["taught by trees, out of fold"] - losses["taught by trees, in sample"]
print(f"\nout of fold minus in sample: {difference.mean():.3f} nats, standard error {difference.sem():.3f}")

# %%
# Trees that are asked about the rows they know teach nothing: the student is as good as one on hard labels.
# Asked out of fold they teach something, about as much as a network does that is trained on the same rows.
# The gain is small, not much above its standard error.
#
# And it is far from what the trees themselves can do on this table. Where trees are so much better, take the
# trees, with a temperature: :class:`sk_ils.temperature.TemperatureScaledClassifier` works for any classifier.

plt.show()
