"""
Out of Python: a network as an ONNX file
========================================

A fitted classifier becomes a torch module from rows to probabilities, that becomes an ONNX file, and a small
runtime without torch, scikit-learn and this package reads the file. The probabilities are the same.
"""

# %%
# Fit
# ---
# The default network scales its columns itself, so scaling is a part of what is exported. The temperature is,
# too. This example needs ``pip install onnx onnxscript onnxruntime``.

import logging
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sk_ils import InstanceSmoothedClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
clf = InstanceSmoothedClassifier(random_state=0).fit(X_train, y_train)

# %%
# Export
# ------
# ``to_torch`` gives a torch module that returns probabilities. The number of rows is left open in the file.
# The type of numbers is not: the network computes in float32. Keep ``classes_`` beside the file, since the
# columns have no names in it.

# What the exporter says of itself.
logging.getLogger("torch.onnx").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning)

rows = torch.tensor(X_test[:4], dtype=torch.float32)
with TemporaryDirectory() as folder:
    path = Path(folder, "digits.onnx")
    torch.onnx.export(
        clf.to_torch(),
        (rows,),
        path,
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("n")},),
        external_data=False,
        verbose=False,
    )
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB, classes {clf.classes_.tolist()}")
    session = onnxruntime.InferenceSession(path)

# %%
# Run
# ---
# From here on neither torch nor this package is used.

(feature,) = session.get_inputs()
(proba,) = session.run(None, {feature.name: X_test.astype(np.float32)})
print("input", feature.shape, feature.type, "-> probabilities", proba.shape)

# %%
# Equal numbers
# -------------
# The difference to ``predict_proba`` is the round-off of float32, and no row has another digit as the most
# probable one.

expected = clf.predict_proba(X_test)
print(f"largest difference {np.abs(proba - expected).max():.1e}")
print(f"rows with another prediction: {(clf.classes_[proba.argmax(axis=1)] != clf.predict(X_test)).sum()}")

figure, ax = plt.subplots(figsize=(5, 4.6), layout="constrained")
ax.loglog(expected.ravel(), proba.ravel(), ".", markersize=3, color="#0072B2")
ax.axline((1e-4, 1e-4), (1, 1), color="0.5", linestyle=":", linewidth=1)
ax.set(xlabel="Probabilities by predict_proba", ylabel="Probabilities by ONNX Runtime")
plt.show()
