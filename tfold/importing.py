"""Large imports without the garbage collector: importing Keras takes a fifth less.

They make a million objects that live to the end. The collector would look at them again and again, to find nothing.
"""
import gc
from contextlib import contextmanager


@contextmanager
def uncollected():
    """No collections within; what is there at the end is not looked at later on either.

    Example:

    >>> with uncollected():
    ...     import keras
    """
    active = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if active:
            gc.enable()
