"""The real-data benchmark's own functions: halves, selection, evaluation, store, intervals, curves."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid
from sklearn.utils import Bunch
from skorch.dataset import Dataset
from skorch.helper import predefined_split

from benchmarks.real_data import __main__ as real_data
from benchmarks.real_data import defaults, methods, report, sets, variants
from benchmarks.real_data.nets import SmallResNet
from benchmarks.real_data.store import COLUMNS, Store, read_rows
from sk_ils import InstanceSmoothedClassifier
from sk_ils.smoothing import ILS2, NoSmoothing, SoftBootstrap, UniformSmoothing
from sk_ils.temperature import fit_temperature, log_softmax

NETWORK = {"max_epochs": 6, "lr": 0.02, "batch_size": 32, "device": "cpu", "module__hidden_sizes": (16,)}


@pytest.fixture(scope="module")
def split(table):
    X, y = table
    codes = np.unique(y, return_inverse=True)[1]
    return sets.split_rows(X.astype(np.float32), codes, seed=0, max_train=150, max_test=1000)


# --- sets -------------------------------------------------------------------------------------------------


def test_each_table_is_in_one_half_and_the_halves_alternate_by_size():
    assert set(sets.CHOOSING) | set(sets.REPORTING) == set(sets.TABLES)
    rows = [sets.TABLES[name][0] for pair in zip(sets.CHOOSING, sets.REPORTING, strict=True) for name in pair]
    assert rows == sorted(rows)


def test_a_split_shares_no_row_and_keeps_its_limits(table):
    X, y = table
    numbered = np.column_stack([np.arange(len(y)), X])
    split = sets.split_rows(numbered, y, seed=1, max_train=100, max_test=30)
    assert (len(split.y_train), len(split.y_test)) == (100, 30)
    assert not set(split.X_train[:, 0]) & set(split.X_test[:, 0])
    small = sets.split_rows(numbered, y, seed=1, max_train=2000, max_test=5000)
    assert (len(small.y_train), len(small.y_test)) == (168, 72)


@pytest.fixture
def fashion(tmp_path):
    """Return a folder with 80 training and 40 test images of noise, labelled by their brightness."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    for part, n in (("train", 80), ("t10k", 40)):
        labels = np.arange(n, dtype=np.uint8) % 10
        images = rng.integers(20, size=(n, 28, 28), dtype=np.uint8) + 20 * labels[:, None, None]
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes()))
    return tmp_path


def test_fashion_mnist_is_read_as_its_authors_split_it(fashion):
    split = sets.load_fashion(fashion)
    assert (split.X_train.shape, split.X_test.shape) == ((80, 784), (40, 784))
    assert split.X_train.dtype == np.float32
    assert (split.X_train.mean(), split.X_train.std()) == pytest.approx((0, 1), abs=1e-5)
    np.testing.assert_array_equal(split.y_test, np.arange(40) % 10)
    brightness = split.X_test.mean(axis=1)
    assert (np.diff([brightness[split.y_test == label].mean() for label in range(10)]) > 0).all()


def openml(monkeypatch, **columns):
    """Put a frame of these columns and a target in the place of what OpenML would send."""
    frame = pd.DataFrame(columns)
    target = pd.Series(pd.Categorical(["b", "a", *["b"] * (len(frame) - 2)]), name="class")
    bunch = Bunch(data=frame, target=target)
    monkeypatch.setattr(sets, "fetch_openml", lambda *, data_id, as_frame: bunch)


def test_categories_of_openml_become_codes_and_noise_columns_go(monkeypatch):
    monkeypatch.setitem(sets._COLUMNS, "vowel", 2)
    sex = pd.Categorical(["m", "f"] * 495)
    openml(monkeypatch, sex=sex, height=np.linspace(0, 1, 990), noise=np.ones(990))
    X, y = sets.load_table("vowel")
    np.testing.assert_allclose(X, np.column_stack([[1, 0] * 495, np.linspace(0, 1, 990)]), atol=1e-7)
    assert (X.dtype, y[:3].tolist()) == (np.float32, [1, 0, 1])


@pytest.mark.parametrize(("name", "rows"), [("satimage", 6430), ("cmc", 1473)])
def test_a_set_of_openml_must_have_its_number_of_rows(monkeypatch, name, rows):
    openml(monkeypatch, x=np.arange(rows))
    assert len(sets.load_table(name)[1]) == rows
    openml(monkeypatch, x=np.arange(rows + 5))
    with pytest.raises(ValueError, match=f"{rows} were expected of {name}"):
        sets.load_table(name)


def test_the_sizes_of_a_set_give_way_to_those_of_the_command():
    def sizes(*arguments):
        options = real_data.parse_arguments(arguments)
        return [real_data.settings_of(name, options) for name in ("vowel", "fashion_resnet")]

    assert [own["max_train"] for own in sizes()] == [2000, 60_000]
    assert [own["max_train"] for own in sizes("--max-train", "100")] == [100, 100]
    assert [own["epochs"] for own in sizes("--epochs", "3")] == [3, 3]


@pytest.mark.parametrize(
    ("words", "what", "file"),
    [
        ((), "methods", "vowel.csv"),
        (("--variants",), "variants", "vowel_variants.csv"),
        (("--holdout",), "holdout", "vowel_holdout.csv"),
    ],
)
def test_what_the_command_asks_for_has_a_file_of_its_own(tmp_path, monkeypatch, words, what, file):
    def rows_of_seed(name, seed, options):
        return [result(name, seed, what)], []

    monkeypatch.setitem(real_data.RUNS, what, (real_data.RUNS[what][0], rows_of_seed))
    folder = str(tmp_path)
    real_data.run(
        real_data.parse_arguments([*words, "--tables", "vowel", "--seeds", "2", "--results", folder])
    )
    assert [(row["seed"], row["method"]) for row in read_rows(tmp_path / file)] == [("0", what), ("1", what)]
    assert sorted(path.name for path in tmp_path.glob("*.csv")) == [file]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said(capsys):
    with pytest.raises(SystemExit):
        real_data.parse_arguments(["--device", "cuda"])
    assert "no GPU" in capsys.readouterr().err


class TinyResNet(SmallResNet):
    def __init__(self, n_classes=10):
        super().__init__(n_classes, width=2, n_blocks=1)


@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))],
)
def test_a_residual_network_is_trained_on_all_images_and_only_winners_are_tested(
    fashion, monkeypatch, device
):
    rules = [NoSmoothing(), *(UniformSmoothing(epsilon) for epsilon in (0.01, 0.1, 0.2))]
    monkeypatch.setattr(methods, "candidates", lambda: [{"net__smoothing": rules}])
    tiny = replace(real_data.SETUPS["fashion_resnet"], module=TinyResNet, train_split=0.25)
    monkeypatch.setitem(real_data.SETUPS, "fashion_resnet", tiny)
    results = fashion / "results"
    words = ["--data-dir", fashion, "--results", results, "--device", device, "--epochs", 2, "--seeds", 1]
    options = real_data.parse_arguments([*map(str, words), "--tables", "fashion_resnet"])
    assert real_data.load_split("fashion_resnet", 0, options).X_train.shape == (80, 784)
    real_data.run(options)
    rows = read_rows(results / "fashion_resnet.csv")
    plain, forms = ["No LS", "LS", "Beta", "Ensemble"], ["", " +T"]
    assert sorted(row["method"] for row in rows) == sorted(name + form for name in plain for form in forms)
    assert all(0 < float(row["cross_entropy"]) < 10 for row in rows)
    assert json.loads((results / "fashion_resnet.json").read_text())["settings"]["max_train"] == 60_000
    assert not (results / "fashion_resnet_candidates.csv").exists()
    assert "fashion_resnet: one seed" in report.images_text(results, "fashion_resnet")


# --- selection and evaluation -----------------------------------------------------------------------------


def test_every_candidate_comes_back_from_its_text():
    candidates = list(ParameterGrid(methods.candidates()))
    assert len(candidates) == 66
    for params in candidates:
        back = methods.parameters_of(methods.described(params))
        assert back.keys() == params.keys()
        assert repr(back["net__smoothing"]) == repr(params["net__smoothing"])
    assert methods.parameters_of('{"weight": 0.3}') == {"net__weight": 0.3}


def test_each_form_of_each_method_gets_its_own_winner():
    rules = [NoSmoothing(), UniformSmoothing(0.1), UniformSmoothing(0.2)]
    results = {
        "params": [{"net__smoothing": rule} for rule in rules],
        "mean_test_raw": [-1.0, -0.5, -0.6],
        "mean_test_scaled": [-1.0, -0.5, -0.4],
    }
    chosen = methods.winners(results)
    epsilons = {key: params["net__smoothing"].get_params().get("epsilon") for key, params in chosen.items()}
    assert epsilons == {("No LS", ""): None, ("No LS", " +T"): None, ("LS", ""): 0.1, ("LS", " +T"): 0.2}


@pytest.mark.parametrize("rule", [ILS2(0.2), SoftBootstrap(0.8)])
def test_the_rows_of_a_candidate_are_those_of_a_plain_fit(split, rule):
    model = methods.model_of(InstanceSmoothedClassifier(**NETWORK, random_state=0))
    params = {"net__smoothing": rule}
    chosen = {
        ("some", ""): params,
        ("some", " +T"): params,
        ("No LS", " +T"): {"net__smoothing": NoSmoothing()},
    }
    rows = {row["method"]: row for row in methods.evaluate(split, model, chosen)}
    assert set(rows) == {"some", "some +T", "No LS +T"}
    fitted = model.set_params(**params).fit(split.X_train, split.y_train)
    true = np.arange(len(split.y_test)), split.y_test
    scaled = -np.log(fitted.predict_proba(split.X_test)[true]).mean()
    fitted[-1].temperature_ = 1.0
    raw = -np.log(fitted.predict_proba(split.X_test)[true]).mean()
    assert rows["some"]["cross_entropy"] == pytest.approx(raw, abs=1e-4)
    assert rows["some +T"]["cross_entropy"] == pytest.approx(scaled, abs=1e-4)
    assert rows["some"]["temperature"] == 1.0 != rows["some +T"]["temperature"]
    assert raw != pytest.approx(scaled, abs=1e-3)


def test_the_members_of_an_ensemble_differ_and_their_mean_is_scaled_once(split):
    model = methods.model_of(InstanceSmoothedClassifier(**NETWORK, random_state=0))
    raw, scaled = methods.ensemble_rows(split, model, 0)
    assert raw["accuracy"] == scaled["accuracy"]
    assert raw["cross_entropy"] != scaled["cross_entropy"]
    assert not set(methods.member_seeds(0)) & set(methods.member_seeds(1))


def test_a_choice_on_the_hold_out_takes_the_candidate_that_is_best_there(split, monkeypatch):
    rules = [NoSmoothing(), *(UniformSmoothing(epsilon) for epsilon in (0.02, 0.3, 0.6))]
    for module in (methods, variants):
        monkeypatch.setattr(module, "candidates", lambda: [{"net__smoothing": rules}])
    rows = {row["method"]: row for row in variants.holdout_rows(split, NETWORK, seed=0)}
    ends = [" +T", ""]
    names = ("No LS", "LS", "Any rule")
    assert set(rows) == {f"{name}, one hold-out{end}" for name in names for end in ends}
    model = methods.model_of(InstanceSmoothedClassifier(**NETWORK, random_state=0))
    known, net = methods.with_common_holdout(split, model, 0)
    plain = methods.model_of(net, scale=False)
    fitted = [clone(plain).set_params(net__smoothing=rule).fit(known.X_fit, known.y_fit) for rule in rules]
    losses = [-methods.neg_cross_entropies(own, known.X_valid, known.y_valid)["scaled"] for own in fitted]
    best = int(np.argmin(losses))
    assert rows["Any rule, one hold-out +T"]["params"] == methods.described({"net__smoothing": rules[best]})
    for name, own in (("Any rule", fitted[best]), ("No LS", fitted[0])):
        row = rows[f"{name}, one hold-out +T"]
        expected = methods.scores_on_test(own, known.X_test, split.y_test)["scaled_cross_entropy"]
        assert row["cross_entropy"] == pytest.approx(expected, abs=1e-4)


# --- store ------------------------------------------------------------------------------------------------


def result(table, seed, method, **metrics):
    zeros = dict.fromkeys(methods.METRICS, 0.0)
    return {"table": table, "seed": seed, "method": method, "params": "{}", **zeros, **metrics}


def test_a_store_goes_on_where_it_was_and_mixes_no_settings(tmp_path):
    store = Store(tmp_path / "a.csv", {"cv": 2, "sizes": (1, 2)})
    assert store.seeds() == set()
    store.add([result("a", 0, "ILS", accuracy=0.1234567)], "command")
    again = Store(tmp_path / "a.csv", {"cv": 2, "sizes": (1, 2)})
    again.add([result("a", 3, "ILS")], "command")
    assert again.seeds() == {0, 3}
    rows = read_rows(tmp_path / "a.csv")
    assert tuple(rows[0]) == COLUMNS
    assert [row["accuracy"] for row in rows] == ["0.123457", "0"]
    with pytest.raises(ValueError, match="settings"):
        Store(tmp_path / "a.csv", {"cv": 3, "sizes": (1, 2)})


# --- report -----------------------------------------------------------------------------------------------


@given(st.integers(2, 30), st.floats(-3, 3), st.floats(0.01, 10))
@settings(deadline=None)
def test_the_interval_holds_the_mean_and_scales_with_the_data(n, shift, scale):
    values = np.random.default_rng(n).normal(size=n)
    low, high = report.bootstrap_interval(values, n_resamples=500)
    assert low <= values.mean() <= high
    moved = report.bootstrap_interval(scale * values + shift, n_resamples=500)
    np.testing.assert_allclose(moved, [scale * low + shift, scale * high + shift], atol=1e-9)


def test_the_interval_is_about_that_of_the_normal_law():
    values = np.random.default_rng(0).normal(size=200)
    half = 1.96 * values.std() / np.sqrt(200)
    np.testing.assert_allclose(
        report.bootstrap_interval(values), values.mean() + np.array([-half, half]), atol=0.02
    )


@given(st.integers(0, 1000))
@settings(deadline=None)
def test_with_the_tables_needed_the_interval_just_leaves_zero_out(seed):
    values = np.random.default_rng(seed).normal(0.1, size=12)
    needed = report.tables_needed(values)
    assert needed > 12
    half_width = 1.96 * values.std(ddof=1) / np.sqrt([needed, needed - 1])
    assert half_width[0] <= abs(values.mean()) * 1.0001
    assert half_width[1] > abs(values.mean()) * 0.9999 or needed == 13


def test_a_comparison_says_when_it_is_not_resolved():
    frame = pd.DataFrame({"a": [0.1, 0.2, 0.3], "b": [0.2, 0.3, 0.4], "c": [0.3, 0.0, 0.3]})
    assert report.comparison(frame, "a", "b")[-2:] == ["3/3", "better"]
    assert report.comparison(frame, "b", "a")[-2:] == ["0/3", "worse"]
    assert report.comparison(frame, "a", "c")[-1].startswith("not resolved; about ")
    assert "no number" in report.comparison(frame, "a", "a")[-1]


def test_seeds_are_averaged_before_ranking():
    rows = [
        result("t", seed, method, cross_entropy=loss, accuracy=accuracy)
        for method, losses, accuracy in [
            ("a", (0.0, 1.0), 0.9),
            ("b", (0.4, 0.4), 0.8),
            ("c", (0.5, 0.5), 0.9),
        ]
        for seed, loss in enumerate(losses)
    ]
    frame = pd.DataFrame(rows)
    means = report.table_means(frame, "cross_entropy")
    assert report.ranks(means, "cross_entropy").loc["t"].tolist() == [2.5, 1.0, 2.5]
    accuracy = report.ranks(report.table_means(frame, "accuracy"), "accuracy")
    assert accuracy.loc["t"].tolist() == [1.5, 3.0, 1.5]
    with pytest.raises(ValueError, match="different seeds"):
        report.table_means(frame.iloc[1:], "accuracy")


def test_a_variant_is_compared_with_the_method_that_it_varies():
    pairs = report.variant_pairs(["ILS2, teacher out of fold +T", "No LS, features as they are"])
    assert pairs[0] == ("ILS2, teacher out of fold +T", "ILS2 +T")
    assert pairs[1] == ("No LS, features as they are", "No LS")
    control = report.variant_pairs(["No LS, one hold-out +T"])
    assert control == [("No LS, one hold-out +T", "No LS +T")]
    against = [reference for _, reference in report.variant_pairs(["Any rule, one hold-out +T"])]
    assert against == ["No LS, one hold-out +T", "LS, one hold-out +T", "No LS +T", "LS +T"]


# --- variants ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shift", "curvature"), [(0.8, 2.0), (1.0, 0.5), (0.5, 4.0)])
def test_the_quadratic_that_made_the_factors_is_found_again(shift, curvature):
    proba = np.linspace(0.05, 0.95, 10)
    factors = np.minimum(curvature * (proba - shift) ** 2, 0.2)
    found = variants.fit_quadratic(proba, factors, np.full(10, 7.0))
    assert found == pytest.approx({"shift": shift, "curvature": curvature})


def test_a_bin_without_rows_does_not_bend_the_curve():
    proba = np.linspace(0.05, 0.95, 10)
    factors = 0.5 * (proba - 1.0) ** 2
    counts = np.full(10, 5.0)
    factors[3], counts[3] = 0.2, 0.0
    assert variants.fit_quadratic(proba, factors, counts)["shift"] == pytest.approx(1.0)


def test_each_bin_gets_its_own_best_factor():
    losses = np.array([[3.0, 1.0], [2.0, 2.0], [4.0, 3.0]])
    assert variants.best_factors(losses, (0.0, 0.1, 0.2)).tolist() == [0.1, 0.0]


def test_the_epoch_with_the_lowest_loss_after_scaling_is_restored(split):
    def fitted(callbacks):
        net = InstanceSmoothedClassifier(
            **NETWORK | {"max_epochs": 40},
            smoothing=UniformSmoothing(0.2),
            random_state=0,
            train_split=predefined_split(Dataset(split.X_test, split.y_test)),
            callbacks=callbacks,
        ).fit(split.X_train, split.y_train)
        logits = net.decision_function(split.X_test) * net.temperature_
        scaled = log_softmax(logits, fit_temperature(logits, split.y_test))
        return net, methods.cross_entropy(scaled, split.y_test)

    net, loss = fitted([("best", variants.ScaledBestEpoch())])
    assert loss == pytest.approx(dict(net.callbacks_)["best"].loss_, abs=1e-5)
    assert loss < fitted(None)[1]


# --- defaults -----------------------------------------------------------------------------------------------


def candidate_rows(scores):
    """Return candidates of two tables: {params: ((inner, test) of table a, (inner, test) of table b)}."""
    rows = [
        {
            "table": table,
            "seed": 0,
            "method": "LS +T",
            "rule": "LS",
            "params": params,
            "cv_cross_entropy": inner,
            "cross_entropy": test,
        }
        for params, pairs in scores.items()
        for table, (inner, test) in zip("ab", pairs, strict=True)
    ]
    return pd.DataFrame(rows)


def test_search_takes_the_candidate_that_the_inner_folds_prefer_on_each_table():
    rows = candidate_rows({"p": ((0.1, 5.0), (0.9, 1.0)), "q": ((0.2, 2.0), (0.3, 7.0))})
    assert defaults.searched(rows).to_dict() == {"a": 5.0, "b": 7.0}


def test_defaults_that_were_not_tried_are_named():
    with pytest.raises(ValueError, match="has not tried"):
        defaults.package_defaults(candidate_rows({"{}": ((0.1, 0.1), (0.1, 0.1))}))


def test_package_defaults_are_candidates_of_the_benchmark():
    tried = [methods.described(params) for params in ParameterGrid(methods.candidates())]
    rows = candidate_rows(dict.fromkeys(tried, ((0.5, 1.0), (0.5, 2.0))))
    for values in defaults.package_defaults(rows).values():
        assert values.to_dict() == {"a": 1.0, "b": 2.0}
