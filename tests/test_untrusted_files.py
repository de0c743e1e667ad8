"""What SECURITY.md says of files: which ways of reading one can run code, and which cannot."""

import pickle
from contextlib import suppress
from pathlib import Path

import joblib
import pytest
import torch

from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV, TeacherClassifier
from sk_ils.model_selection import CrossFittedClassifier


class Program:
    """Makes a file when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.fixture
def trace(tmp_path):
    """Return the path that exists once a program has run."""
    return tmp_path / "it_ran"


def write_pickle(path, program):
    path.write_bytes(pickle.dumps(program, protocol=2))  # torch warns of others


def write_torch(path, program):
    torch.save({"weight": program}, path)


def write_old_torch(path, program):
    torch.save({"weight": program}, path, _use_new_zipfile_serialization=False)


WRITERS = [write_pickle, write_torch, write_old_torch]
every_format = pytest.mark.parametrize("write", WRITERS)


@pytest.fixture
def stranger(tmp_path, trace, write):
    path = tmp_path / "model"
    write(path, Program(trace))
    return path


@every_format
def test_the_programs_would_run(stranger, trace, write):
    read = joblib.load if write is write_pickle else torch.load
    read(stranger, **({} if write is write_pickle else {"weights_only": False}))
    assert trace.exists()


@every_format
@pytest.mark.parametrize("cls", [TeacherClassifier, InstanceSmoothedClassifier, CrossFittedClassifier])
def test_load_runs_nothing(stranger, trace, cls):
    with pytest.raises(ValueError, match="is no file of parameters"):
        cls.load(stranger)
    assert not trace.exists()


@every_format
@pytest.mark.parametrize("argument", ["f_params", "f_optimizer", "f_criterion", "f_history"])
def test_load_params_runs_nothing(teacher, table, stranger, trace, argument):
    clf = teacher(max_epochs=1).fit(*table)
    with pytest.raises((ValueError, pickle.UnpicklingError)):
        clf.load_params(**{argument: stranger})
    assert not trace.exists()


@every_format
def test_load_params_runs_what_it_finds_if_it_is_told_to(teacher, stranger, trace):
    clf = teacher(torch_load_kwargs={"weights_only": False})
    with suppress(ValueError):  # there is no network in the file
        clf.load_params(f_params=stranger)
    assert trace.exists()


@every_format
@pytest.mark.parametrize("searches", [False, True], ids=["fit", "search"])
def test_a_folder_of_checkpoints_runs_nothing(student, table, tmp_path, trace, write, searches):
    folder = tmp_path / "checkpoints"
    clf = student(max_epochs=1, checkpoint=str(folder))
    if searches:
        clf = SmoothingSearchCV(clf, {"smoothing": ["none", "uniform"]}, cv=2, error_score="raise")
    clf.fit(*table)
    files = list(folder.glob("*.pt"))
    assert files
    for file in files:
        write(file, Program(trace))
    with pytest.raises(ValueError, match="is no checkpoint, or was changed"):
        clf.fit(*table)
    assert not trace.exists()


def test_a_folder_of_cached_teachers_runs_what_it_finds(student, table, tmp_path, trace):
    folder = tmp_path / "cache"
    clf = student(max_epochs=1, memory=str(folder)).fit(*table)
    for file in folder.rglob("output.pkl"):
        joblib.dump(Program(trace), file)
    with suppress(ValueError):  # there is no teacher in the file
        clf.fit(*table)
    assert trace.exists()
