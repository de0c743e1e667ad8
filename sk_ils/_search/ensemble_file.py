"""The file of a fitted ensemble: its members' networks and parameters."""

import os
from typing import Any

from sk_ils._net.estimator_file import (
    estimator_as_json,
    estimator_from_json,
    fitted,
    network_of,
    read_document,
    unfitted,
    warn_of_left_out,
    write_document,
)
from sk_ils._net.saving import expect, explained_content, network_as_json, network_from_json
from sk_ils.classifiers import InstanceSmoothedClassifier

# Of the ensemble; all others are its members'.
_OWN = ("cv", "n_jobs")


def members_of(ensemble: Any, method: str) -> list[InstanceSmoothedClassifier]:
    """Return the members of a fitted ensemble if they are networks.

    Parameters
    ----------
    ensemble : CrossFittedClassifier
    method : str
        For the error.

    Returns
    -------
    list of InstanceSmoothedClassifier

    Raises
    ------
    TypeError
        If they are Pipelines.
    """
    members: list[Any] = ensemble.estimators_
    if not all(isinstance(member, InstanceSmoothedClassifier) for member in members):
        raise TypeError(
            f"{method} is for ensembles of networks, but the members are {type(members[0]).__name__}s, "
            f"whose other steps are no networks. Call {method} of each member's last step, "
            f"estimators_[0][-1].{method}, or pickle the ensemble."
        )
    return members


def save_ensemble(ensemble: Any, path: Any) -> None:
    """Write a fitted ensemble to a file.

    Parameters
    ----------
    ensemble : CrossFittedClassifier
    path : str or path
    """
    members = members_of(ensemble, "save")
    kinds = {type(member) for member in members} - {InstanceSmoothedClassifier}
    if kinds:
        raise TypeError(
            f"save is for ensembles of InstanceSmoothedClassifier itself, but members are of "
            f"{kinds.pop().__name__}: save each of estimators_, or pickle the ensemble."
        )
    tensors: dict[str, Any] = {}
    records = []
    for number, member in enumerate(members):
        network, about = network_of(member), estimator_as_json(member)
        tensors |= {f"{number}.{name}": value for name, value in network.state.items()}
        records.append({**network_as_json(network), "estimator": about})
    own = estimator_as_json(ensemble)
    own["params"].pop("estimator", None)
    estimator = estimator_as_json(ensemble.estimator)
    document = {**own, "estimator": estimator, "members": records}
    write_document(path, tensors, {"ensemble": document})
    warn_of_left_out(_left_out(own, estimator, records), "save does not write")


def load_ensemble(
    cls: type, path: Any, given: dict[str, Any]
) -> tuple[dict[str, Any], InstanceSmoothedClassifier, list[InstanceSmoothedClassifier]]:
    """Return the parts of a fitted ensemble.

    Parameters
    ----------
    cls : type
        Of ensembles.
    path : str or path
    given : dict
        Parameters in the place of those of the file: `cv` and `n_jobs`, and those of members.

    Returns
    -------
    own : dict
        Parameters of the ensemble but for `estimator`.
    estimator : InstanceSmoothedClassifier
        The one that is not fitted.
    members : list of InstanceSmoothedClassifier
    """
    name = os.fspath(path)
    tensors, file = read_document(path, "ensemble", cls)
    with explained_content(name):
        about = file["ensemble"]
        members = about["members"]
        expect(type(members) is list and len(members) > 0, "no members")
        own = {name: about["params"][name] for name in _OWN if name in about["params"]}
        expect(all(value is None or type(value) is int for value in own.values()), f"the parameters {own!r}")
        estimator = estimator_from_json(about["estimator"], InstanceSmoothedClassifier)
        saved = [estimator_from_json(member["estimator"], InstanceSmoothedClassifier) for member in members]
        left_out = _left_out(about, about["estimator"], members)
        states = _states(tensors, len(members))
        networks = [network_from_json(member, state) for member, state in zip(members, states, strict=True)]
        expect(
            len({str(network.schema) for network in networks}) == 1, "members that were fitted on other data"
        )
    of_members = {key: value for key, value in given.items() if key not in _OWN}
    pairs = zip(saved, networks, strict=True)
    loaded = [fitted(InstanceSmoothedClassifier, one, network, of_members, name) for one, network in pairs]
    empty = unfitted(InstanceSmoothedClassifier, estimator, of_members, name)
    warn_of_left_out(left_out, f"{name} does not hold", given)
    return {**own, **{key: given[key] for key in _OWN if key in given}}, empty, loaded


def _left_out(own: dict[str, Any], *others: Any) -> dict[str, str]:
    """Return what was left out anywhere, by name."""
    estimator, records = others
    names = {**own["left_out"], **estimator["left_out"]}
    for record in records:
        names |= record["estimator"]["left_out"]
    names.pop("estimator", None)
    return names


def _states(tensors: dict[str, Any], n_members: int) -> list[dict[str, Any]]:
    states: list[dict[str, Any]] = [{} for _ in range(n_members)]
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        expect(number.isdecimal() and int(number) < n_members, f"a tensor {key!r} of no member")
        states[int(number)][name] = tensor
    return states
