"""The tables of `benchmarks.paper`, from its networks' measures, beside the paper's numbers."""

import numpy as np
import pandas as pd

MEASURES = ["acc", "acc dense", "acc sparse", "CE", "ECE"]
METHODS = ["No LS", "LS", "ILS1", "ILS2", "ILS"]
CHOICES = ["epsilon", "shift", "curvature", "temperature"]

# The paper's grid of P1 and P2.
SHIFT = [0.75, 0.775, 0.8, 0.825, 0.85]
CURVATURE = [0.75, 1.0, 1.25, 1.5, 1.75, 2.0]

# Bins of the true-class probability, and the largest factors to choose from: the paper's and beyond.
N_BINS = 20
LIMITS = [0.2, 0.4]

# Table V: accuracy in all, of dense and of sparse circles, cross-entropy in nats, ECE.
PAPER_V = {
    "Bayes-optimal": (0.8198, 0.8294, 0.7814, 0.4444, 0.0067),
    "No LS": (0.7845, 0.8143, 0.6654, 0.5589, 0.0426),
    "No LS +T": (0.7845, 0.8143, 0.6654, 0.5446, 0.0311),
    "LS": (0.7944, 0.8117, 0.7251, 0.5318, 0.0293),
    "LS +T": (0.7948, 0.8124, 0.7244, 0.5238, 0.0263),
    "ILS1": (0.8018, 0.8149, 0.7493, 0.5041, 0.0235),
    "ILS1 +T": (0.8016, 0.8148, 0.7488, 0.5052, 0.0268),
    "ILS2": (0.7956, 0.8150, 0.7337, 0.5232, 0.0287),
    "ILS2 +T": (0.7958, 0.8154, 0.7302, 0.5201, 0.0259),
    "ILS": (0.8013, 0.8142, 0.7497, 0.5089, 0.0269),
    "ILS +T": (0.8014, 0.8145, 0.7491, 0.5087, 0.0278),
}
# What stands in its brackets: means over data sets of what was chosen or fitted.
PAPER_CHOICES = {
    "LS": {"paper epsilon": 0.061},
    "ILS2": {"paper epsilon": 0.0494},
    "No LS +T": {"paper T": 1.202},
    "LS +T": {"paper T": 0.946},
    "ILS1 +T": {"paper T": 0.942},
    "ILS2 +T": {"paper T": 0.906},
    "ILS +T": {"paper T": 1.033},
}
# Table VI: students distilled at T = 1 from a teacher of each method.
PAPER_VI = {
    "Bayes-optimal": {"acc": 0.8192, "CE": 0.4451, "ECE": 0.0137},
    "No LS": {"acc": 0.7847, "CE": 0.5592, "ECE": 0.0405},
    "LS": {"acc": 0.7843, "CE": 0.5621, "ECE": 0.0408},
    "ILS": {"acc": 0.7957, "CE": 0.5201, "ECE": 0.0473},
}
# Fig. 11: cross-entropy at (P1, P2).
PAPER_FIG11 = {
    (0.8, 2.0): 0.516,
    (0.825, 2.0): 0.517,
    (0.775, 2.0): 0.517,
    (0.7, 1.0): 0.517,
    (0.7, 10.0): 0.558,
}


def choose(frame, suffix=""):
    """Return the candidate with the lowest validation cross-entropy; the suffix " +T" means after scaling."""
    return frame.loc[frame[f"valid CE{suffix}"].idxmin()]


def mean_and_error(values):
    """Return the mean over data sets and its standard error."""
    return values.mean(), values.std(ddof=1) / len(values) ** 0.5


def compare(rows, measures, rivals, paper=None):
    """Return a row for each measure and method: ours, the paper's, paired differences from rivals."""
    out = []
    for measure in measures:
        wide = rows.pivot(index="data set", columns="method", values=measure)
        for method in rows["method"].unique():
            mean, error = mean_and_error(wide[method])
            row = {"measure": measure, "method": method, "mean": mean, "se": error}
            if paper is not None:
                row["paper"] = paper.get(method, {}).get(measure)
            for rival in rivals:
                difference = mean_and_error(wide[method] - wide[rival])
                row[f"minus {rival}"], row[f"se minus {rival}"] = difference
            out.append(row)
    return pd.DataFrame(out)


def chosen_rows(bayes, grid):
    """Return Table V's row of each method and data set, with what was chosen."""
    rows = [bayes]
    for method in METHODS:
        group = grid[grid["method"] == method]
        if method == "ILS1":  # its grid is wider, for Fig. 11
            group = group[group["shift"].isin(SHIFT) & group["curvature"].isin(CURVATURE)]
        for suffix in ("", " +T"):
            best = pd.DataFrame([choose(own, suffix) for _, own in group.groupby("data set")])
            columns = {f"{name}{suffix}": name for name in MEASURES}
            best = best[["data set", *CHOICES, "T", *columns]].rename(columns=columns)
            rows.append(best.assign(method=method + suffix))
    return pd.concat([row.dropna(axis=1, how="all") for row in rows], ignore_index=True)


def mean_choices(rows):
    """Return what was chosen in the mean over data sets, beside the paper's."""
    paper = pd.DataFrame([{"method": method, **values} for method, values in PAPER_CHOICES.items()])
    means = rows.groupby("method", sort=False)[[*CHOICES, "T"]].mean().reset_index()
    return means.merge(paper, how="left")


def eq3_rows(grid, variants):
    """Return the measures of each variant of Eq. 3 and data set: chosen, and at the paper's best setting."""
    rows = []
    for variant in variants:
        for number, group in grid[grid["method"] == variant].groupby("data set"):
            fixed = group[(group["shift"] == 0.8) & (group["curvature"] == 2.0)].iloc[0]
            rows.append(
                {
                    "data set": number,
                    "method": variant,
                    "CE": choose(group)["CE"],
                    "CE +T": choose(group, " +T")["CE +T"],
                    "CE of (.8, 2)": fixed["CE"],
                    "CE +T of (.8, 2)": fixed["CE +T"],
                }
            )
    return pd.DataFrame(rows)


def heat_map(grid):
    """Return the test cross-entropy of ILS1 for each P1 and P2, and its paired distance from the best."""
    wide = grid[grid["method"] == "ILS1"].pivot(index="data set", columns=["shift", "curvature"], values="CE")
    best = wide[wide.mean().idxmin()]
    rows = [
        (*setting, *mean_and_error(values), PAPER_FIG11.get(setting), *mean_and_error(values - best))
        for setting, values in wide.items()
    ]
    return pd.DataFrame(
        rows, columns=["shift", "curvature", "CE", "se", "paper", "minus best", "se minus best"]
    )


def best_factors(curves):
    """Return the best constant factor of each bin of p_t, over the rows of all data sets together."""
    keys = ["view", "rows", "bin"]
    pooled = curves.groupby([*keys, "factor"])[["gap", "count"]].sum().reset_index()
    pooled = pooled[pooled["count"] > 0]
    pooled["gap"] /= pooled["count"]
    tables = []
    for limit in LIMITS:
        allowed = pooled[pooled["factor"] <= limit]
        best = allowed.loc[allowed.groupby(keys)["gap"].idxmin()]
        tables.append(best.assign(limit=limit))
    return pd.concat(tables)[["limit", *keys, "count", "factor", "gap"]]


def fitted_quadratics(best):
    """Return P1, P2 and the cap of the Eq. 3 that fits each curve by least squares over its bins."""
    shift, curvature = np.meshgrid(np.linspace(0.4, 1, 121), np.linspace(0, 6, 121), indexing="ij")
    rows = []
    for (limit, view, kind), group in best.groupby(["limit", "view", "rows"]):
        p = (group["bin"].to_numpy() + 0.5) / N_BINS
        curve = curvature[..., None] * (p - shift[..., None]) ** 2  # (P1, P2, bin)
        fits = []
        for cap in np.linspace(0.02, limit, round(50 * limit)):
            error = ((np.minimum(curve, cap) - group["factor"].to_numpy()) ** 2).mean(axis=2) ** 0.5
            place = np.unravel_index(error.argmin(), error.shape)
            fits.append((error[place], shift[place], curvature[place], cap))
        rmse, *parameters = min(fits)
        rows.append((limit, view, kind, *parameters, rmse))
    return pd.DataFrame(rows, columns=["limit", "view", "rows", "P1", "P2", "cap", "rmse"])


def all_tables(frames, variants):
    """Return all tables by name, of what was run."""
    rows = chosen_rows(frames["bayes"], frames["grid"])
    paper = {method: dict(zip(MEASURES, values, strict=True)) for method, values in PAPER_V.items()}
    eq3 = eq3_rows(frames["grid"], variants)
    tables = {
        "table_v": compare(rows, MEASURES, ["LS", "No LS +T"], paper),
        "table_v_choices": mean_choices(rows),
        "table_v_data_sets": rows,
        "fig11": heat_map(frames["grid"]),
        "eq3": compare(eq3, [name for name in eq3 if name.startswith("CE")], ["two-sided, cap 0.2"]),
    }
    if "distilled" in frames:
        tables["table_vi"] = compare(frames["distilled"], ["acc", "CE", "ECE"], ["No LS"], PAPER_VI)
    if "curves" in frames:
        tables["figs6_7"] = best_factors(frames["curves"])
        tables["figs6_7_fits"] = fitted_quadratics(tables["figs6_7"])
    return tables
