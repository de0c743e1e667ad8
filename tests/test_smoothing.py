"""Laws of the smoothing rules."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax
from sklearn.base import clone

from sk_ils._sklearn_compat import InvalidParameterError
from sk_ils.smoothing import (
    ILS,
    ILS1,
    ILS2,
    ClassSmoothing,
    NoSmoothing,
    SelfDistillation,
    SoftBootstrap,
    UniformSmoothing,
    needs_student,
    resolve_rule,
    wrong_class_share,
)

RULES = [
    NoSmoothing(),
    UniformSmoothing(),
    UniformSmoothing(epsilon=0.7),
    ILS1(),
    ILS1(shift=0.3, curvature=50.0, max_epsilon=0.9),
    ILS2(),
    ILS2(epsilon=0.5, temperature=4.0),
    ILS2(epsilon=0.5, temperature=1e-3),
    ILS(),
    ILS(shift=0.95, curvature=1.0, max_epsilon=0.5, temperature=0.5),
    SelfDistillation(),
    SelfDistillation(weight=1.0, temperature=1e-3),
    SelfDistillation(weight=0.3, temperature=20.0),
    SoftBootstrap(),
    SoftBootstrap(beta=0.1),
    ClassSmoothing(),
]
any_rule = pytest.mark.parametrize("rule", RULES, ids=str)
# Each law is tried with every rule.
fewer = settings(max_examples=40)


@st.composite
def instances(draw, dtype=np.float64, limit=1e4, min_classes=2):
    """Labels and logits; a quarter of the rows has a teacher that is certain, rightly or wrongly."""
    n = draw(st.integers(1, 6))
    n_classes = draw(st.integers(min_classes, 7))
    width = 32 if dtype == np.float32 else 64
    values = st.floats(-limit, limit, width=width)
    logits = draw(arrays(dtype, (n, n_classes), elements=values))
    y = draw(arrays(np.int64, n, elements=st.integers(0, n_classes - 1)))
    for row in draw(st.sets(st.integers(0, 4 * n))):
        if row < n:
            logits[row] = -limit
            logits[row, draw(st.integers(0, n_classes - 1))] = limit
    return y, logits


@any_rule
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@fewer
@given(data=st.data())
def test_rows_are_probability_vectors_for_any_finite_logits(rule, dtype, data):
    y, logits = data.draw(instances(dtype))
    targets = rule.targets(y, logits, logits)
    assert targets.dtype == dtype
    assert targets.shape == logits.shape
    assert (targets >= 0).all()
    assert (targets <= 1).all()
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=8 * np.finfo(dtype).eps)


@any_rule
@fewer
@given(data=instances(limit=50.0))
def test_the_true_class_keeps_exactly_its_share(rule, data):
    y, logits = data
    kept = rule.targets(y, logits, logits)[np.arange(len(y)), y]
    true_class_proba = softmax(logits, axis=1)[np.arange(len(y)), y]
    if isinstance(rule, SelfDistillation) and rule.temperature != 1:
        return  # it has no such share: see test_the_factor_of_distillation_exists_at_temperature_one_only
    expected = 1 - rule.smoothing_factor(true_class_proba)
    if isinstance(rule, UniformSmoothing):
        expected = expected + rule.epsilon / logits.shape[1]
    np.testing.assert_allclose(kept, expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(data=st.data())
def test_a_constant_smoothing_factor_leaves_the_true_class_one_minus_it_to_the_last_bit(dtype, data):
    y, logits = data.draw(instances(dtype))
    kept = ILS2(epsilon=0.1).targets(y, logits)[np.arange(len(y)), y]
    np.testing.assert_array_equal(kept, dtype(1) - dtype(0.1))


@any_rule
@fewer
@given(data=instances(limit=100.0), constant=st.floats(-1e3, 1e3))
def test_adding_a_constant_to_a_row_of_logits_changes_nothing(rule, data, constant):
    y, logits = data
    shifted = rule.targets(y, logits + constant, logits + constant)
    # 1e-13 * 1e3 of round-off in the shifted logits, multiplied by the sharpest temperature, 1e-3
    np.testing.assert_allclose(shifted, rule.targets(y, logits, logits), atol=1e-7)


@any_rule
@fewer
@given(data=instances(), seed=st.integers(0, 2**31))
def test_permuting_the_classes_permutes_the_target(rule, data, seed):
    y, logits = data
    order = np.random.default_rng(seed).permutation(logits.shape[1])
    position = np.argsort(order)
    np.testing.assert_allclose(
        rule.targets(position[y], logits[:, order], logits[:, order]),
        rule.targets(y, logits, logits)[:, order],
        atol=1e-14,
    )


@any_rule
def test_with_two_classes_the_other_class_gets_everything_that_is_smoothed(rule):
    logits = [[3.0, -1.0], [3.0, -1.0]]
    targets = rule.targets([0, 1], logits, logits)
    np.testing.assert_allclose(targets[[0, 1], [1, 0]], 1 - targets[[0, 1], [0, 1]])


@given(data=instances(limit=40.0), epsilon=st.floats(0, 0.99))
def test_ils2_equals_the_authors_formula_where_that_is_defined(data, epsilon):
    y, logits = data
    p = softmax(logits, axis=1)
    true = np.arange(logits.shape[1]) == y[:, None]
    wrong_mass = 1 - p[true]
    defined = wrong_mass > 1e-6
    authors = np.where(true, 1 - epsilon, epsilon * p / np.where(defined, wrong_mass, 1)[:, None])
    targets = ILS2(epsilon=epsilon, temperature=1.0).targets(y, logits)
    # the authors' 1 - p_t cancels: its relative error is eps / (1 - p_t)
    np.testing.assert_allclose(targets[defined], authors[defined], rtol=1e-9, atol=1e-15)


def test_a_temperature_divides_the_logits_of_the_wrong_classes():
    logits = np.array([[5.0, 0.0, 2 * np.log(3)]])
    np.testing.assert_allclose(
        ILS2(epsilon=0.4, temperature=2.0).targets([0], logits), [[0.6, 0.1, 0.3]], rtol=1e-14
    )
    share = wrong_class_share(torch.from_numpy(logits), torch.tensor([0]))
    np.testing.assert_allclose(share.numpy(), [[0.0, 0.1, 0.9]], rtol=1e-14)


@settings(deadline=None)
@given(data=instances(limit=20.0), temperature=st.floats(0.5, 20))
def test_ils_is_the_factor_of_ils1_with_the_share_of_ils2(data, temperature):
    y, logits = data
    factor = ILS1().smoothing_factor(softmax(logits, axis=1)[np.arange(len(y)), y])
    share = ILS2(epsilon=0.5, temperature=temperature).targets(y, logits) / 0.5
    expected = factor[:, None] * share
    expected[np.arange(len(y)), y] = 1 - factor
    np.testing.assert_allclose(
        ILS(temperature=temperature).targets(y, logits), expected, rtol=1e-10, atol=1e-15
    )


def test_the_quadratic_factor_is_two_sided_and_clipped():
    factor = ILS1(shift=0.8, curvature=2.0, max_epsilon=0.2).smoothing_factor([0, 0.6, 0.8, 1])
    np.testing.assert_allclose(factor, [0.2, 0.08, 0, 0.08])


def test_distillation_by_hand():
    # softmax of (0, 2 ln 3) / 2 is (1/4, 3/4)
    targets = SelfDistillation(weight=0.4, temperature=2.0).targets([0], [[0.0, 2 * np.log(3)]])
    np.testing.assert_allclose(targets, [[0.6 + 0.4 / 4, 0.4 * 3 / 4]], rtol=1e-14)


@pytest.mark.parametrize(
    ("dtype", "temperature"),
    [
        (np.float32, 1e-30),
        (np.float64, 1e-30),
        (np.float64, 1e-300),
        (np.float32, 1e-46),  # float32 has no number as small as that
        (np.float32, 1e-300),
    ],
)
@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (ILS2(epsilon=0.5), [[0.5, 0, 0.5, 0], [0.25, 0.25, 0, 0.5]]),
        (ILS(shift=0.5, curvature=100.0, max_epsilon=0.5), [[0.5, 0, 0.5, 0], [0.25, 0.25, 0, 0.5]]),
        (SelfDistillation(weight=0.5), [[0.5, 0.5, 0, 0], [0.25, 0.25, 0, 0.5]]),
    ],
    ids=["ILS2", "ILS", "SelfDistillation"],
)
def test_no_temperature_is_too_cold_for_what_the_rule_shares_out(rule, expected, temperature, dtype):
    """At the limit of temperature 0 everything goes to the largest logit, in equal parts to equal ones."""
    # ILS2 and ILS do not see the true class, which is the largest one but for distillation
    logits = np.array([[1.0, 0.5, 0.9, -300.0], [2.0, 2.0, -1.0, 1.0]], dtype)
    y = [0, 3]
    if isinstance(rule, SelfDistillation):
        logits[0] = [0.9, 1.0, 0.5, -300.0]
    logits *= dtype(1e10)  # over the temperature that is more than the type can hold
    targets = clone(rule).set_params(temperature=temperature).targets(y, logits)
    np.testing.assert_allclose(targets, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("temperature", [1e38, 1e39, 1e300])
@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (ILS2(epsilon=0.6), [0.4, 0.2, 0.2, 0.2]),
        (ILS(shift=0.5, curvature=1e300, max_epsilon=0.6), [0.4, 0.2, 0.2, 0.2]),
        (SelfDistillation(weight=0.4), [0.7, 0.1, 0.1, 0.1]),
    ],
    ids=["ILS2", "ILS", "SelfDistillation"],
)
def test_at_the_limit_of_a_hot_temperature_all_classes_share_alike(rule, expected, temperature, dtype):
    logits = np.array([[1.0, 0.5, 0.9, -300.0]], dtype)
    targets = clone(rule).set_params(temperature=temperature).targets([0], logits)
    np.testing.assert_allclose(targets, [expected], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [ILS1, ILS])
def test_a_steep_curve_leaves_the_shift_unsmoothed(kind, dtype):
    factor = kind(shift=0.5, curvature=1e300).smoothing_factor(np.array([0.0, 0.5, 1.0], dtype))
    np.testing.assert_allclose(factor, [0.2, 0, 0.2], rtol=1e-6)


@given(data=instances(limit=30.0), weight=st.floats(0, 1), temperature=st.floats(0.1, 10))
def test_distillation_goes_from_hard_labels_to_the_teachers_output(data, weight, temperature):
    y, logits = data
    onehot, output = np.eye(logits.shape[1])[y], softmax(logits / temperature, axis=1)
    none, all_, some = (SelfDistillation(w, temperature).targets(y, logits) for w in (0, 1, weight))
    np.testing.assert_array_equal(none, onehot)
    np.testing.assert_allclose(all_, output, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(some, (1 - weight) * onehot + weight * output, rtol=1e-10, atol=1e-15)


def test_an_infinite_distillation_temperature_is_uniform_smoothing():
    logits = [[3.0, -1.0, 0.5]]
    hot = SelfDistillation(weight=0.2, temperature=1e9).targets([1], logits)
    np.testing.assert_allclose(hot, UniformSmoothing(0.2).targets([1], logits), rtol=1e-8)


def test_the_factor_of_distillation_exists_at_temperature_one_only():
    np.testing.assert_allclose(SelfDistillation(weight=0.4).smoothing_factor([0.0, 0.75, 1.0]), [0.4, 0.1, 0])
    with pytest.raises(ValueError, match="temperature=1 only, got temperature=2"):
        SelfDistillation(temperature=2.0).smoothing_factor([0.5])
    # two teachers with the same p_t = 1/2 and another factor: no function of p_t can give both
    logits = np.log([[0.5, 0.25, 0.25], [0.5, 0.49, 0.01]])
    kept = SelfDistillation(temperature=2.0).targets([0, 0], logits)[:, 0]
    assert abs(kept[0] - kept[1]) > 0.01


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_class_smoothing_by_hand(dtype):
    # class 0 has the means (.6, .3, .1), so that the wrong ones get 3/4 and 1/4; class 2 (.3, .1, .6)
    proba = np.array([[0.7, 0.2, 0.1], [0.3, 0.1, 0.6], [0.5, 0.4, 0.1]], dtype)
    targets = ClassSmoothing(epsilon=0.2).targets([0, 2, 0], np.log(proba))
    np.testing.assert_allclose(targets, [[0.8, 0.15, 0.05], [0.15, 0.05, 0.8], [0.8, 0.15, 0.05]], rtol=1e-6)
    # the first row three times: (.65, .25, .1)
    for weight in [3, 1, 1], [3e-30, 1, 1e-30]:
        weighted = ClassSmoothing(epsilon=0.35).targets([0, 2, 0], np.log(proba), sample_weight=weight)
        np.testing.assert_allclose(weighted[[0, 2]], [[0.65, 0.25, 0.1]] * 2, rtol=1e-6)


@given(data=instances(limit=20.0), seed=st.integers(0, 2**31), epsilon=st.floats(0, 0.99))
def test_class_smoothing_shares_out_by_the_weighted_mean_of_the_class(data, seed, epsilon):
    y, logits = data
    weight = np.random.default_rng(seed).choice([0.0, 0.5, 2.0], len(y)) if seed % 2 else np.ones(len(y))
    p, expected = softmax(logits, axis=1), np.empty_like(logits)
    for code in np.unique(y):
        of_class = y == code
        own = weight[of_class] if weight[of_class].any() else None
        mean = np.average(p[of_class], axis=0, weights=own)
        wrong = np.arange(len(mean)) != code
        expected[of_class] = np.where(wrong, epsilon * mean / mean[wrong].sum(), 1 - epsilon)
    given_weight = weight if weight.any() else None
    targets = ClassSmoothing(epsilon).targets(y, logits, sample_weight=given_weight)
    np.testing.assert_allclose(targets, expected, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_class_smoothing_of_a_teacher_that_is_certain_is_the_limit(dtype):
    highest = np.finfo(dtype).max
    logits = np.array([[highest, -highest, -highest / 2], [highest, -highest, -highest]], dtype)
    np.testing.assert_allclose(ClassSmoothing(0.5).targets([0, 1], logits)[1], [0.5, 0.5, 0], atol=1e-3)
    np.testing.assert_allclose(ClassSmoothing(0.5).targets([0], logits[1:])[0], [0.5, 0.25, 0.25], atol=1e-3)


@pytest.mark.parametrize("weight", [[1, -1], [np.nan, 1], [0, 0], [1]])
def test_class_smoothing_refuses_odd_weights(weight):
    with pytest.raises(ValueError, match=r"[wW]eight"):
        ClassSmoothing().targets([0, 1], [[0.0, 1.0], [1.0, 0.0]], sample_weight=weight)


def test_bootstrap_reads_the_student_and_not_the_teacher():
    teacher, student = [[9.0, 0.0]], [[0.0, np.log(3)]]
    targets = SoftBootstrap(beta=0.8).targets([0], teacher, student)
    np.testing.assert_allclose(targets, [[0.8 + 0.2 / 4, 0.2 * 3 / 4]], rtol=1e-14)
    with pytest.raises(ValueError, match="SoftBootstrap needs student_logits, got None"):
        SoftBootstrap().targets([0], teacher)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.needs_teacher], ids=str)
def test_the_other_rules_do_not_read_the_student(rule):
    teacher, student = [[1.0, 0.0, -1.0]], [[0.0, 5.0, 1.0]]
    np.testing.assert_array_equal(rule.targets([0], teacher, student), rule.targets([0], teacher))


@given(data=instances(limit=20.0), beta=st.floats(0.01, 1))
def test_the_gradient_of_bootstrap_is_that_of_the_authors_loss(data, beta):
    y, logits = torch.as_tensor(data[0]), torch.as_tensor(data[1]).requires_grad_()
    target = SoftBootstrap(beta).torch_targets(y, logits)
    loss = torch.nn.functional.cross_entropy(logits, target, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, logits)
    # Reed et al. 2014, Eq. 6, differentiated by hand: cross-entropy p - t, entropy -p (ln p + H)
    p = softmax(data[1], axis=1)
    log_p = data[1] - data[1].max(axis=1, keepdims=True)
    log_p = log_p - np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    entropy = -(p * log_p).sum(axis=1, keepdims=True)
    by_hand = beta * (p - np.eye(p.shape[1])[data[0]]) - (1 - beta) * p * (log_p + entropy)
    np.testing.assert_allclose(gradient.numpy(), by_hand, rtol=1e-8, atol=1e-12)
    cross_entropy = -log_p[np.arange(len(p)), data[0]]
    np.testing.assert_allclose(
        loss.item(), (beta * cross_entropy + (1 - beta) * entropy[:, 0]).sum(), rtol=1e-9, atol=1e-12
    )


def test_a_rule_without_teacher_takes_size_and_type_from_the_students_logits():
    targets = UniformSmoothing(0.4).targets([2], None, np.zeros((1, 4), np.float32))
    assert targets.dtype == np.float32
    np.testing.assert_allclose(targets, [[0.1, 0.1, 0.7, 0.1]], rtol=1e-6)


def test_a_rule_with_teacher_does_not_take_the_students_logits_instead():
    with pytest.raises(ValueError, match="ILS2 needs teacher_logits, got None"):
        ILS2().targets([0], None, [[0.0, 1.0]])


@pytest.mark.parametrize("dtype", [np.int32, np.uint8])
def test_labels_may_be_integers_of_any_type(dtype):
    logits = [[0.0, 1.0, 3.0]]
    np.testing.assert_array_equal(ILS2().targets(np.array([2], dtype), logits), ILS2().targets([2], logits))


@pytest.mark.parametrize(("given_type", "dtype"), [(np.float32, np.float32), (np.int64, np.float64)])
def test_the_factor_has_the_float_type_of_the_probabilities(given_type, dtype):
    factor = ILS1(shift=1.0, curvature=0.25).smoothing_factor(np.array([0, 1], given_type))
    assert factor.dtype == dtype
    np.testing.assert_allclose(factor, [0.2, 0.0], rtol=1e-6)


@any_rule
def test_no_logits_at_all_is_an_error(rule):
    with pytest.raises(ValueError, match=r"_logits.* None"):
        rule.targets([0], None)


@pytest.mark.parametrize(
    ("y", "logits", "message"),
    [
        ([0.5], [[0.0, 1.0]], "integer class indices"),
        ([0, 1], [[0.0, 1.0]], "integer class indices"),
        ([2], [[0.0, 1.0]], r"indices in \[0, 2\), got values from 2"),
        ([-1], [[0.0, 1.0]], "got values from -1"),
        ([0], [[0.0, np.nan]], "NaN or infinity"),
        ([0], [[0.0, -np.inf]], "NaN or infinity"),
        ([0], [[0.0]], r"shape \(n_samples, n_classes\) with n_classes >= 2"),
        ([0], [0.0, 1.0], r"shape \(n_samples, n_classes\) with n_classes >= 2"),
    ],
)
def test_bad_labels_and_logits_are_refused(y, logits, message):
    with pytest.raises(ValueError, match=message):
        ILS2().targets(y, logits)


@pytest.mark.parametrize(
    "rule",
    [
        UniformSmoothing(epsilon=1.0),
        UniformSmoothing(epsilon=-0.1),
        UniformSmoothing(epsilon="0.1"),
        ILS1(shift=1.1),
        ILS1(curvature=-1),
        ILS1(max_epsilon=1),
        ILS1(max_epsilon=float("nan")),
        ILS2(temperature=0),
        ILS2(epsilon=1),
        ILS(temperature=-1),
        ILS(shift=-0.1),
        SelfDistillation(weight=1.1),
        SelfDistillation(temperature=0.0),
        SoftBootstrap(beta=0.0),
        SoftBootstrap(beta=1.1),
        ClassSmoothing(epsilon=1),
        ClassSmoothing(epsilon=-0.1),
    ],
    ids=str,
)
def test_parameters_outside_their_range_are_refused_when_used(rule):
    with pytest.raises(InvalidParameterError):
        rule.targets([0], [[0.0, 1.0]], [[0.0, 1.0]])
    with pytest.raises(InvalidParameterError):
        rule.smoothing_factor([0.5])


@pytest.mark.parametrize("proba", [1.1, -0.1, np.nan])
def test_probabilities_outside_the_unit_interval_are_refused(proba):
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        ILS1().smoothing_factor([0.5, proba])


def test_probabilities_of_the_true_class_that_are_text_are_refused():
    with pytest.raises(ValueError, match="true_class_proba must hold numbers"):
        NoSmoothing().smoothing_factor("a")


@any_rule
def test_a_rule_is_cloned_with_its_parameters(rule):
    assert clone(rule).get_params() == rule.get_params()
    assert resolve_rule(rule) is not rule
    assert resolve_rule(rule).get_params() == rule.get_params()


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("none", NoSmoothing()),
        ("uniform", UniformSmoothing()),
        ("ils1", ILS1()),
        ("ils2", ILS2()),
        ("ils", ILS()),
        ("class", ClassSmoothing()),
        ("distillation", SelfDistillation()),
        ("bootstrap", SoftBootstrap()),
    ],
)
def test_a_name_stands_for_the_rule_with_its_defaults(name, rule):
    assert repr(resolve_rule(name)) == repr(rule)


@pytest.mark.parametrize(
    ("rule", "needs_teacher", "parameters"),
    [
        (NoSmoothing(), False, {}),
        (UniformSmoothing(), False, {"epsilon": 0.1}),
        (ILS1(), True, {"shift": 0.8, "curvature": 2.0, "max_epsilon": 0.2}),
        (ILS2(), True, {"epsilon": 0.1, "temperature": 3.0}),
        (ILS(), True, {"shift": 0.8, "curvature": 2.0, "max_epsilon": 0.2, "temperature": 1.0}),
        (SelfDistillation(), True, {"weight": 0.5, "temperature": 1.0}),
        (SoftBootstrap(), False, {"beta": 0.95}),
        (ClassSmoothing(), True, {"epsilon": 0.1}),
    ],
)
def test_defaults_and_need_of_a_teacher_are_the_documented_ones(rule, needs_teacher, parameters):
    assert rule.get_params() == parameters
    assert rule.needs_teacher == needs_teacher
    assert rule.needs_student == isinstance(rule, SoftBootstrap)
    assert rule.needs_all_rows == isinstance(rule, ClassSmoothing)


def test_an_unknown_name_is_refused_with_the_nearest_one():
    with pytest.raises(InvalidParameterError, match=r"Did you mean 'uniform'\?"):
        resolve_rule("unifrom")


def test_the_beginning_of_a_long_name_is_near_enough():
    with pytest.raises(InvalidParameterError, match=r"Did you mean 'bootstrap'\?"):
        resolve_rule("boo")


def test_a_rule_without_a_word_about_the_student_does_not_need_it():
    assert not needs_student(object())


def test_ils_keeps_each_of_its_parameters():
    parameters = {"shift": 0.3, "curvature": 5.0, "max_epsilon": 0.6, "temperature": 2.0}
    assert ILS(**parameters).get_params() == parameters


@pytest.mark.parametrize("smoothing", [0.1, None, ILS1])
def test_what_is_no_rule_is_refused(smoothing):
    with pytest.raises(InvalidParameterError, match="rule object"):
        resolve_rule(smoothing)


def test_a_rule_of_both_teacher_and_student_is_refused():
    class Both(SoftBootstrap):
        needs_teacher = True

    with pytest.raises(InvalidParameterError, match="both needs_teacher and needs_student"):
        resolve_rule(Both())


def test_a_rule_of_the_student_that_needs_all_rows_is_refused():
    class Both(SoftBootstrap):
        needs_all_rows = True

    with pytest.raises(InvalidParameterError, match="both needs_all_rows and needs_student"):
        resolve_rule(Both())
