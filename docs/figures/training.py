"""Draw docs/images/training.png: the losses of a teacher and its student.

Run it as ``python docs/figures/training.py``.
"""

from pathlib import Path

from sklearn.datasets import load_breast_cancer

from sk_ils import InstanceSmoothedClassifier
from sk_ils.inspection import TrainingDisplay

clf = InstanceSmoothedClassifier(random_state=0).fit(*load_breast_cancer(return_X_y=True))
figure = TrainingDisplay.from_estimator(clf).figure_
figure.savefig(Path(__file__).parents[1] / "images" / "training.png", dpi=90)
