"""Signals while training: one asks, two insist, more change nothing."""

import signal
import threading

import pytest

from striate.engine.interrupt import listen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_noted_the_second_raises_the_third_is_ignored(number):
    before = signal.getsignal(number)
    with listen() as interrupt:
        signal.raise_signal(number)
        assert interrupt.signal_number == number
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        signal.raise_signal(number)
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_outside_the_main_thread_nothing_is_changed():
    before, found = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with listen() as interrupt:
            found.append((interrupt.signal_number, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(None, before)]
