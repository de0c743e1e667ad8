"""
An ensemble that knows how good it is
=====================================

One call trains networks on five folds, chooses how their labels are smoothed, and averages them. Each
training row was held out by one of the networks, so there is a report on all training rows before any test
row has been seen.
"""

# %%
# The one call
# ------------
# There are 800 rows of four classes to learn from. Another 5,200 rows are there only to find out how good the
# estimate was; whoever has 800 rows has no such test data.

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV
from sk_ils.inspection import ReliabilityDisplay
from sk_ils.metrics import calibration_report


def make_data(seed):
    """Return training and test rows of four classes."""
    X, y = make_classification(
        n_samples=6000, n_features=16, n_informative=8, n_classes=4, flip_y=0.05, random_state=seed
    )
    return train_test_split(X, y, train_size=800, stratify=y, random_state=seed)


splits = [make_data(seed) for seed in range(2)]
searches = [
    SmoothingSearchCV(InstanceSmoothedClassifier(random_state=0), ensemble=True).fit(X_train, y_train)
    for X_train, _, y_train, _ in splits
]
search, (X_train, X_test, y_train, y_test) = searches[0], splits[0]
print("Chosen:", search.best_params_)

# %%
# The race
# --------
# A network of each candidate is trained on four folds, and scored on the fifth. After that, candidates that
# are clearly behind the best one are dropped. In the end few are left, so the search costs less than five
# times its candidates.

scores = pd.DataFrame(
    {fold: search.cv_results_[f"split{fold}_test_score"] for fold in range(search.n_splits_)}
)
print("Candidates in each fold:", scores.notna().sum().tolist())

# %%
# The report without test rows
# ----------------------------
# ``out_of_fold_proba_`` has the probabilities of each training row by the network that was not trained on it.

report = calibration_report(y_train, search.out_of_fold_proba_, random_state=0)
loss, error = report["cross_entropy"], report["expected_calibration_error"]
print(f"log loss {loss.value:.3f}, 95 % interval {loss.low:.3f} to {loss.high:.3f}")
print(
    f"ECE {error.value:.3f}, less than {error.null_high:.3f} in 95 % of cases if it was perfectly calibrated"
)

# %%
# The 800 training rows, held out, and the 5,200 test rows in one diagram. Both are near the diagonal. The
# intervals of the 800 are wider.

figure, ax = plt.subplots(figsize=(5, 6.2), layout="constrained")
ReliabilityDisplay.from_predictions(y_train, search.out_of_fold_proba_, n_bins=10, name="out of fold", ax=ax)
_ = ReliabilityDisplay.from_estimator(search, X_test, y_test, n_bins=10, name="test", ax=ax)

# %%
# Was it right?
# -------------
# The log loss that the out-of-fold rows promise, and that of the test rows, for two data sets. Beside them
# stand the mean of the five networks alone, and one network that was fitted as usual.

rows = []
for fitted, (X_train, X_test, y_train, y_test) in zip(searches, splits, strict=True):
    members = [
        log_loss(y_test, member.predict_proba(X_test)) for member in fitted.best_estimator_.estimators_
    ]
    one = InstanceSmoothedClassifier(random_state=0).fit(X_train, y_train)
    rows.append(
        {
            "promised": log_loss(y_train, fitted.out_of_fold_proba_),
            "ensemble": log_loss(y_test, fitted.predict_proba(X_test)),
            "its members alone": sum(members) / len(members),
            "one network": log_loss(y_test, one.predict_proba(X_test)),
        }
    )
print(pd.DataFrame(rows).round(3).to_string())

# %%
# The promise was kept to about 0.01 nats, well within its interval. Two errors take part in it. The rows that
# were held out have also chosen the epochs, the temperatures and the candidate, which makes it too good. And
# it is the loss of single networks, of which the average is better by about 0.04 nats, which makes it too
# bad.

plt.show()
