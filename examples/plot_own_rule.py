"""
A smoothing rule of your own: classes in an order
=================================================

A rule says how much probability leaves the true class of a row, and to which classes it goes. What you know
about your classes can be written down in a few lines. Here the classes have an order, so a wrong class nearby
is more likely than one far away.
"""

# %%
# The data
# --------
# How far a diabetes has progressed after one year, in six grades with about 74 patients each. A grade is hard
# to tell from the next one.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.datasets import load_diabetes
from sklearn.model_selection import RepeatedStratifiedKFold

from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV
from sk_ils.inspection import SearchDisplay, SmoothingCurveDisplay

X, progression = load_diabetes(return_X_y=True)
y = pd.qcut(progression, 6, labels=False)

# %%
# The rule
# --------
# A rule needs three things: ``needs_teacher``, ``targets`` and ``smoothing_factor``.
# :class:`sk_ils.smoothing.Rule` describes them. This one needs no teacher. The true class keeps :math:`1 -
# \epsilon`, and the share of a wrong class is halved with each step away from it. A rule need not inherit
# from anything; ``BaseEstimator`` brings ``smoothing__epsilon`` for searches.


class OrdinalSmoothing(BaseEstimator):
    """Probability goes to the classes nearby: the share is halved with each step."""

    needs_teacher = False

    def __init__(self, epsilon=0.3):
        self.epsilon = epsilon

    def targets(self, y, teacher_logits, student_logits=None):
        """Return the soft target of each row, of shape (n_samples, n_classes)."""
        # Of a rule that reads no logits, some come all the same, for their shape.
        logits = student_logits if teacher_logits is None else teacher_logits
        distance = np.abs(np.arange(logits.shape[1]) - y[:, None])
        share = np.where(distance > 0, 0.5**distance, 0.0)
        share /= share.sum(axis=1, keepdims=True)
        return (1 - self.epsilon) * (distance == 0) + self.epsilon * share

    def smoothing_factor(self, true_class_proba):
        """Return epsilon for every row; only the display asks for it."""
        return np.full(np.shape(true_class_proba), self.epsilon)


# %%
# The map shows what becomes of the labels: a row for each true class.

clf = InstanceSmoothedClassifier(smoothing=OrdinalSmoothing(), random_state=0).fit(X, y)
display = SmoothingCurveDisplay.from_estimator(clf, X, y)

# %%
# Beside the rules that are there
# -------------------------------
# A search takes it like any other rule.

epsilons = [0.1, 0.3, 0.5, 0.7]
grid = [
    {"smoothing": ["none"]},
    {"smoothing": ["uniform"], "smoothing__epsilon": epsilons},
    {"smoothing": ["ils2"], "smoothing__epsilon": epsilons},
    {"smoothing": [OrdinalSmoothing()], "smoothing__epsilon": epsilons},
]
search = SmoothingSearchCV(
    InstanceSmoothedClassifier(random_state=0),
    grid,
    cv=RepeatedStratifiedKFold(n_splits=5, n_repeats=2, random_state=0),
).fit(X, y)
scores = SearchDisplay.from_search(search, "epsilon")

# %%
# The bars hold how much harder one fold is than another. The same folds are behind all candidates, so their
# differences to hard labels, fold by fold, say more: here for the best of each rule, with the standard error.
# The folds share training rows, so that the error is rather too small.

results = pd.DataFrame(search.cv_results_["params"]).astype(str)
folds = -np.array([search.cv_results_[f"split{i}_test_score"] for i in range(search.n_splits_)])
results["cross-entropy"] = folds.mean(axis=0)
(hard,) = np.flatnonzero(results["smoothing"] == "none")
difference = folds - folds[:, [hard]]
results["minus none"] = difference.mean(axis=0)
results["standard error"] = difference.std(axis=0, ddof=1) / np.sqrt(len(folds))
best = results.loc[results.groupby("smoothing")["cross-entropy"].idxmin()]
print(best.sort_values("cross-entropy").round(3).to_string(index=False))

# %%
# On these rows the order of the classes is worth knowing: our rule has the lowest cross-entropy, and it is
# the only one of which the gain is clearly larger than its standard error.

plt.show()
