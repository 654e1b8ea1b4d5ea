import signal
import threading

import pytest

from tfold.sweeps.interrupts import IMPATIENT, uninterrupted


@pytest.fixture
def handlers():
    """What handles the two signals before and after the test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process may have inherited SIG_IGN
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_comes_through_behind_the_block(handlers):
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        signal.raise_signal(signal.SIGINT)
        done.append(1)
    assert done == [1] and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_each_signal_has_its_own_handler_and_blocks_may_be_nested(handlers):
    got = []
    signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))

    @uninterrupted()
    def work():
        with uninterrupted():
            signal.raise_signal(signal.SIGTERM)
        assert len(got) == before
        return "done"

    for before in range(2):
        assert work() == "done" and got == [signal.SIGTERM] * (before + 1)


def test_an_error_of_the_block_swallows_no_signal(handlers):
    with pytest.raises(KeyboardInterrupt) as raised, uninterrupted():
        signal.raise_signal(signal.SIGINT)
        raise ZeroDivisionError
    assert isinstance(raised.value.__context__, ZeroDivisionError)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_whoever_insists_is_heard(handlers):
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        for _ in range(IMPATIENT):
            signal.raise_signal(signal.SIGINT)
        pytest.fail("the last one should have come through")


def test_other_threads_are_not_concerned():
    failed = []

    def run():
        try:
            with uninterrupted():
                pass
        except ValueError as error:  # signal.signal outside of the main thread
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert failed == []
