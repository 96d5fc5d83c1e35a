"""The count of attempts on one pool: shared by copies, found again by content."""

import json

import numpy as np
import pytest

from alutils.active.attempts import Attempts, KeptAttempts
from alutils.active.loops.pool import PoolState
from alutils.base.errors import ParameterError


def pictures(n=20, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 4, 4), dtype=np.uint8)


def test_copies_of_a_state_share_its_count_and_nothing_else():
    state = PoolState.start(5)
    copy = state.copy()
    copy.attempts.begin(copy.attempts.next_number())
    copy.pool = copy.pool[:2]
    assert state.attempts.begun == 1 and len(state.pool) == 5
    assert PoolState.start(5).attempts.begun == 0


def test_a_fresh_pool_of_the_same_pictures_is_found_out(tmp_path):
    path, shown = tmp_path / "attempts.jsonl", pictures()
    first = KeptAttempts.of(path, shown)
    assert first.next_number() == 1 and not path.exists()  # nothing was begun
    first.begin(1)
    for again in (shown, shown[::-1], shown[3:], np.concatenate([pictures(9, 1), shown[:1]])):
        assert KeptAttempts.of(path, again).next_number() == 2
    other = KeptAttempts.of(path, pictures(seed=2))
    assert other.next_number() == 1
    other.begin(1)
    assert KeptAttempts.of(path, shown).next_number() == 2
    together = np.concatenate([shown, pictures(seed=2)])
    assert KeptAttempts.of(path, together).next_number() == 3


def test_an_attempt_that_was_to_be_the_only_one_is_remembered(tmp_path):
    path = tmp_path / "attempts.jsonl"
    KeptAttempts.of(path, pictures()).begin(1, only=True)
    with pytest.raises(ParameterError, match="got all of the risk"):
        KeptAttempts.of(path, pictures()).next_number()


@pytest.mark.parametrize("line", ["no json", "{}", "[1]", json.dumps({"number": "x"})])
def test_a_file_that_is_no_record_of_attempts_is_not_taken_for_an_empty_one(tmp_path, line):
    path = tmp_path / "attempts.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ParameterError, match="expected lines with attempts"):
        KeptAttempts.of(path, pictures())


def test_numbers_are_at_least_what_is_known_elsewhere():
    attempts = Attempts(2)
    assert attempts.next_number() == 3 and attempts.next_number(7) == 7
    with pytest.raises(ParameterError, match="begun=-1"):
        Attempts(-1)
    with pytest.raises(ParameterError, match="pictures=0"):
        KeptAttempts.of("nowhere.jsonl", np.empty((0, 3)))
