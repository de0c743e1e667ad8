"""`to_torch`: probabilities without this package, in torch, torch.export and ONNX."""

import io

import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sk_ils import TeacherClassifier
from sk_ils.model_selection import CrossFittedClassifier

# Within this everything must agree; float32 has seven digits.
CLOSE = 1e-5


# Each kind with each number of classes, and each of both in each type.
CASES = [
    ("network", 2, "float32"),
    ("network", 3, "float64"),
    ("ensemble", 3, "float32"),
    ("ensemble", 2, "float64"),
]


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


@pytest.fixture
def dtype(case):
    return case[2]


@pytest.fixture
def data(case, table):
    X, y = table
    return X, y if case[1] == 3 else y == "ant"


@pytest.fixture
def clf(case, data, student):
    net = student(dtype=case[2], max_epochs=15)
    return (net if case[0] == "network" else CrossFittedClassifier(net, cv=2)).fit(*data)


def as_tensor(X, dtype):
    return torch.tensor(X, dtype=getattr(torch, dtype))


def test_the_module_gives_the_probabilities(clf, data, dtype):
    X = as_tensor(data[0], dtype)
    net = clf.to_torch()
    proba = net(X)
    assert not net.training
    assert not proba.requires_grad
    assert proba.dtype == X.dtype
    np.testing.assert_allclose(proba.numpy(), clf.predict_proba(data[0]), atol=CLOSE, rtol=0)


def test_torch_exports_it_for_any_number_of_rows(clf, data, dtype):
    X = as_tensor(data[0], dtype)
    program = torch.export.export(clf.to_torch(), (X[:4],), dynamic_shapes=({0: torch.export.Dim("n")},))
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    loaded = torch.export.load(file).module()
    for n in (2, 7, len(X)):
        expected = clf.predict_proba(data[0][:n])
        np.testing.assert_allclose(loaded(X[:n]).numpy(), expected, atol=CLOSE, rtol=0)


@pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning")  # torch's own code
def test_onnxruntime_gives_the_probabilities(clf, data, dtype):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    X = as_tensor(data[0], dtype)
    shapes = ({0: torch.export.Dim("n")},)
    program = torch.onnx.export(clf.to_torch(), (X[:4],), dynamo=True, dynamic_shapes=shapes, verbose=False)
    file = io.BytesIO()
    program.save(file)
    session = onnxruntime.InferenceSession(file.getvalue())
    (argument,) = session.get_inputs()
    for n in (1, 7, len(X)):
        (proba,) = session.run(None, {argument.name: X[:n].numpy()})
        np.testing.assert_allclose(proba, clf.predict_proba(data[0][:n]), atol=CLOSE, rtol=0)


class Two(nn.Module):
    """Returns more than the logits, has dropout, and logits that no exponential holds."""

    def __init__(self, n_features_in, n_classes):
        super().__init__()
        self.layer = nn.Linear(n_features_in, n_classes)
        self.dropout = nn.Dropout(0.5)

    def forward(self, X):
        return 1e4 * self.dropout(self.layer(X)), X


def test_a_module_of_ones_own_is_copied_in_evaluation_mode(teacher, table):
    X, y = table
    clf = teacher(module=Two, dtype="float64").fit(X, y)
    net = clf.to_torch()
    expected = clf.predict_proba(X)
    clf.partial_fit(X, y)
    proba = net(torch.tensor(X)).numpy()
    np.testing.assert_allclose(proba, expected, atol=CLOSE, rtol=0)
    net.half().float()  # like any other module
    assert next(clf.module_.parameters()).dtype == torch.float64
    assert next(clf.module_.parameters()).requires_grad


class OfDicts(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 3).to(torch.bfloat16)

    def forward(self, values):
        return self.layer(values.to(torch.bfloat16))


def test_dicts_and_small_floats_work(teacher, table):
    X, y = table
    codes = np.unique(y, return_inverse=True)[1]
    items = [({"values": torch.tensor(row).float()}, int(code)) for row, code in zip(X, codes, strict=True)]

    class Items(torch.utils.data.Dataset):
        def __len__(self):
            return len(items)

        def __getitem__(self, index):
            return items[index]

    clf = teacher(module=OfDicts, dtype=None, max_epochs=1).fit(Items(), None)
    proba = clf.to_torch()({"values": torch.tensor(X).float()})
    assert proba.dtype == torch.float32
    np.testing.assert_allclose(proba.numpy(), clf.predict_proba(Items()), atol=CLOSE, rtol=0)


def test_what_is_more_than_one_network_is_refused(student, teacher, table):
    class Shifted(TeacherClassifier):
        def infer(self, x, **fit_params):
            return super().infer(x + 1, **fit_params)

    class Encoded(TeacherClassifier):
        def initialize_module(self):
            super().initialize_module()
            self.encoder_ = nn.Linear(6, 6)
            return self

    X, y = table
    for kind in (Shifted, Encoded):
        clf = kind(**teacher(max_epochs=1).get_params(deep=False)).fit(X, y)
        with pytest.raises(TypeError, match=f"{kind.__name__} predicts with more"):
            clf.to_torch()
    pipeline = make_pipeline(StandardScaler(), student(max_epochs=1))
    ensemble = CrossFittedClassifier(pipeline, cv=2).fit(X, y)
    with pytest.raises(TypeError, match=r"members are Pipelines.*estimators_\[0\]\[-1\].to_torch"):
        ensemble.to_torch()
    member = ensemble.estimators_[0]
    scaled = torch.tensor(member[:-1].transform(X)).float()
    np.testing.assert_allclose(
        member[-1].to_torch()(scaled).numpy(), member.predict_proba(X), atol=CLOSE, rtol=0
    )


def test_what_is_not_fitted_has_no_probabilities(student):
    for clf in (student(), CrossFittedClassifier(student())):
        with pytest.raises(Exception, match=r"not (fitted|initialized)"):
            clf.to_torch()
