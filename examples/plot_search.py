"""
Which smoothing, and how much?
==============================

Labels can be smoothed by several rules, each with parameters of its own, and no setting is best for all data.
A search asks the data. This one trains all its candidates as one network, and its scores are drawn.
"""

# %%
# The search
# ----------
# Without a grid of our own, :class:`sk_ils.SmoothingSearchCV` compares no smoothing, constant smoothing
# ("uniform"), the paper's ILS1, ILS2 and ILS, and self-distillation. Every candidate is scored by its
# cross-entropy on held-out folds, after temperature scaling. The scaler belongs to the model, so that it
# never sees a fold's test rows.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV, TeacherClassifier
from sk_ils.inspection import SearchDisplay
from sk_ils.metrics import calibration_report

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=1000, stratify=y, random_state=0)

network = {"module__hidden_sizes": (64, 64), "max_epochs": 30, "random_state": 0}
model = make_pipeline(StandardScaler(), InstanceSmoothedClassifier(**network))
search = SmoothingSearchCV(model, cv=3).fit(X_train, y_train)
candidates = search.cv_results_["params"]
print(f"{len(candidates)} candidates, {search.n_splits_} folds")

# %%
# The best of each rule
# ---------------------
# A display also returns its numbers: here the best candidate of each rule, with the standard error of its
# mean over the folds. That error holds how much harder one fold is than another, for all candidates alike.
# The column beside it is a fairer comparison: the difference to no smoothing, fold by fold.

figure, ax = plt.subplots(figsize=(6, 4.2), layout="constrained")
best = SearchDisplay.from_search(search, "smoothing", ax=ax).frame().sort_values("mean_score")

splits = range(search.n_splits_)
cross_entropy = -np.array([search.cv_results_[f"split{i}_test_score"] for i in splits])  # (fold, candidate)
(unsmoothed,) = (i for i, params in enumerate(candidates) if "none" in params.values())
print(f"{'rule':<12} {'best of':>7} {'cross-entropy':>17} {'minus none':>18}   with")
for rule, mean, error, candidate, n_candidates in best.itertuples(index=False):
    difference = cross_entropy[:, candidate] - cross_entropy[:, unsmoothed]
    difference_error = difference.std(ddof=1) / np.sqrt(len(difference))
    settings = [
        f"{name.rpartition('__')[2]}={value:g}"
        for name, value in candidates[candidate].items()
        if value != rule
    ]
    row = f"{rule:<12} {n_candidates:>7} {mean:>8.4f} ± {error:.4f}"
    print(f"{row} {difference.mean():>9.4f} ± {difference_error:.4f}   {', '.join(settings)}".rstrip())

# %%
# All kinds of smoothing are ahead of none here. Between the best three there is no difference to speak of.
#
# The neighbourhood of the best
# -----------------------------
# A heat map over the two parameters of ILS1, the paper's P1 (shift) and P2 (curvature), and lines over the
# constant factor of the other two; of ILS2, which has a temperature, too, the best one is shown. The best
# values lie at the edge of the grid, and the display says so: a search in earnest would go on with a wider
# grid.

figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
SearchDisplay.from_search(search, "shift", "curvature", where={"smoothing": "ils1"}, ax=axes[0])
axes[0].set_title("ILS1")
SearchDisplay.from_search(search, "epsilon", ax=axes[1])
axes[1].set_title("Constant smoothing factor")

# %%
# The test
# --------
# The best of many candidates looks better in the search than it is. So it is compared on rows that the search
# has not seen, with the same network trained on hard labels and scaled by its temperature.

teacher = make_pipeline(StandardScaler(), TeacherClassifier(**network)).fit(X_train, y_train)
models = {"hard labels": teacher, "search": search}
report = calibration_report(
    y_test, {name: clf.predict_proba(X_test) for name, clf in models.items()}, random_state=0
)
table = report.frame().loc[
    (slice(None), ["accuracy", "cross_entropy", "brier_score"]), ["value", "low", "high"]
]
print(table.round(3).to_string())

# %%
# The row of the difference counts: on these test rows the cross-entropy of the network from the search is
# lower, and its interval is clear of zero. For the accuracy it is not.

plt.show()
