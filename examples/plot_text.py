"""
Text: which library is it from?
===============================

A network with an embedding for each word reads the first sentence of a docstring, and says which library it
is from.
"""

# %%
# The texts
# ---------
# The first sentences of the docstrings in the source files of four libraries, which this package needs or
# draws with. The names of the libraries are taken out, since they would give the answer away. With other
# versions of the libraries the sentences and the numbers are others.

import ast
import re
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from torch import nn

from sk_ils import InstanceSmoothedClassifier
from sk_ils.inspection import ReliabilityDisplay
from sk_ils.metrics import calibration_report
from sk_ils.model_selection import CrossFittedClassifier
from sk_ils.temperature import TemperatureScaledClassifier

LIBRARIES = ["matplotlib", "numpy", "pandas", "sklearn"]


def summaries(library):
    """Return the different first paragraphs of a library's docstrings, without its tests."""
    folder = Path(find_spec(library).origin).parent
    found = set()
    for file in folder.rglob("*.py"):
        if not {"tests", "testing", "externals"} & set(file.relative_to(folder).parts):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    found.add(" ".join((ast.get_docstring(node) or "").split("\n\n")[0].split()))
    return sorted(found)


def words(text):
    """Return the words of a text in lower case, without the names of the libraries."""
    hidden = r"matplotlib|mpl|numpy|np|pandas|pd|scikit|sklearn|learn"
    return [word for word in re.findall(r"[a-z]+", text.lower()) if not re.fullmatch(hidden, word)]


texts, labels = [], []
for library in LIBRARIES:
    kept = [text for text in summaries(library) if len(words(text)) >= 4]
    chosen = np.random.default_rng(0).choice(kept, size=1300, replace=False)
    texts += chosen.tolist()
    labels += [library] * len(chosen)
text_train, text_test, y_train, y_test = train_test_split(texts, labels, train_size=2400, random_state=0)
for text, label in zip(text_train[:4], y_train[:4], strict=True):
    print(f"{label:<11} {text[:80]}")

# %%
# From words to numbers
# ---------------------
# Every word of the training texts that comes at least twice has a number, others are 1, and 0 fills up to the
# same length.

LENGTH = 24
counts = pd.Series([word for text in text_train for word in words(text)]).value_counts()
number_of = {word: i for i, word in enumerate(sorted(counts[counts >= 2].index), start=2)}


def encode(texts):
    """Return the numbers of the first words of each text, of shape (n_texts, LENGTH)."""
    numbers = np.zeros((len(texts), LENGTH), dtype=np.int64)
    for row, text in zip(numbers, texts, strict=True):
        known = [number_of.get(word, 1) for word in words(text)[:LENGTH]]
        row[: len(known)] = known
    return numbers


class BagOfWords(nn.Module):
    """The mean embedding of a text's words, and two layers."""

    def __init__(self, n_words, n_classes, n_units=64):
        super().__init__()
        self.embedding = nn.EmbeddingBag(n_words, n_units, padding_idx=0, mode="mean")
        self.layers = nn.Sequential(
            *(nn.Dropout(), nn.Linear(n_units, n_units), nn.ReLU()),
            *(nn.Dropout(), nn.Linear(n_units, n_classes)),
        )

    def forward(self, X):
        """Return logits of shape (n_texts, n_classes)."""
        return self.layers(self.embedding(X))


# %%
# Fit
# ---
# ``dtype=None`` lets the numbers of the words stay integers. All else is as for a table. Beside the networks
# there is the usual linear model on weighted counts of words, as it comes and with a temperature.


def network(smoothing):
    """Return an unfitted network."""
    return InstanceSmoothedClassifier(
        BagOfWords,
        module__n_words=len(number_of) + 2,
        smoothing=smoothing,
        dtype=None,
        lr=0.003,
        random_state=0,
    )


linear = make_pipeline(TfidfVectorizer(tokenizer=words, token_pattern=None), LogisticRegression())
networks = {
    "network, hard labels": network("none"),
    "network, ILS2": network("ils2"),
    "five networks, ILS2": CrossFittedClassifier(network("ils2")),
}
X_train, X_test = encode(text_train), encode(text_test)
proba = {
    "linear": linear.fit(text_train, y_train).predict_proba(text_test),
    "linear, temperature": TemperatureScaledClassifier(linear)
    .fit(text_train, y_train)
    .predict_proba(text_test),
}
proba |= {name: clf.fit(X_train, y_train).predict_proba(X_test) for name, clf in networks.items()}

report = calibration_report(y_test, proba, random_state=0)
scores = {"accuracy": "accuracy", "cross_entropy": "log loss", "expected_calibration_error": "ECE"}
values = report.frame()["value"].unstack().loc[list(proba), list(scores)]
print(values.rename(columns=scores).round(3).to_string())

# %%
# The linear model finds the library most often, but is by far not sure enough, as it comes. The temperature
# mends that, and then it has the lowest log loss: words alone say most about such short sentences, and 2,400
# of them are few for a network. Of the networks, the average of five is the best, and ILS2 is ahead of hard
# labels. All networks have scaled their temperature by themselves.

shown = {name: proba[name] for name in ("linear", "linear, temperature", "five networks, ILS2")}
figure, ax = plt.subplots(figsize=(5, 6.5), layout="constrained")
reliability = ReliabilityDisplay.from_predictions(y_test, shown, n_bins=10, ax=ax)
plt.show()
