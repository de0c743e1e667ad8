"""What a module of the user's that does not suit its data, or fails by itself, ends in."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn
from torch.utils.data import TensorDataset

# Made here, since drawing weights in a test would move torch's global generator.
DOUBLE, HALF, WIDE = nn.Linear(6, 3).double(), nn.Linear(6, 3).half(), nn.Linear(9, 3)
CONVOLUTION = nn.Conv2d(1, 3, 3)
FROZEN = nn.Linear(6, 3).requires_grad_(False)


class Failing(nn.Linear):
    """Fails with an error of its own."""

    def __init__(self):
        super().__init__(6, 3)

    def forward(self, X):
        raise LookupError("no such token")


def normalised(n_features_in, n_classes):
    """Build a network with BatchNorm."""
    return nn.Sequential(nn.Linear(n_features_in, 4, bias=False), nn.BatchNorm1d(4), nn.Linear(4, n_classes))


class Returning(nn.Module):
    """Returns what it was given to return."""

    def __init__(self, make):
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.make = make

    def forward(self, X):
        return self.make(self.linear(X))


@pytest.mark.parametrize("module", [DOUBLE, HALF], ids=["float64", "float16"])
def test_dtype_casts_a_module_instance_as_it_casts_the_table(teacher, table, module):
    given = next(module.parameters()).dtype
    clf = teacher(module=module).fit(*table)
    assert next(clf.module_.parameters()).dtype == torch.float32
    assert next(module.parameters()).dtype == given


def test_dtype_casts_the_items_of_a_dataset(teacher, table):
    X, y = table
    codes = torch.from_numpy(np.unique(y, return_inverse=True)[1])
    double = TensorDataset(torch.from_numpy(X), codes)
    single = TensorDataset(torch.from_numpy(X).float(), codes)
    expected = teacher().fit(single).predict_proba(single)
    assert np.array_equal(teacher().fit(double).predict_proba(double), expected)


def test_tables_of_another_type_than_the_module_name_both_types_and_the_parameter(teacher, table):
    X, y = table
    with pytest.raises(ValueError, match=r"type float64.*type float32: dtype='float32'"):
        teacher(dtype=None).fit(X, y)
    with pytest.raises(ValueError, match=r"type int64.*type float32"):
        teacher(dtype=None, module=WIDE).fit((9 * X).astype(np.int64), y)


def test_a_dataset_of_whole_numbers_is_told_to_give_floats(teacher, table):
    X, y = table
    codes = torch.from_numpy(np.unique(y, return_inverse=True)[1])
    pixels = TensorDataset(torch.from_numpy((20 * X + 128).clip(0, 255)).to(torch.uint8), codes)
    with pytest.raises(ValueError, match=r"type uint8.*let the Dataset return floats, such as x\.float\(\)"):
        teacher(module=WIDE).fit(pixels)


def test_images_with_their_channels_last_are_told_to_have_them_first(teacher):
    images, y = np.zeros((60, 8, 8, 1), np.float32), np.arange(60) % 3
    with pytest.raises(ValueError, match=r"\(rows, channels, height, width\)"):
        teacher(module=CONVOLUTION).fit(images, y)
    with pytest.raises(ValueError, match=r"\(rows, channels, height, width\)"):
        teacher(module=CONVOLUTION).fit(images[..., 0], y)


def test_a_module_of_another_width_names_the_batch_and_the_sizes(teacher, student, table):
    for make in (teacher, student):
        with pytest.raises(ValueError, match=r"Linear failed on a batch of shape \(32, 6\).*n_features_in"):
            make(module=WIDE).fit(*table)


@pytest.mark.parametrize("as_dataset", [False, True])
def test_batch_norm_trains_on_any_number_of_rows_but_one(teacher, table, as_dataset):
    X, y = table[0].astype(np.float32), np.unique(table[1], return_inverse=True)[1]
    clf = teacher(module=normalised, batch_size=3, max_epochs=1, train_split=None)
    one_by_one = clone(clf).set_params(batch_size=1)

    def given(n):
        rows, labels = torch.from_numpy(X[:n]), torch.from_numpy(y[:n])
        return (TensorDataset(rows, labels), None) if as_dataset else (rows, labels)

    expected = clone(clf).fit(X[:31], y[:31]).predict_proba(X)
    clf.fit(*given(31))
    for failing, n in ((clf.partial_fit, 1), (one_by_one.fit, 31)):
        with pytest.raises(
            ValueError, match="BatchNorm cannot be trained on a batch of one row: set batch_size"
        ):
            failing(*given(n))
    np.testing.assert_allclose(clf.predict_proba(X), expected, atol=1e-6)


def test_an_error_of_the_module_itself_comes_through_with_the_batch_noted(teacher, table):
    with pytest.raises(LookupError, match="no such token") as caught:
        teacher(module=Failing).fit(*table)
    assert caught.value.__notes__ == [
        "Raised by the module Failing on a batch of shape (32, 6) and type float32."
    ]


def test_memory_that_runs_out_in_a_module_stays_such_an_error(teacher, table):
    def exhaust(logits):
        raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        teacher(module=Returning, module__make=exhaust).fit(*table)


def test_an_allocation_of_torchs_that_fails_in_a_module_blames_no_sizes(teacher, table):
    def enlarge(logits):
        return nn.functional.pad(logits, (0, 2**46))

    with pytest.raises(RuntimeError, match="allocate memory") as caught:
        teacher(module=Returning, module__make=enlarge).fit(*table)
    assert "on a batch of shape" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda z: {"logits": z}, "dict"),
        (lambda z: None, "NoneType"),
        (lambda z: (), "tuple"),
        (lambda z: z.argmax(dim=1), "int64"),
        (lambda z: z.detach().numpy(), "ndarray"),
    ],
)
def test_a_module_that_returns_no_tensor_of_logits_says_what_it_returned(teacher, table, make, found):
    with pytest.raises(ValueError, match=f"float Tensor of raw logits.*returned .*{found}"):
        teacher(module=Returning, module__make=make).fit(*table)


def test_logits_of_bfloat16_become_probabilities(teacher, table):
    X, y = table
    proba = teacher(module=Returning, module__make=torch.Tensor.bfloat16).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1)


@pytest.mark.parametrize(
    "make", [torch.detach, lambda logits: logits.argmax(1).float()[:, None] + torch.ones(3)]
)
def test_logits_without_a_gradient_are_refused_before_training(teacher, table, make):
    with pytest.raises(ValueError, match=r"logits have no gradient.*detach\(\)"):
        teacher(module=Returning, module__make=make).fit(*table)


def test_a_frozen_module_has_nothing_to_train(teacher, table):
    with pytest.raises(ValueError, match="let some of its parameters require a gradient"):
        teacher(module=FROZEN).fit(*table)


def test_what_builds_no_module_is_refused(teacher, table):
    with pytest.raises(TypeError, match=r"must build a torch module.*gave int"):
        teacher(module=lambda n_classes: n_classes).fit(*table)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"module__hidden": 3}, r"module=MLP cannot be built from .*hidden=3.*unexpected keyword"),
        ({"module__hidden_sizes": (-1,)}, r"module=MLP cannot be built from .*hidden_sizes=\(-1,\)"),
        ({"module__hidden_sizes": (8, 0)}, r"cannot be built from .*: hidden_sizes must be .*at least 1"),
        (
            {"optimizer__nonsense": 1},
            r"optimizer=AdamW cannot be built from lr=0.01, nonsense=1.*optimizer__",
        ),
        ({"optimizer__weight_decay": -1}, r"optimizer=AdamW cannot be built from .*weight_decay=-1"),
        ({"optimizer__param_groups": 3}, r"optimizer=AdamW cannot be built from .*param_groups=3"),
        ({"iterator_train__nonsense": 1}, r"iterator_train=BatchLoader cannot be built from nonsense=1"),
        (
            {"iterator_train__num_workers": -1},
            r"iterator_train=BatchLoader cannot be built from num_workers=-1",
        ),
        ({"iterator_train": list}, r"iterator_train=list cannot be built"),
    ],
)
def test_a_part_that_cannot_be_built_is_named_with_what_it_was_given(
    teacher, student, table, parameters, message
):
    for make in (teacher, student):
        with pytest.raises((TypeError, ValueError), match=message):
            make(**parameters).fit(*table)


def test_an_error_in_the_building_of_a_module_comes_through_with_its_place_noted(teacher, table):
    def build(n_classes):
        raise LookupError("no such weights")

    with pytest.raises(LookupError, match="no such weights") as caught:
        teacher(module=build).fit(*table)
    assert caught.value.__notes__ == ["Raised while module=build was built."]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("module", "mlp"),
        ("optimizer", 3),
        ("lr", "1e-3"),
        ("lr", float("nan")),
        ("iterator_valid", None),
        ("callbacks", "all"),
        ("warm_start", "yes"),
        ("verbose", "a lot"),
        ("device", 0),
        ("compile", None),
        ("use_caching", "yes"),
        ("torch_load_kwargs", 3),
    ],
)
def test_a_parameter_of_another_type_is_refused_by_its_name(teacher, table, name, value):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of TeacherClassifier must be"):
        teacher(**{name: value}).fit(*table)
