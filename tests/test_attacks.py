"""The quick attacks of every family hold; `make soak` tries all of them many times."""

import attacks
import numpy as np
import pytest

QUICK = [a for a in attacks.all_attacks() if a.quick]


@pytest.mark.parametrize("attack", QUICK, ids=lambda a: f"{a.family}: {a.name}")
def test_an_attack_does_no_harm(attack, tmp_path):
    attack.attempt(tmp_path, np.random.default_rng(0))


def test_each_family_has_a_quick_attack():
    assert {a.family for a in attacks.all_attacks()} == {a.family for a in QUICK}
