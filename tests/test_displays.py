"""Reliability diagrams and smoothing curves: the numbers drawn, and what is on the axes."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_ils.inspection import ReliabilityDisplay, SmoothingCurveDisplay
from sk_ils.metrics import classwise_calibration_error, expected_calibration_error
from sk_ils.model_selection import CrossFittedClassifier
from sk_ils.smoothing import ILS1, ILS2, SelfDistillation, UniformSmoothing

pytestmark = pytest.mark.usefixtures("headless")


def calibrated_predictions(n=300, n_classes=3, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    p = np.exp(2 * rng.standard_normal((n, n_classes)))
    p = (p / p.sum(axis=1, keepdims=True)).astype(dtype)
    y = (rng.random((n, 1)) > p.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return y, p


def curve_lines(ax):
    return lines_of(ax, "reliability curve")


def lines_of(ax, group):
    return [line for line in ax.lines if line.get_gid() == group]


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# Reliability: the numbers


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_curve_holds_the_means_of_its_bins(dtype, weighted):
    y, p = calibrated_predictions(dtype=dtype)
    w = np.arange(300) % 2 if weighted else np.ones(300)
    display = ReliabilityDisplay.from_predictions(y, p, n_bins=7, sample_weight=w if weighted else None)
    frame = display.frame()
    confidence, correct = p.max(axis=1), p.argmax(axis=1) == y
    assert list(frame["lower"]) == pytest.approx(np.arange(7) / 7, abs=1e-3)
    for bin_ in frame.itertuples():
        rows = (confidence > bin_.lower) & (confidence <= bin_.upper)
        assert bin_.count == w[rows].sum()
        if bin_.count == 0:
            assert np.isnan([bin_.mean_proba, bin_.frequency, bin_.low, bin_.high]).all()
        else:
            mean = np.average(confidence[rows].astype(float), weights=w[rows])
            assert bin_.mean_proba == pytest.approx(mean)
            assert bin_.frequency == pytest.approx(np.average(correct[rows], weights=w[rows]))
            hits = round(bin_.frequency * bin_.count)
            test = binomtest(hits, round(bin_.count)).proportion_ci(0.95, method="wilson")
            assert (bin_.low, bin_.high) == pytest.approx((test.low, test.high), abs=1e-9)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("scale", [1e-300, 0.1, 1e300])
def test_scale_of_the_weights_does_not_matter(strategy, scale):
    y, p = calibrated_predictions()
    w = np.random.default_rng(0).exponential(size=300)
    frames = [
        ReliabilityDisplay.from_predictions(y, p, sample_weight=weight, strategy=strategy).frame()
        for weight in (w, scale * w, np.full(300, scale), None)
    ]
    pd.testing.assert_frame_equal(frames[0], frames[1])
    pd.testing.assert_frame_equal(frames[2], frames[3])


def test_intervals_of_weighted_samples_are_those_of_kishs_effective_number():
    y, p = calibrated_predictions()
    w = np.random.default_rng(0).exponential(size=300) ** 2
    bin_ = ReliabilityDisplay.from_predictions(y, p, n_bins=1, sample_weight=w).frame().iloc[0]
    rate = np.average(p.argmax(axis=1) == y, weights=w)
    n, z = w.sum() ** 2 / (w**2).sum(), 1.959963984540054
    # Wilson's interval holds the rates from which the observed one is less than z deviations away.
    for end in bin_.low, bin_.high:
        assert abs(rate - end) == pytest.approx(z * np.sqrt(end * (1 - end) / n))
    assert bin_["count"] == pytest.approx(300)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_errors_are_those_of_the_metrics(strategy):
    y, p = calibrated_predictions()
    options = {"n_bins": 10, "strategy": strategy}
    top = ReliabilityDisplay.from_predictions(y, p, **options)
    assert top.errors == {None: pytest.approx(expected_calibration_error(y, p, **options))}
    grid = ReliabilityDisplay.from_predictions(y, p, kind="classwise", name="a", **options)
    assert grid.errors == {"a": pytest.approx(classwise_calibration_error(y, p, **options))}
    each = classwise_calibration_error(y, p, average=None, **options)
    for k in range(3):
        one = ReliabilityDisplay.from_predictions(y, p, kind=k, **options)
        assert one.errors[None] == pytest.approx(each[k])
        assert one.curves[0].label == k


def test_the_worst_classes_come_first():
    y, p = calibrated_predictions(2000, 20)
    display = ReliabilityDisplay.from_predictions(y, p, kind="classwise", max_classes=5)
    errors = classwise_calibration_error(y, p, average=None)
    assert [curve.label for curve in display.curves] == list(np.argsort(-errors)[:5])
    assert len(display.ax_) == 5
    assert [ax.get_title() for ax in display.ax_] == [f"{curve.label}" for curve in display.curves]


def test_a_list_of_classes_is_shown_in_its_order():
    y, p = calibrated_predictions()
    names = np.array(["ant", "bee", "cat"])
    display = ReliabilityDisplay.from_predictions(names[y], p, kind=["cat", "ant"])
    assert [ax.get_title() for ax in display.ax_] == ["cat", "ant"]
    assert set(display.frame()["class"]) == {"cat", "ant"}


# Reliability: the picture


def test_markers_stand_at_the_means_and_empty_bins_are_empty():
    y, p = calibrated_predictions(40)
    display = ReliabilityDisplay.from_predictions(y, p, n_bins=15)
    frame = display.frame()
    assert (frame["count"] == 0).any()
    (line,) = curve_lines(display.ax_)
    np.testing.assert_array_equal(line.get_xdata(), frame["mean_proba"])
    np.testing.assert_array_equal(line.get_ydata(), frame["frequency"])
    assert display.figure_ is display.ax_.figure
    assert display.ax_.get_xlabel() == "Confidence"


def test_interval_bars_span_the_intervals():
    y, p = calibrated_predictions()
    display = ReliabilityDisplay.from_predictions(y, p, confidence_level=0.5)
    frame = display.frame().dropna(subset="low")
    (bars,) = display.ax_.collections
    ends = [path.vertices[:, 1] for path in bars.get_paths() if np.isfinite(path.vertices).all()]
    np.testing.assert_allclose(ends, frame[["low", "high"]])
    wide = ReliabilityDisplay.from_predictions(y, p, confidence_level=0.99).frame().dropna(subset="low")
    assert (wide["low"] <= frame["low"]).all()
    assert (wide["high"] >= frame["high"]).all()


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_the_histogram_counts_the_confidences_in_even_bins(strategy):
    y, p = calibrated_predictions()
    display = ReliabilityDisplay.from_predictions(y, p, strategy=strategy, n_bins=10)
    (strip,) = display.ax_.child_axes
    heights = [bar.get_height() for bar in strip.patches]
    expected, _ = np.histogram(p.max(axis=1), bins=10, range=(0, 1))
    assert heights == list(expected)
    shown = [text.get_text() for text in strip.texts if text.get_text()]
    assert shown == [str(count) for count in expected if count]


@pytest.mark.parametrize(
    ("count", "text"), [(7, "7"), (999, "999"), (1000, "1k"), (9440, "9.4k"), (34_600, "35k"), (2e6, "2M")]
)
def test_large_counts_are_shortened(count, text):
    p = np.full(int(count), 0.75, dtype=np.float32)
    display = ReliabilityDisplay.from_predictions(np.zeros(len(p), int), p, labels=[0, 1])
    (strip,) = display.ax_.child_axes
    assert [t.get_text() for t in strip.texts if t.get_text()] == [text]


def test_several_models_share_one_axes_with_their_scores_in_the_legend():
    y, p = calibrated_predictions()
    q = np.sqrt(p) / np.sqrt(p).sum(axis=1, keepdims=True)
    together = ReliabilityDisplay.from_predictions(y, {"a": p, "b": q})
    first = ReliabilityDisplay.from_predictions(y, p, name="a")
    second = ReliabilityDisplay.from_predictions(y, q, name="b", ax=first.ax_)
    assert second.ax_ is first.ax_
    for ax in (together.ax_, first.ax_):
        assert legend_texts(ax) == [
            f"a (ECE {expected_calibration_error(y, p):.4f})",
            f"b (ECE {expected_calibration_error(y, q):.4f})",
        ]
        lines = curve_lines(ax)
        assert len({line.get_color() for line in lines}) == 2
        assert len({line.get_marker() for line in lines}) == 2
        assert len(lines_of(ax, "perfect calibration")) == 1
        assert len(ax.child_axes) == 1
        assert not ax.child_axes[0].texts
    assert list(together.frame()["model"].unique()) == ["a", "b"]


def test_several_models_share_a_grid():
    y, p = calibrated_predictions(500, 6)
    q = np.sqrt(p) / np.sqrt(p).sum(axis=1, keepdims=True)
    grid = ReliabilityDisplay.from_predictions(y, {"a": p, "b": q}, kind="classwise")
    assert [len(curve_lines(ax)) for ax in grid.ax_] == [2] * 6
    first = ReliabilityDisplay.from_predictions(y, p, kind="classwise", name="a")
    classes = [curve.label for curve in first.curves]
    second = ReliabilityDisplay.from_predictions(y, q, kind=classes, name="b", ax=first.ax_)
    assert [len(curve_lines(ax)) for ax in second.ax_] == [2] * 6
    for ax, label in zip(second.ax_, classes, strict=True):
        shown = [text.get_text() for text in ax.texts]
        errors = [classwise_calibration_error(y, x, average=None)[label] for x in (p, q)]
        assert shown == [f"{error:.4f}" for error in errors]
    with pytest.raises(ValueError, match="already shows"):
        ReliabilityDisplay.from_predictions(y, q, kind=classes[::-1], ax=first.ax_)


def test_a_grid_goes_into_one_axes_or_into_given_ones():
    y, p = calibrated_predictions(500, 5)
    figure, (left, right) = plt.subplots(1, 2)
    divided = ReliabilityDisplay.from_predictions(y, p, kind="classwise", ax=left)
    assert len(divided.ax_) == 5
    assert not left.axison
    assert right.axison
    figure, axes = plt.subplots(2, 3)
    given = ReliabilityDisplay.from_predictions(y, p, kind="classwise", ax=axes)
    assert list(given.ax_) == list(axes.ravel()[:5])
    assert given.figure_ is figure
    with pytest.raises(ValueError, match=r"4 axes, but 5 classes .* max_classes=4"):
        ReliabilityDisplay.from_predictions(y, p, kind="classwise", ax=axes.ravel()[:4])
    with pytest.raises(ValueError, match="divided"):
        ReliabilityDisplay.from_predictions(y, p, kind="classwise", ax=plt.figure().add_axes((0, 0, 1, 1)))


def test_line_keywords_pass_through():
    y, p = calibrated_predictions()
    display = ReliabilityDisplay.from_predictions(y, p, color="red", linestyle="--")
    (line,) = curve_lines(display.ax_)
    assert (line.get_color(), line.get_linestyle()) == ("red", "--")
    named = [ReliabilityDisplay.from_predictions(y, p, gid="mine", ax=display.ax_) for _ in "ab"]
    first, second = lines_of(display.ax_, "mine")
    assert len({line.get_color(), first.get_color(), second.get_color()}) == 3
    assert len(lines_of(display.ax_, "perfect calibration")) == 1
    assert named[0].ax_ is display.ax_
    again = display.plot(color="blue")
    assert again is display
    assert curve_lines(display.ax_)[0].get_color() == "blue"


@pytest.mark.parametrize("kind", ["top-label", "classwise", "bee"])
def test_estimators_and_predictions_give_the_same_display(kind):
    rng = np.random.default_rng(0)
    codes = rng.integers(3, size=200)
    X, y = rng.standard_normal((200, 2)) + codes[:, None], np.array(["ant", "bee", "cat"])[codes]
    clf = make_pipeline(StandardScaler(), GaussianNB()).fit(X, y)
    rows = y != "cat"  # a class may be absent
    a = ReliabilityDisplay.from_estimator(clf, X[rows], y[rows], kind=kind)
    b = ReliabilityDisplay.from_predictions(
        y[rows], clf.predict_proba(X[rows]), labels=clf.classes_, kind=kind, name="Pipeline"
    )
    assert a.frame().equals(b.frame())
    assert list(a.errors) == ["Pipeline"]


@pytest.mark.parametrize(("n", "n_classes"), [(1, 2), (1, 100), (100, 3), (100_000, 10)])
def test_every_size_can_be_drawn(n, n_classes):
    y, p = calibrated_predictions(n, n_classes, dtype=np.float32)
    for kind in ("top-label", "classwise", 1):
        display = ReliabilityDisplay.from_predictions(y, p, labels=range(n_classes), kind=kind)
        display.figure_.canvas.draw()
        plt.close("all")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "top"}, r"one of the classes \[0, 1\]"),
        ({"kind": 2}, r"one of the classes \[0, 1\]"),
        ({"kind": [0, 2]}, r"one of the classes \[0, 1\]"),
        ({"n_bins": 0}, "n_bins"),
        ({"max_classes": 0}, "max_classes"),
        ({"confidence_level": 1}, "confidence_level"),
        ({"y_proba": [3.0, -1.0]}, "between 0 and 1"),
        ({"y_proba": {}}, "at least one name"),
        ({"kind": []}, r"list of one class or more, each of them once; got \[\]"),
        ({"kind": [0, 0]}, r"each of them once; got \[0, 0\]"),
        ({"kind": {}}, "list of one class or more"),
        ({"kind": None}, "one of the classes .* got None"),
        ({"kind": True}, "one of the classes .* got True"),
        ({"kind": b"classwise"}, "one of the classes"),
        ({"kind": [[0, 1]]}, "one of the classes"),
        ({"kind": [np.array([0, 1])]}, "one of the classes"),
        ({"kind": np.array(2)}, "one of the classes .* got 2"),
        ({"ax": "left"}, "ax must be a matplotlib Axes.* got str"),
        ({"ax": [None]}, "ax must be a matplotlib Axes.* got NoneType"),
        ({"ax": {"a": 1}, "kind": "classwise"}, "ax must be a matplotlib Axes.* got dict"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        ReliabilityDisplay.from_predictions(**{"y_true": [0, 1], "y_proba": [0.2, 0.9], **change})
    assert not plt.get_fignums()


@pytest.mark.parametrize("kind", [np.array([2, 0]), (2, 0), iter([2, 0]), range(2, -1, -2)])
def test_classes_may_be_named_by_any_sequence(kind):
    y, p = calibrated_predictions()
    display = ReliabilityDisplay.from_predictions(y, p, kind=kind)
    assert [ax.get_title() for ax in display.ax_] == ["2", "0"]
    assert len(display.plot().ax_) == 2


def test_short_names_of_line_keywords_replace_our_own():
    y, p = calibrated_predictions()
    for display in (
        ReliabilityDisplay.from_predictions(y, p, c="red", lw=3, ls="--", ms=9),
        SmoothingCurveDisplay.from_predictions(y, p, smoothing=Quadratic(), c="red", lw=3, ls="--", ms=9),
    ):
        line = getattr(display, "line_", None) or curve_lines(display.ax_)[0]
        style = line.get_color(), line.get_linewidth(), line.get_linestyle(), line.get_markersize()
        assert style == ("red", 3, "--", 9)
    grid = ReliabilityDisplay.from_predictions(y, p, kind="classwise", c="red")
    assert {curve_lines(ax)[0].get_color() for ax in grid.ax_} == {"red"}


def test_an_array_of_one_axes_is_an_axes_and_several_are_one_for_each_model():
    y, p = calibrated_predictions()
    _, axes = plt.subplots(1, 1, squeeze=False)
    assert ReliabilityDisplay.from_predictions(y, p, ax=axes).ax_ is axes[0, 0]
    _, axes = plt.subplots(1, 1, squeeze=False)
    assert SmoothingCurveDisplay.from_predictions(y, p, smoothing=Quadratic(), ax=axes).ax_ is axes[0, 0]
    _, axes = plt.subplots(2, 2)
    display = ReliabilityDisplay.from_predictions(y, {"a": p, "b": p}, ax=axes)
    assert list(display.ax_) == [axes[0, 0], axes[0, 1]]
    assert [len(curve_lines(ax)) for ax in axes.ravel()] == [1, 1, 0, 0]
    with pytest.raises(ValueError, match="One axes is drawn into, but ax holds 4"):
        SmoothingCurveDisplay.from_predictions(y, p, smoothing=Quadratic(), ax=axes)
    with pytest.raises(ValueError, match="2 axes, but 3 models"):
        ReliabilityDisplay.from_predictions(y, {"a": p, "b": p, "c": p}, ax=axes[0])


@pytest.mark.parametrize("kind", ["top-label", 1])
def test_more_than_four_models_have_an_axes_each(kind):
    y, p = calibrated_predictions()
    four = ReliabilityDisplay.from_predictions(y, dict.fromkeys("abcd", p), kind=kind)
    assert len(curve_lines(four.ax_)) == 4
    five = ReliabilityDisplay.from_predictions(y, dict.fromkeys("abcde", p), kind=kind)
    assert [len(curve_lines(ax)) for ax in five.ax_] == [1] * 5
    error = f"{'ECE' if kind != 1 else 'class-wise ECE'} {five.errors['a']:.4f}"
    assert [ax.get_title() for ax in five.ax_] == [f"{name}\n{error}" for name in "abcde"]
    assert five.figure_ is five.ax_[0].figure
    _, (left, right) = plt.subplots(1, 2)
    divided = ReliabilityDisplay.from_predictions(y, dict.fromkeys("abcde", p), kind=kind, ax=left)
    assert len(divided.ax_) == 5
    assert not left.axison
    assert right.axison


def test_more_than_four_models_have_a_row_each_if_class_wise():
    y, p = calibrated_predictions()
    models = {name: p**power / (p**power).sum(axis=1, keepdims=True) for power, name in enumerate("abcde", 1)}
    display = ReliabilityDisplay.from_predictions(y, models, kind=[2, 0])
    assert [len(curve_lines(ax)) for ax in display.ax_] == [1] * 10
    errors = {name: classwise_calibration_error(y, q, average=None) for name, q in models.items()}
    titles = [f"{name}, {label}\n{errors[name][label]:.4f}" for name in "abcde" for label in (2, 0)]
    assert [ax.get_title() for ax in display.ax_] == titles
    assert display.ax_[0].get_subplotspec().get_gridspec().get_geometry() == (5, 2)
    _, axes = plt.subplots(5, 2)
    given = ReliabilityDisplay.from_predictions(y, models, kind=[2, 0], ax=axes)
    assert list(given.ax_) == list(axes.ravel())
    with pytest.raises(ValueError, match="2 axes, but 10 curves, 2 classes of 5 models, are to be shown"):
        ReliabilityDisplay.from_predictions(y, models, kind=[2, 0], ax=axes[0])


def test_curves_beyond_the_number_of_colours_still_differ():
    y, p = calibrated_predictions()
    first = ReliabilityDisplay.from_predictions(y, p, name="0")
    for name in range(1, 15):
        ReliabilityDisplay.from_predictions(y, p, name=f"{name}", ax=first.ax_)
    assert len({(line.get_color(), line.get_marker()) for line in curve_lines(first.ax_)}) == 15


@pytest.mark.parametrize("name", ["$x$", "$\\nonsense{$", "_US$"])
def test_texts_are_drawn_as_they_are(name):
    y, p = calibrated_predictions()
    labels = np.array(["a", name, "z"])
    drawn = [
        ReliabilityDisplay.from_predictions(labels[y], p, labels=labels, name=name),
        ReliabilityDisplay.from_predictions(labels[y], p, labels=labels, kind=name),
        ReliabilityDisplay.from_predictions(labels[y], p, labels=labels, kind="classwise", name=name),
        ReliabilityDisplay.from_predictions(y, dict.fromkeys([name, *"abcd"], p)),
        SmoothingCurveDisplay.from_predictions(y, p, smoothing=Quadratic(), name=name),
        SmoothingCurveDisplay.from_predictions(labels[y], p, labels=labels, smoothing=Constant(), name=name),
    ]
    for display in drawn:
        display.figure_.canvas.draw()
        texts = [text.get_text() for text in display.figure_.findobj(mpl.text.Text)]
        assert not any(is_math_text(text) for text in texts)
        assert any(name in text.replace(r"\$", "$") for text in texts)


def is_math_text(text):
    return (text.count("$") - text.count(r"\$")) % 2 == 0 and "$" in text.replace(r"\$", "")


@pytest.mark.parametrize("layout", [None, "constrained"])
def test_the_legend_covers_no_data(layout):
    y, p = calibrated_predictions()
    figure, ax = plt.subplots(figsize=(5, 6), layout=layout)
    # Two models whose points lie in all corners but one.
    curves = {"a": np.c_[1 - p[:, :1], p[:, 0]], "a rather long name": p[:, 0]}
    display = ReliabilityDisplay.from_predictions(y == 0, curves, kind=True, ax=ax)
    figure.canvas.draw()
    box = display.ax_.get_legend().get_window_extent()
    for curve in display.curves:
        for low, high in ((curve.mean_proba, curve.low), (curve.mean_proba, curve.high)):
            points = display.ax_.transData.transform(np.c_[low, high])
            assert not any(box.contains(*point) for point in points)
    new = ReliabilityDisplay.from_predictions(y, p)
    new.figure_.canvas.draw()
    box = new.ax_.get_legend().get_window_extent()
    assert not new.ax_.get_window_extent().overlaps(box)
    assert new.figure_.bbox.fully_overlaps(box)


def test_no_bar_of_the_strip_is_cut_off():
    y, p = calibrated_predictions(60)
    large, q = calibrated_predictions(3000)
    for kind in ("top-label", "classwise"):
        first = ReliabilityDisplay.from_predictions(y, p, kind=kind, name="few")
        kind = kind if kind == "top-label" else [curve.label for curve in first.curves]
        ReliabilityDisplay.from_predictions(large, q, kind=kind, name="many", ax=first.ax_)
        for ax in np.ravel(first.ax_):
            (strip,) = ax.child_axes
            heights = [bar.get_height() for bar in strip.patches]
            assert strip.get_ylim()[1] > 1.1 * max(heights)
            assert strip.get_ylim()[0] < min(height for height in heights if height)


def test_bins_with_fewer_than_ten_rows_are_hollow():
    y, p = calibrated_predictions(150)
    display = ReliabilityDisplay.from_predictions(y, p, color="red")
    frame = display.frame()
    few = frame[(frame["count"] < 10) & (frame["count"] > 0)]
    assert 0 < len(few) < (frame["count"] > 0).sum()
    (hollow,) = lines_of(display.ax_, "few rows")
    shown = np.isfinite(hollow.get_xdata())
    np.testing.assert_array_equal(hollow.get_xdata()[shown], few["mean_proba"])
    np.testing.assert_array_equal(hollow.get_ydata()[shown], few["frequency"])
    assert hollow.get_markerfacecolor() == "white"
    assert hollow.get_markeredgecolor() == "red"
    (bars,) = display.ax_.collections
    np.testing.assert_array_equal(bars.get_colors()[:, 3], np.where(frame["count"] < 10, 0.4, 1))


# Smoothing curve


class Constant:
    """A constant rule of the user's own: a quarter goes to the class that the teacher likes least."""

    def smoothing_factor(self, true_class_proba):
        return np.full(np.shape(true_class_proba), 0.25)

    def targets(self, y, teacher_logits, student_logits=None):
        targets = 0.75 * np.eye(teacher_logits.shape[1])[y]
        logits = np.where(targets > 0, np.inf, teacher_logits)
        targets[np.arange(len(y)), logits.argmin(axis=1)] += 0.25
        return targets


class Quadratic:
    """A rule of the user's own."""

    def smoothing_factor(self, true_class_proba):
        return np.minimum(2 * (np.asarray(true_class_proba) - 0.8) ** 2, 0.2)

    def __repr__(self):
        return "Quadratic()"


class Student:
    """What the display reads of a fitted estimator."""

    classes_ = np.array(["ant", "bee", "cat"])
    smoothing_ = Quadratic()

    def __init__(self, proba):
        self.proba = proba

    def fit(self, X, y):
        return self

    def predict(self, X):
        return self.classes_[self.teacher_predict_proba(X).argmax(axis=1)]

    def teacher_predict_proba(self, X):
        return self.proba[np.asarray(X, dtype=int).ravel()]


def test_the_curve_is_the_rules_factor_over_the_teachers_probabilities():
    y, p = calibrated_predictions()
    names = Student.classes_[y]
    display = SmoothingCurveDisplay.from_estimator(Student(p), np.arange(300)[:, None], names, n_bins=10)
    p_true = p[np.arange(300), y]
    np.testing.assert_array_equal(display.true_class_proba, p_true)
    x, factor = display.line_.get_data()
    assert (x[0], x[-1]) == (0, 1)
    np.testing.assert_allclose(factor, Quadratic().smoothing_factor(x))
    frame = display.frame()
    (strip,) = display.ax_.child_axes
    assert [bar.get_height() for bar in strip.patches] == list(frame["count"])
    for bin_ in frame.itertuples():
        rows = (p_true > bin_.lower) & (p_true <= bin_.upper)
        assert bin_.count == rows.sum()
        if rows.any():
            assert bin_.true_class_proba == pytest.approx(p_true[rows].mean())
            assert bin_.smoothing_factor == pytest.approx(Quadratic().smoothing_factor(p_true[rows]).mean())
    assert legend_texts(display.ax_) == ["Quadratic()"]


def test_a_pipeline_hands_its_last_step_what_it_has_been_fitted_on():
    y, p = calibrated_predictions()
    shifted = make_pipeline(StandardScaler(with_std=False), Student(p))
    X = np.arange(300.0)[:, None]
    shifted.fit(X, Student.classes_[y])
    shifted[0].mean_ = np.array([-1.0])  # the scaler now adds one
    display = SmoothingCurveDisplay.from_estimator(shifted, X[:-1], Student.classes_[y[:-1]])
    np.testing.assert_array_equal(display.true_class_proba, p[np.arange(1, 300), y[:-1]])


def test_rules_can_be_compared_in_one_axes():
    y, p = calibrated_predictions()
    first = SmoothingCurveDisplay.from_predictions(y, p, smoothing=Quadratic(), gid="mine")
    second = SmoothingCurveDisplay.from_predictions(
        y, np.sqrt(p) / np.sqrt(p).sum(axis=1, keepdims=True), smoothing=Quadratic(), name="b", ax=first.ax_
    )
    assert legend_texts(second.ax_) == ["Quadratic()", "b"]
    assert first.line_.get_color() != second.line_.get_color()
    assert first.line_.get_gid() == "mine"
    second.figure_.canvas.draw()


def test_a_constant_rule_is_shown_by_its_mean_targets():
    y, p = calibrated_predictions(n_classes=4)
    names = np.array(["ant", "bee", "cat", "dog"])
    display = SmoothingCurveDisplay.from_predictions(names[y], p, smoothing=Constant())
    logits = np.log(p)
    expected = np.array([Constant().targets(y, logits)[y == k].mean(axis=0) for k in range(4)])
    np.testing.assert_allclose(display.mean_targets.targets, expected)
    wrong = ~np.eye(4, dtype=bool)
    shown = display.im_.get_array()
    np.testing.assert_allclose(shown[wrong], expected[wrong])
    assert shown.mask[~wrong].all()  # the true class, which would hide all others
    assert display.line_ is None
    frame = display.frame()
    assert list(frame.columns) == ["true_class", "class", "count", "mean_target"]
    cat_ant = frame[(frame["true_class"] == "cat") & (frame["class"] == "ant")]
    assert cat_ant["mean_target"].item() == pytest.approx(expected[2, 0])
    assert cat_ant["count"].item() == (y == 2).sum()
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == list(names)
    numbers = {text.get_position(): float(text.get_text()) for text in display.ax_.texts}
    assert numbers[0, 2] == pytest.approx(expected[2, 0], abs=1e-3)  # x is the class, y the true one
    assert display.ax_.get_xlabel() == "Class"
    assert display.ax_.get_ylabel() == "True class"


@pytest.mark.parametrize(
    "rule",
    [ILS2(epsilon=0.3, temperature=2.0), UniformSmoothing(epsilon=0.3), SelfDistillation(temperature=2.0)],
    ids=str,
)
def test_our_rules_without_a_curve_show_where_the_mass_goes(rule):
    y, p = calibrated_predictions()
    display = SmoothingCurveDisplay.from_predictions(y, p, smoothing=rule)
    targets = rule.targets(y, np.log(p) + 5)  # a constant a row makes no difference
    expected = [targets[y == k].mean(axis=0) for k in range(3)]
    np.testing.assert_allclose(display.mean_targets.targets, expected)
    np.testing.assert_allclose(display.mean_targets.targets.sum(axis=1), 1)


def test_the_kind_of_a_smoothing_display_can_be_chosen():
    y, p = calibrated_predictions()
    draw = SmoothingCurveDisplay.from_predictions
    flat = draw(y, p, smoothing=Constant(), kind="curve")
    assert set(flat.line_.get_ydata()) == {0.25}
    assert flat.im_ is None
    assert draw(y, p, smoothing=ILS1(), kind="targets").im_ is not None
    curve = draw(y, p, smoothing=Quadratic())
    assert draw(y, p, smoothing=Constant(), ax=curve.ax_).line_ in curve.ax_.lines
    with pytest.raises(ValueError, match="kind"):
        draw(y, p, smoothing=Constant(), kind="map")
    with pytest.raises(ValueError, match=r"targets\(y, teacher_logits\).*Quadratic"):
        draw(y, p, smoothing=Quadratic(), kind="targets")


def test_classes_without_a_sample_and_certain_teachers_have_a_map():
    display = SmoothingCurveDisplay.from_predictions(
        [0, 1, 1], np.eye(3)[[0, 1, 2]], labels=[0, 1, 2], smoothing=ILS2(epsilon=0.3)
    )
    assert np.isfinite(display.mean_targets.targets[:2]).all()
    assert np.isnan(display.mean_targets.targets[2]).all()
    display.figure_.canvas.draw()


def test_a_histogram_needs_bins():
    with pytest.raises(ValueError, match="n_bins"):
        SmoothingCurveDisplay.from_predictions([0, 1], [0.2, 0.8], smoothing=Quadratic(), n_bins=0)


# On our estimators


def test_displays_read_our_networks_also_in_a_pipeline(student, table):
    X, y = table
    pipe = make_pipeline(StandardScaler(), student()).fit(X, y)
    reliability = ReliabilityDisplay.from_estimator(pipe, X, y, kind="classwise")
    assert [curve.label for curve in reliability.curves] != []
    assert reliability.errors == {
        "Pipeline": pytest.approx(classwise_calibration_error(y, pipe.predict_proba(X)))
    }
    net = pipe[-1]
    display = SmoothingCurveDisplay.from_estimator(pipe, X, y)
    p = net.teacher_predict_proba(pipe[:-1].transform(X))
    p_true = p[np.arange(len(y)), np.searchsorted(net.classes_, y)]
    np.testing.assert_array_equal(display.true_class_proba, p_true)
    targets = net.smoothing_.targets(np.searchsorted(net.classes_, y), np.log(p))
    expected = [targets[y == label].mean(axis=0) for label in net.classes_]
    np.testing.assert_allclose(display.mean_targets.targets, expected, atol=1e-6)


@pytest.mark.usefixtures("headless")
def test_a_rule_without_teacher_is_shown_over_the_students_own_probabilities(student, table):
    X, y = table
    clf = student(smoothing="uniform", max_epochs=1).fit(X, y)
    display = SmoothingCurveDisplay.from_estimator(clf, X, y)
    np.testing.assert_allclose(np.diag(display.mean_targets.targets), 1 - 0.1 * 2 / 3, atol=1e-6)
    display = SmoothingCurveDisplay.from_estimator(clf, X, y, kind="curve")
    codes = np.searchsorted(clf.classes_, y)
    np.testing.assert_array_equal(display.true_class_proba, clf.predict_proba(X)[np.arange(len(y)), codes])
    assert display.ax_.get_xlabel() == "Probability of the true class"


def test_a_student_whose_teacher_was_not_kept_says_so(student, table):
    X, y = table
    clf = student(smoothing="ils2", max_epochs=1).fit(X, y, teacher_proba=np.full((len(y), 3), 1 / 3))
    with pytest.raises(AttributeError, match="without a teacher"):
        SmoothingCurveDisplay.from_estimator(clf, X, y)


@pytest.mark.usefixtures("headless")
def test_the_curve_of_an_ensemble_is_that_of_a_member(student, table):
    model = CrossFittedClassifier(student(max_epochs=1), cv=2).fit(*table)
    with pytest.raises(TypeError, match=r"got CrossFittedClassifier.* one of its estimators_"):
        SmoothingCurveDisplay.from_estimator(model, *table)
    assert SmoothingCurveDisplay.from_estimator(model.estimators_[0], *table).im_ is not None


class OddRule:
    def __init__(self, factor):
        self.factor = factor

    def smoothing_factor(self, true_class_proba):
        return self.factor(true_class_proba)


@pytest.mark.usefixtures("headless")
@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("ils2", "smoothing must be a rule.*got 'ils2'"),
        (ILS1, "smoothing must be a rule"),
        (OddRule(lambda p: None), "a number for each of"),
        (OddRule(lambda p: p[:1]), r"a number for each of .* got the shape \(1,\)"),
        (OddRule(lambda p: -p), r"numbers in \[0, 1\]"),
        (OddRule(lambda p: p * np.nan), r"numbers in \[0, 1\]"),
    ],
)
def test_what_is_no_rule_cannot_be_shown(rule, message):
    with pytest.raises(TypeError, match=message):
        SmoothingCurveDisplay.from_predictions([0, 1, 1, 0], [0.2, 0.7, 0.6, 0.4], smoothing=rule)


@pytest.mark.usefixtures("headless")
@pytest.mark.parametrize("name", [3, ["a"], b"a"])
def test_a_name_that_is_no_text_is_refused(name):
    y, proba = [0, 1, 1, 0], [0.2, 0.7, 0.6, 0.4]
    with pytest.raises(ValueError, match="The 'name' parameter of ReliabilityDisplay must be"):
        ReliabilityDisplay.from_predictions(y, proba, name=name)
    with pytest.raises(ValueError, match="The 'name' parameter of SmoothingCurveDisplay must be"):
        SmoothingCurveDisplay.from_predictions(y, proba, smoothing=ILS1(), name=name)
