"""What every picture needs: matplotlib, which is not always there."""
from tfold.errors import TfoldError


def check_matplotlib():
    """Raise `TfoldError` where there is no matplotlib: before the work, not after it."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise TfoldError(
            "The picture is drawn with matplotlib. Received: no matplotlib. Install it: pip install matplotlib."
        ) from error
