"""The experiments that can be swept: all listed, cheap to look up, checked before any work."""

import dataclasses
import pickle
import subprocess
import sys

import pytest

from alutils.experiments.registry import EXPERIMENTS
from alutils.runs.sweeps import grids

LIGHT = """
import sys
from alutils import experiments
assert experiments.EXPERIMENTS
heavy = {"tensorflow", "keras", "matplotlib", "seaborn"} & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
"""


def test_looking_up_an_experiment_imports_neither_tensorflow_nor_what_draws():
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_settings_are_frozen_have_defaults_and_a_seed_and_go_to_workers(experiment):
    settings = experiment.settings()
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.seed = 1
    defaults = {p.name: p.default for p in grids.parameters_of(experiment)}
    assert defaults == dataclasses.asdict(settings)
    assert defaults["seed"] == 0
    assert pickle.loads(pickle.dumps(experiment)) == experiment
    with pytest.raises(ValueError, match="seed=-1"):
        dataclasses.replace(settings, seed=-1)


def test_a_setting_without_a_default_is_named():
    made = dataclasses.make_dataclass("Settings", [("size", int)])
    experiment = dataclasses.replace(EXPERIMENTS["curve"], settings=made)
    with pytest.raises(grids.GridError, match="curve: size: expected a setting"):
        grids.parameters_of(experiment)
