"""The same contract on a GPU; skipped without one."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import EpochScoring
from skorch.hf import AccelerateMixin
from torch.utils.data import TensorDataset

from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV, TeacherClassifier
from sk_ils._net import predicting_net, training
from sk_ils.inspection import ReliabilityDisplay, SmoothingCurveDisplay
from sk_ils.metrics import (
    CalibrationScorer,
    calibration_report,
    calibration_scoring,
    neg_classwise_calibration_error_scorer,
    neg_expected_calibration_error_scorer,
)
from sk_ils.smoothing import resolve_rule
from sk_ils.temperature import TemperatureScaledClassifier, fit_temperature

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

plt.switch_backend("agg")
RULES = ["none", "uniform", "ils1", "ils2", "ils", "class", "distillation", "bootstrap"]


@pytest.fixture(autouse=True)
def _cuda_generators_stay_untouched():
    before = torch.cuda.get_rng_state()
    yield
    assert torch.equal(before, torch.cuda.get_rng_state())


@pytest.mark.parametrize("smoothing", RULES)
def test_auto_takes_the_gpu_and_agrees_with_the_cpu(student, table, smoothing):
    X, y = table
    on_gpu = student(smoothing=smoothing, device="auto").fit(X, y)
    assert next(on_gpu.module_.parameters()).is_cuda
    on_cpu = student(smoothing=smoothing, device="cpu").fit(X, y)
    np.testing.assert_allclose(on_gpu.predict_proba(X), on_cpu.predict_proba(X), atol=2e-2)
    assert set(on_gpu.predict(X)) <= set(y)


@pytest.mark.parametrize("smoothing", RULES)
def test_a_rule_and_temperature_scaling_take_tensors_of_the_gpu(smoothing):
    rule = resolve_rule(smoothing)
    logits = torch.randn(64, 5, generator=torch.Generator().manual_seed(0))
    y = torch.arange(64) % 5
    on_gpu = rule.torch_targets(y.cuda(), logits.cuda())
    assert on_gpu.is_cuda
    torch.testing.assert_close(on_gpu.cpu(), rule.torch_targets(y, logits))
    assert fit_temperature(logits.cuda(), y.cuda()) == fit_temperature(logits, y)


def test_float64_agrees_with_the_cpu_to_round_off(student, table):
    X, y = table
    on_gpu, on_cpu = (student(device=device, dtype="float64").fit(X, y) for device in ("cuda", "cpu"))
    np.testing.assert_allclose(on_gpu.predict_proba(X), on_cpu.predict_proba(X), atol=1e-6)
    np.testing.assert_allclose(on_gpu.history[:, "valid_loss"], on_cpu.history[:, "valid_loss"], rtol=1e-6)


def test_no_smoothing_equals_the_default_teacher_exactly(student, table):
    X, y = table
    none, smoothed = (student(smoothing=rule, device="cuda").fit(X, y) for rule in ("none", "ils"))
    np.testing.assert_array_equal(none.predict_proba(X), smoothed.teacher_.predict_proba(X))


def test_the_same_seed_gives_identical_probabilities(student, table):
    X, y = table
    first, second = (student(device="cuda").fit(X, y).predict_proba(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_fit_on_the_cpu_leaves_the_gpus_generators_alone(student, table):
    student(device="cpu").fit(*table)


class Watched(TeacherClassifier):
    """Lets a training step fail that waits for the GPU."""

    def train_step(self, batch, **fit_params):
        if len(self.history) == 1:  # the first step of all looks at the logits
            return super().train_step(batch, **fit_params)
        try:
            torch.cuda.set_sync_debug_mode("error")
            return super().train_step(batch, **fit_params)
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype feature")
@pytest.mark.parametrize("resident", [True, False])
def test_no_step_waits_for_the_gpu(table, monkeypatch, resident):
    if not resident:
        monkeypatch.setattr(training, "_RESIDENT_SHARE", 0.0)
    clf = Watched(max_epochs=3, batch_size=32, random_state=0, device="cuda").fit(*table)
    assert len(clf.history) == 3


@pytest.mark.parametrize("smoothing", ["none", "ils2"])
def test_mixed_precision_learns_as_well(student, table, smoothing):
    X, y = table
    full, mixed = (
        student(smoothing=smoothing, mixed_precision=precision, device="cuda").fit(X, y)
        for precision in (None, "bf16")
    )
    assert log_loss(y, mixed.predict_proba(X)) == pytest.approx(log_loss(y, full.predict_proba(X)), rel=0.1)
    assert {parameter.dtype for parameter in mixed.module_.parameters()} == {torch.float32}


def test_many_rows_are_predicted_without_a_wait_for_each_batch(student, table, monkeypatch):
    X, y = table
    clf = student(device="cuda").fit(X, y)
    expected = clf.predict_proba(X)
    monkeypatch.setattr(predicting_net, "_KEPT_BYTES", 1000)  # several transfers
    np.testing.assert_array_equal(clf.predict_proba(X), expected)
    moved = clf.forward(X, device=None)
    assert moved.is_cuda


def test_data_that_do_not_fit_go_over_batch_by_batch(student, table, monkeypatch):
    X, y = table
    resident = student(device="cuda").fit(X, y).predict_proba(X)
    monkeypatch.setattr(training, "_RESIDENT_SHARE", 0.0)
    streamed = student(device="cuda").fit(X, y).predict_proba(X)
    np.testing.assert_allclose(streamed, resident, atol=1e-6)


@pytest.mark.parametrize("parameters", [{"num_workers": 1}, {"pin_memory": True}], ids=["workers", "pinned"])
def test_arrays_take_parameters_of_a_data_loader(student, table, parameters):
    X, y = table
    named = {f"iterator_train__{name}": value for name, value in parameters.items()}
    loaded = student(device="cuda", **named).fit(X, y, sample_weight=np.ones(len(y)))
    plain = student(device="cuda").fit(X, y)
    np.testing.assert_allclose(loaded.predict_proba(X), plain.predict_proba(X), atol=1e-4)


def test_cuda_tensors_and_datasets_go_in(student, table):
    X, y = table
    codes = np.unique(y, return_inverse=True)[1]
    tensor = torch.as_tensor(X, dtype=torch.float32)
    from_tensor = student(device="cuda").fit(tensor.cuda(), torch.as_tensor(codes).cuda())
    dataset = TensorDataset(tensor, torch.as_tensor(codes))
    from_dataset = student(device="cuda").fit(dataset)
    np.testing.assert_allclose(
        from_tensor.predict_proba(tensor.cuda()), from_dataset.predict_proba(dataset), atol=1e-3
    )


@pytest.mark.parametrize("mode", ["cached", "online"])
@pytest.mark.parametrize("kind", ["net", "frozen", "trees"])
def test_teachers_teach_on_the_gpu(student, teacher, table, mode, kind):
    X, y = table
    teachers = {
        "net": lambda: None,
        "frozen": lambda: FrozenEstimator(teacher(device="cuda").fit(X, y)),
        "trees": lambda: HistGradientBoostingClassifier(max_iter=5),
    }
    clf = student(device="cuda", teacher=teachers[kind](), teacher_mode=mode).fit(X, y)
    assert clf.score(X, y) > 0.5
    np.testing.assert_allclose(clf.teacher_predict_proba(X).sum(axis=1), 1, atol=1e-6)


def test_weights_callbacks_and_partial_fit_work(student, table):
    X, y = table
    clf = student(
        device="cuda", callbacks=[EpochScoring("accuracy", lower_is_better=False, name="my_acc")]
    ).fit(X, y, sample_weight=np.random.default_rng(0).random(len(y)))
    assert all(np.isfinite(clf.history[:, "my_acc"]))
    clf.partial_fit(X, y)
    assert len(clf.history) == 10


def test_a_network_of_the_gpu_is_unpickled_and_goes_on(student, table):
    X, y = table
    clf = student(device="cuda").fit(X, y)
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))


@pytest.mark.needs_sklearn("1.8", 'CalibratedClassifierCV(method="temperature")')
def test_scikit_learns_tools_work_on_the_gpu(student, table):
    X, y = table
    ils = student(smoothing="ils", device="cuda")
    search = GridSearchCV(ils, {"smoothing__shift": [0.5, 0.9]}, cv=3, scoring="neg_log_loss").fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    for method in ("sigmoid", "isotonic", "temperature"):
        calibrated = CalibratedClassifierCV(FrozenEstimator(search.best_estimator_), method=method).fit(X, y)
        np.testing.assert_allclose(calibrated.predict_proba(X).sum(axis=1), 1)
    clf = student(device="cuda").fit(X, y == "ant")
    calibration_curve(y == "ant", clf.predict_proba(X)[:, 1])


def test_scorers_and_report_read_a_network_of_the_gpu(student, table):
    X, y = table
    callbacks = [
        EpochScoring(scorer, lower_is_better=False, name=name)
        for name, scorer in (
            ("ece", neg_expected_calibration_error_scorer),
            ("classwise", neg_classwise_calibration_error_scorer),
        )
    ]
    clf = student(device="cuda", callbacks=callbacks).fit(X, y)
    assert np.isfinite(clf.history[:, ("ece", "classwise")]).all()
    for name, scorer in calibration_scoring().items():
        assert scorer(clf, X, y) == pytest.approx(CalibrationScorer()(clf, X, y)[name], abs=1e-6)
    report = calibration_report(y, clf.predict_proba(X), n_resamples=50, random_state=0)
    assert report["accuracy"].value == pytest.approx(clf.score(X, y))


def test_displays_read_a_network_of_the_gpu(student, table):
    X, y = table
    clf = student(smoothing="ils", device="cuda").fit(X, y)
    for kind in ("top-label", "classwise", "ant"):
        curves = ReliabilityDisplay.from_estimator(clf, X, y, kind=kind).frame()
        assert curves.groupby("class", dropna=False)["count"].sum().eq(len(y)).all()
        plt.close("all")
    factors = SmoothingCurveDisplay.from_estimator(clf, X, y).frame()
    assert factors["count"].sum() == len(y)
    assert factors["smoothing_factor"].dropna().between(0, 1).all()
    plt.close("all")


def test_a_module_with_dropout_repeats_itself_with_the_same_seed(teacher, table):
    X, y = table

    class DropoutNet(torch.nn.Module):
        def __init__(self, n_features_in, n_classes):
            super().__init__()
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(n_features_in, 16), torch.nn.Dropout(0.5), torch.nn.Linear(16, n_classes)
            )

        def forward(self, X):
            return self.layers(X)

    first, second = (teacher(module=DropoutNet, device="cuda").fit(X, y).predict_proba(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("parameters", [{}, {"patience": 2, "max_epochs": 25, "lr": 0.05}])
def test_a_stacked_search_equals_grid_search_on_the_gpu(student, table, parameters):
    X, y = table
    grid = [
        {"smoothing": ["none", "bootstrap"]},
        {"smoothing": ["ils1", "ils"], "smoothing__shift": [0.7, 0.9], "smoothing__curvature": [0.5, 2.0]},
        {"smoothing": ["uniform", "ils2"], "smoothing__epsilon": [0.05, 0.2]},
    ]
    estimator = student(device="cuda", dtype="float64", **parameters)
    ours, theirs = (
        kind(estimator, grid, cv=3, scoring="neg_log_loss").fit(X, y)
        for kind in (SmoothingSearchCV, GridSearchCV)
    )
    for k in range(3):
        name = f"split{k}_test_score"
        np.testing.assert_allclose(ours.cv_results_[name], theirs.cv_results_[name], rtol=0, atol=1e-6)
    assert next(ours.best_estimator_.module_.parameters()).is_cuda


def test_a_stack_that_exceeds_the_gpus_memory_is_halved(student, table):
    X, y = table
    total = torch.cuda.get_device_properties(0).total_memory
    wide = student(device="cuda", module__hidden_sizes=(4096, 4096), max_epochs=1)
    grid = {"smoothing": ["uniform"], "smoothing__epsilon": list(np.linspace(0, 0.3, 8))}
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, 1.2 * 2**30 / total))
    try:
        halved = SmoothingSearchCV(wide, grid, cv=2, refit=False, max_parallel=8).fit(X, y)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    whole = SmoothingSearchCV(wide, grid, cv=2, refit=False, max_parallel=8).fit(X, y)
    np.testing.assert_allclose(
        halved.cv_results_["mean_test_score"], whole.cv_results_["mean_test_score"], atol=1e-2
    )


def test_an_ensemble_on_the_gpu_agrees_with_one_on_the_cpu(student, table):
    X, y = table
    grid = {"smoothing": ["none", "uniform", "ils"]}
    on_gpu, on_cpu = (
        SmoothingSearchCV(student(device=device, dtype="float64"), grid, cv=3, ensemble=True).fit(X, y)
        for device in ("cuda", "cpu")
    )
    np.testing.assert_allclose(on_gpu.out_of_fold_proba_, on_cpu.out_of_fold_proba_, atol=1e-6)
    np.testing.assert_allclose(on_gpu.predict_proba(X), on_cpu.predict_proba(X), atol=1e-6)
    assert all(next(net.module_.parameters()).is_cuda for net in on_gpu.best_estimator_.estimators_)


def test_a_file_of_the_gpu_is_read_on_the_cpu(student, table, tmp_path):
    X, y = table
    on_gpu = student(device="cuda", dtype="float64").fit(X, y)
    on_gpu.save_params(f_params=tmp_path / "net.safetensors")
    on_cpu = student(device="cpu", dtype="float64")
    on_cpu.load_params(f_params=tmp_path / "net.safetensors")
    assert not next(on_cpu.module_.parameters()).is_cuda
    np.testing.assert_allclose(on_cpu.predict_proba(X), on_gpu.predict_proba(X), atol=1e-9)
    on_gpu.save(tmp_path / "estimator.safetensors")
    loaded = type(on_gpu).load(tmp_path / "estimator.safetensors", device="cpu")
    assert not next(loaded.module_.parameters()).is_cuda
    np.testing.assert_allclose(loaded.predict_proba(X), on_gpu.predict_proba(X), atol=1e-9)
    again = type(on_gpu).load(tmp_path / "estimator.safetensors")
    np.testing.assert_array_equal(again.predict_proba(X), on_gpu.predict_proba(X))


def test_a_torch_module_of_a_network_of_the_gpu_is_on_the_cpu(student, table):
    X, y = table
    on_gpu = student(device="cuda", dtype="float64").fit(X, y)
    proba = on_gpu.to_torch()(torch.tensor(X))
    np.testing.assert_allclose(proba.numpy(), on_gpu.predict_proba(X), atol=1e-9)
    assert next(on_gpu.module_.parameters()).is_cuda


def test_a_scaled_classifier_takes_a_network_of_the_gpu(student, table):
    X, y = table
    scaled = TemperatureScaledClassifier(student(device="cuda"), cv=3).fit(X, y)
    np.testing.assert_allclose(scaled.predict_proba(X).sum(axis=1), 1)


@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores")  # torch's compiler advises
def test_a_compiled_module_predicts_as_the_plain_one(student, table):
    pytest.importorskip("triton")
    X, y = table
    plain, compiled = (
        student(device="cuda", compile=flag).fit(X, y).predict_proba(X) for flag in (False, True)
    )
    np.testing.assert_allclose(compiled, plain, atol=1e-3)


def test_fits_in_threads_give_the_network_of_the_seed(student, table):
    X, y = table
    alone = student(device="cuda").fit(X, y).predict_proba(X)
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(lambda: student(device="cuda").fit(X, y).predict_proba(X)) for _ in range(8)]
        for future in futures:
            np.testing.assert_array_equal(future.result(), alone)


@pytest.mark.usefixtures("forgetful_accelerate")
def test_accelerate_trains_in_fp16_with_a_scaled_loss(table):
    accelerate = pytest.importorskip("accelerate")

    class Accelerated(AccelerateMixin, InstanceSmoothedClassifier):
        pass

    X, y = table
    half = Accelerated(
        accelerator=accelerate.Accelerator(mixed_precision="fp16"), max_epochs=10, random_state=0
    ).fit(X, y)
    full = InstanceSmoothedClassifier(device="cuda", max_epochs=10, random_state=0).fit(X, y)
    assert half.accelerator.scaler.get_scale() > 1
    assert next(half.module_.parameters()).dtype == torch.float32
    losses = [log_loss(y, net.predict_proba(X)) for net in (half, full)]
    assert losses[0] == pytest.approx(losses[1], abs=0.1)
