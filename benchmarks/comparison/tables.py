"""36 tables of PMLB in two fixed halves, with their categories, and their splits."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder

__all__ = ["CHOOSING", "HALVES", "REPORTING", "TABLES", "Task", "load_task", "one_hot"]

#: Rows of each table, by size.
TABLES = {
    "balance_scale": 625,
    "soybean": 675,
    "australian": 690,
    "breast_w": 699,
    "pima": 768,
    "analcatdata_authorship": 841,
    "tic_tac_toe": 958,
    "vowel": 990,
    "german": 1000,
    "cmc": 1473,
    "wine_quality_red": 1599,
    "car": 1728,
    "mfeat_factors": 2000,
    "mfeat_karhunen": 2000,
    "mfeat_morphological": 2000,
    "mfeat_zernike": 2000,
    "segmentation": 2310,
    "dna": 3186,
    "led7": 3200,
    "spambase": 4601,
    "churn": 5000,
    "waveform_21": 5000,
    "banana": 5300,
    "phoneme": 5404,
    "page_blocks": 5473,
    "satimage": 6435,
    "clean2": 6598,
    "ann_thyroid": 7200,
    "twonorm": 7400,
    "coil2000": 9822,
    "pendigits": 10992,
    "magic": 19020,
    "letter": 20000,
    "adult": 48842,
    "shuttle": 58000,
    "connect_4": 67557,
}
#: What is tried out is tried on the first half; the second one reports. Every other table by size.
CHOOSING = tuple(TABLES)[::2]
REPORTING = tuple(TABLES)[1::2]
HALVES = {"choosing": CHOOSING, "reporting": REPORTING, "both": tuple(TABLES)}

MAX_TRAIN, MAX_TEST = 2000, 4000
# A class with fewer training rows is left out: a fold of five, and each part of it, needs some.
_MIN_ROWS = 10

# Columns that are codes of unordered categories, by the UCI descriptions; "all" of them in three tables. All
# others are numbers, ordinal or binary.
_NOMINAL = {
    "adult": (
        "workclass",
        "education",
        "marital-status",
        "occupation",
        "relationship",
        "race",
        "native-country",
    ),
    "australian": ("A4", "A5", "A6", "A12"),
    "churn": ("state", "area code"),
    "cmc": ("Husbands_occupation",),
    "connect_4": "all",
    "german": (
        "Status",
        "Credit-history",
        "Purpose",
        "Personal-status",
        "Debtors",
        "Property",
        "Installments",
        "Housing",
        "Job",
    ),
    "soybean": "all",
    "tic_tac_toe": "all",
}


@dataclass(frozen=True)
class Task:
    """Training and test rows: numbers as float32, nominal columns as categories; labels are 0..K-1.

    `network` has parameters of our networks, where the defaults are not what is asked for.
    """

    X_train: pd.DataFrame
    y_train: np.ndarray
    X_test: pd.DataFrame
    y_test: np.ndarray
    network: dict = field(default_factory=dict)


def load_task(name, seed, data_dir):
    """Return a table's split: at most 2,000 training and 4,000 test rows, stratified.

    Parameters
    ----------
    name : str
        A key of `TABLES`.
    seed : int
        Of the split.
    data_dir : path
        Folder with ``<name>.tsv.gz`` as PMLB has them.
    """
    frame = pd.read_csv(Path(data_dir) / f"{name}.tsv.gz", sep="\t")
    y = np.unique(frame.pop("target"), return_inverse=True)[1]
    X = typed(frame, _NOMINAL.get(name, ()))
    train, test = train_test_split(
        np.arange(len(y)), train_size=min(MAX_TRAIN, int(0.7 * len(y))), stratify=y, random_state=seed
    )
    classes = np.flatnonzero(np.bincount(y[train]) >= _MIN_ROWS)
    train, test = (rows[np.isin(y[rows], classes)] for rows in (train, test[:MAX_TEST]))
    labels = np.searchsorted(classes, y)
    return Task(X.iloc[train], labels[train], X.iloc[test], labels[test])


def typed(frame, nominal):
    """Return a table with its nominal columns as categories, and all others as float32."""
    names = list(frame.columns) if nominal == "all" else list(nominal)
    types = {name: "category" if name in names else np.float32 for name in frame.columns}
    return frame.astype(types)


def one_hot():
    """Return a transformer for what knows no categories: a column for each of them, numbers as they are."""
    encoder = OneHotEncoder(sparse_output=False, handle_unknown="ignore", dtype=np.float32)
    return make_column_transformer(
        (encoder, make_column_selector(dtype_include="category")), remainder="passthrough"
    )
