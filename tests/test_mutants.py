"""The list of faults fits the code: each can be made, and its tests are there."""

from collections import Counter

import mutants
from mutants_list import FAULTS


def test_every_fault_can_be_made_and_names_tests_that_are_there():
    assert [problem for fault in FAULTS for problem in mutants.problems(fault)] == []
    assert [name for name, n in Counter(fault.name for fault in FAULTS).items() if n > 1] == []
    assert len(FAULTS) >= 80


def test_a_fault_that_does_not_fit_is_named():
    fault = mutants.Fault("x", "losses.py", "no such text", "", "test_steps.py::test_nothing")
    assert mutants.problems(fault) == [
        "x: its text is in discogan_jax/losses.py 0 times, not once",
        "x: there is no test test_steps.py::test_nothing",
    ]
