"""A first signal is noted, a second one has the effect that it had before."""

import os
import signal

import pytest

from discogan_jax.errors import STOP_SIGNALS
from discogan_jax.train import interrupts


class SignalError(Exception):
    pass


@pytest.fixture
def handled():
    """Handlers that raise, as those of a command do."""

    def stop(number, _):
        raise SignalError(number)

    before = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_signals_that_end_a_process_are_deferred():
    assert {s.name for s in STOP_SIGNALS} == {"SIGINT", "SIGTERM", "SIGHUP"}


@pytest.mark.usefixtures("handled")
@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_second_signal_is_not_deferred(number):
    with interrupts.Interrupts() as met:
        assert met.signal is None
        os.kill(os.getpid(), number)
        assert met.signal is number
        with pytest.raises(SignalError):
            os.kill(os.getpid(), number)
    with pytest.raises(SignalError):
        os.kill(os.getpid(), number)


@pytest.mark.usefixtures("handled")
def test_ignored_signals_stay_ignored():
    """As nohup does it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts.Interrupts() as met:
            os.kill(os.getpid(), signal.SIGHUP)
            assert met.signal is None
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
