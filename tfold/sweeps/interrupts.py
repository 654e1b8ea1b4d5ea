"""Ctrl-C and SIGTERM between two statements of a database, not within one.

SQLite keeps a file locked as long as a query is half read, and Python keeps the query as long as the exception that has
interrupted it is being handled. Whoever is interrupted there and then ends his workers would wait for them, and they,
who want to hand their trials back, for him.
"""
import signal
import threading
from contextlib import contextmanager

IMPATIENT = 3  # a database may be out of reach: the third Ctrl-C comes through


@contextmanager
def uninterrupted():
    """Hold SIGINT and SIGTERM back until the block is through; also a decorator: `@uninterrupted()`.

    Example:

    >>> with uninterrupted():
    ...     study.set_user_attr("base", figures)
    """
    if threading.current_thread() is not threading.main_thread():  # signals come to the main thread alone
        yield
        return
    held, before = [], {}

    def hold(number, frame):
        held.append(number)
        if len(held) >= IMPATIENT:
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not None:  # None: not set by Python, and could not be set back
            before[number] = signal.signal(number, hold)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if held:
            signal.raise_signal(held[0])
