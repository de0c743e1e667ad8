"""Variants of the methods that were tried on the choosing half: teachers, best epoch, patience, curves."""

import math

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import ParameterGrid
from skorch.callbacks import Callback

from benchmarks.real_data.methods import (
    FORMS,
    TEACHER_FOLDS,
    candidates,
    cross_entropy,
    described,
    evaluate,
    ils2_candidates,
    ils_candidates,
    inner_folds,
    log_probabilities,
    member_seeds,
    model_of,
    name_of,
    neg_cross_entropies,
    rows_of_scores,
    scores_of,
    scores_on_test,
    select,
    winners,
    with_common_holdout,
)
from benchmarks.real_data.report import ANY_RULE, ONE_HOLDOUT
from benchmarks.real_data.sets import Split
from sk_ils import InstanceSmoothedClassifier
from sk_ils.model_selection import SmoothingSearchCV
from sk_ils.smoothing import ILS, ILS1, NoSmoothing, UniformSmoothing
from sk_ils.temperature import fit_temperature, log_softmax

__all__ = ["ScaledBestEpoch", "best_factors", "fit_quadratic", "holdout_rows", "variant_rows"]

RULES = ("No LS", "LS", "ILS1", "ILS2", "ILS")
PATIENCE = (10, 20)
# The procedure of the paper's Figs 6 and 7.
BIN_EPSILONS = (0.0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2)
N_BINS = 10
MAX_EPSILON = 0.2


def variant_rows(split, network, chosen, *, seed, n_splits):
    """Return the rows of all variants for one split of a table.

    Parameters
    ----------
    split : Split
    network : dict
        Parameters of every network.
    chosen : dict
        {method: parameters} of the winners among the methods.
    seed, n_splits : int
        As in `method_rows`.
    """
    net = InstanceSmoothedClassifier(**network, random_state=seed)
    model, unscaled = model_of(net), model_of(net, scale=False)
    cv = inner_folds(n_splits, seed)
    kept = {rule: chosen[f"{rule} +T"] for rule in RULES}
    patient = {
        (f"{rule}, patience {patience}", " +T"): {**params, "net__patience": patience}
        for rule, params in kept.items()
        for patience in PATIENCE
    }
    plain = {("No LS, features as they are", suffix): {"net__smoothing": NoSmoothing()} for suffix in FORMS}
    return [
        *out_of_fold_rows(split, model, cv),
        *ensemble_teacher_rows(split, model, cv, seed),
        *best_epoch_rows(split, model, kept),
        *evaluate(split, model, patient),
        *evaluate(split, model, estimated_curves(split, model, cv)),
        *evaluate(split, unscaled, plain),
    ]


def out_of_fold_rows(split, model, cv):
    """Return the rows of ILS2 with teachers that never saw the row that they speak of."""
    grid = [{"net__smoothing": ils2_candidates(), "net__teacher_cv": [TEACHER_FOLDS]}]
    return evaluate(split, model, select(split, model, grid, cv, lambda params: "ILS2, teacher out of fold"))


def ensemble_teacher_rows(split, model, cv, seed):
    """Return the rows of ILS2 and ILS with five networks' mean probabilities as the teacher."""
    plain = clone(model[-1]).set_params(smoothing="none")
    members = [
        (f"net{member}", clone(plain).set_params(random_state=member)) for member in member_seeds(seed)
    ]
    taught = clone(model).set_params(net__teacher=VotingClassifier(members, voting="soft"))
    grid = [{"net__smoothing": ils2_candidates() + ils_candidates()}]

    def named(params):
        return f"{name_of(params)}, ensemble as teacher"

    return evaluate(split, taught, select(split, taught, grid, cv, named))


# --- chosen on the hold-out ----------------------------------------------------------------------------


def holdout_rows(split, network, *, seed):
    """Return the rows of rules whose candidates were compared on the hold-out of the only fit, not on folds.

    As in the paper, the same rows serve early stopping, temperature and choice, and the chosen network is
    there already: nothing is fitted again. "Any rule" is chosen among the candidates of all of them. Hard
    labels, with nothing to choose, are the control: the rows held out are others than those of the methods.
    """
    model = model_of(InstanceSmoothedClassifier(**network, random_state=seed))
    known, net = with_common_holdout(split, model, seed)
    n_valid = len(known.y_valid)

    def scores(fitted, X, y):
        valid = neg_cross_entropies(fitted, X[:n_valid], y[:n_valid])
        on_test = scores_on_test(fitted, X[n_valid:], y[n_valid:])
        return on_test | {f"valid_{form}": value for form, value in valid.items()}

    both = Split(
        known.X_fit,
        known.y_fit,
        np.concatenate([known.X_valid, known.X_test]),
        np.concatenate([known.y_valid, split.y_test]),
    )
    every = [params for params in ParameterGrid(candidates()) if "net__teacher_cv" not in params]
    found = scores_of(both, model_of(net, scale=False), every, scores)
    results = {"params": every}
    results |= {f"mean_test_{form}": [own[f"valid_{form}"] for own in found] for form in FORMS.values()}
    chosen = winners(results) | winners(results, lambda params: ANY_RULE)
    of = {described(params): own for params, own in zip(every, found, strict=True)}
    return [
        row
        for (method, suffix), params in chosen.items()
        for row in rows_of_scores(f"{method}{ONE_HOLDOUT}", params, of[described(params)], [suffix])
    ]


# --- the best epoch by the scaled cross-entropy --------------------------------------------------------


class ScaledBestEpoch(Callback):
    """Goes back to the epoch with the lowest hold-out cross-entropy *after* temperature scaling.

    The network itself goes back to the one with the lowest before; this callback comes later, and before the
    final temperature is found.
    """

    def on_train_begin(self, net, **kwargs):
        """Forget the last training."""
        self.loss_, self.state_ = math.inf, None

    def on_epoch_end(self, net, dataset_valid=None, **kwargs):
        """Note the weights if this epoch is the best."""
        if dataset_valid is None:
            return
        logits, codes = net.forward(dataset_valid).numpy(), dataset_valid.y_encoded.numpy()
        loss = cross_entropy(log_softmax(logits, fit_temperature(logits, codes)), codes)
        if loss < self.loss_:
            self.loss_ = loss
            self.state_ = {name: value.clone() for name, value in net.module_.state_dict().items()}

    def on_train_end(self, net, **kwargs):
        """Go back."""
        if self.state_ is not None:
            net.module_.load_state_dict(self.state_)


def best_epoch_rows(split, model, kept):
    """Return the rows of the rules' scaled winners with the epoch chosen after scaling, teachers too."""
    rows = []
    for rule, params in kept.items():
        copy = clone(model).set_params(net__callbacks=[("best", ScaledBestEpoch())], **params)
        scores = scores_on_test(copy.fit(split.X_train, split.y_train), split.X_test, split.y_test)
        rows += rows_of_scores(f"{rule}, epoch after scaling", params, scores, [" +T"])
    return rows


# --- P1 and P2 from held-out rows ----------------------------------------------------------------------


def estimated_curves(split, model, cv):
    """Return ILS1 and ILS with P1 and P2 read off held-out rows instead of searched.

    The paper's Figs 6 and 7 bin instances by the teacher's true-class probability and take for each bin the
    epsilon whose network comes nearest to the Bayes-optimal probability. On real data that is unknown; the
    epsilon with the lowest held-out cross-entropy in the bin stands for it. The rows are the outer ones of
    the folds, so the teacher that bins them has not seen them, unlike the one that smooths training rows.

    Returns
    -------
    dict
        Candidates for `evaluate`, for both forms of both rules.
    """
    rules = [UniformSmoothing(epsilon=epsilon) for epsilon in BIN_EPSILONS]
    losses = {form: np.zeros((len(rules), N_BINS)) for form in FORMS.values()}
    counts, sums = np.zeros(N_BINS), np.zeros(N_BINS)
    for fold in cv.split(split.X_train, split.y_train):
        proba = held_out_confidence(split, model, fold)
        bins = np.minimum((proba * N_BINS).astype(int), N_BINS - 1)
        counts += np.bincount(bins, minlength=N_BINS)
        sums += np.bincount(bins, proba, minlength=N_BINS)
        search = SmoothingSearchCV(
            model, {"net__smoothing": rules}, cv=[fold], scoring=binned_scorer(bins), refit=False
        )
        results = search.fit(split.X_train, split.y_train).cv_results_
        for form in losses:
            losses[form] -= np.stack(
                [results[f"mean_test_{form}_{index}"] for index in range(N_BINS)], axis=1
            )
    centers = sums / np.maximum(counts, 1)
    candidates = {}
    for suffix, form in FORMS.items():
        curve = fit_quadratic(centers, best_factors(losses[form], BIN_EPSILONS), counts)
        for rule in (ILS1(**curve), ILS(**curve)):
            candidates[f"{type(rule).__name__}, P1 and P2 estimated", suffix] = {"net__smoothing": rule}
    return candidates


def held_out_confidence(split, model, fold):
    """Return the true-class probability of a fold's outer rows, by a teacher fitted on its inner ones."""
    inside, outside = fold
    teacher = clone(model).set_params(net__smoothing="none").fit(split.X_train[inside], split.y_train[inside])
    return teacher.predict_proba(split.X_train[outside])[np.arange(len(outside)), split.y_train[outside]]


def binned_scorer(bins):
    """Return a scorer with the negative summed cross-entropy of each bin, in both forms."""

    def scores(model, X, y):
        rows = np.arange(len(y))
        return {
            f"{form}_{index}": total
            for form, z in log_probabilities(model, X).items()
            for index, total in enumerate(np.bincount(bins, z[rows, y], minlength=N_BINS))
        }

    return scores


def best_factors(losses, epsilons):
    """Return the epsilon with the lowest loss of each bin; losses have shape (epsilon, bin)."""
    return np.asarray(epsilons)[np.argmin(losses, axis=0)]


def fit_quadratic(proba, factors, counts):
    r"""Return P1 and P2 of the clipped quadratic nearest to the bins' factors, weighted by their counts.

    .. math:: \min_{P_1, P_2} \sum_b n_b (\min(P_2 (p_b - P_1)^2, 0.2) - \epsilon_b)^2

    by trying P1 in steps of 0.025 in [0, 1] and P2 in steps of 0.1 in [0, 4].

    Parameters
    ----------
    proba, factors, counts : arrays of shape (n_bins,)
        Mean true-class probability, best smoothing factor and number of rows of each bin.

    Returns
    -------
    dict
        ``shift`` (P1) and ``curvature`` (P2).
    """
    shifts, curvatures = np.linspace(0, 1, 41), np.linspace(0, 4, 41)
    grid = curvatures[:, None] * (proba - shifts[:, None, None]) ** 2  # (shift, curvature, bin)
    errors = (counts * (np.minimum(grid, MAX_EPSILON) - factors) ** 2).sum(axis=-1)
    best_shift, best_curvature = np.unravel_index(np.argmin(errors), errors.shape)
    return {"shift": float(shifts[best_shift]), "curvature": float(curvatures[best_curvature])}
