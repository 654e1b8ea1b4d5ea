"""Read an HDF5 file whose sender is not known: it names no other file, and is not far larger than it is.

HDF5 is a library in C that trusts its files: a damaged one may make it take gigabytes, or crash. So a child process
looks at everything in the file first, within bounds, and this process opens it only if the child lives to say so.
"""
import os
import signal
import warnings
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tfold.errors import BadInputError, one_line
from tfold.model_file.zip_archive import MOST_PER_PACKED_BYTE, UNSUSPICIOUS_BYTES

MOST_FOR_TEXTS = 512 * 2**20  # bytes that the child may take beside twice the file
MOST_SECONDS = 60  # for the child; a network of a gigabyte takes one
# What h5py and NumPy raise for bytes that are not what they expect.
DAMAGE = (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, IndexError, ArithmeticError, EOFError,
          SystemError)


@contextmanager
def opened(path, source=None, bytes_at_hand=None):
    """Open an HDF5 file for reading, and look at every object in it.

    Args:
        path: of the file, for messages.
        source: `io.BytesIO` of the file; read from `path` if None.
        bytes_at_hand: how large the file is; looked up if None.

    Yields:
        `h5py.File`.

    Raises:
        BadInputError: the file is damaged, refers to another file, or its arrays are far larger than the file; also
            where reading inside the `with` block fails.
    """
    import h5py

    size = path.stat().st_size if bytes_at_hand is None else bytes_at_hand

    def look():
        with h5py.File(path if source is None else source, "r") as file:
            _check_objects(path, file, size)

    _in_a_child(path, look, size)
    with ExitStack() as stack:
        try:
            yield stack.enter_context(h5py.File(path if source is None else source, "r"))
        except BadInputError:
            raise
        except DAMAGE as error:
            raise _damaged(path, one_line(error)[:-1]) from error


def _damaged(path, why):
    return BadInputError(
        f"A model's weights must be whole. Received: {path}, in which they are cut short or damaged ({why}). "
        "Copy or save it again.")


def _in_a_child(path, look, size):
    """Call a function in a child process, and raise `BadInputError` with what it said, or where it died.

    Args:
        path: of the file, for messages.
        look: the function.
        size: of the file, in bytes.
    """
    receiver, sender = os.pipe()
    child = _forked()
    if child is None:
        os.close(receiver)
        os.close(sender)
        said = _said(path, look)
        if said != _FINE:
            raise BadInputError(said)
        return
    if child == 0:
        with suppress(BaseException):
            os.close(receiver)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(MOST_SECONDS)
            _bound_memory(size)
            os.write(sender, _said(path, look).encode()[:60_000])  # less than a pipe holds
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as pipe:
        said = pipe.read().decode()
    with suppress(ChildProcessError):
        os.waitpid(child, 0)
    if not said:
        raise _damaged(path, "HDF5 fails on them")
    if said != _FINE:
        raise BadInputError(said)


def _forked():
    """What `os.fork` returns; None where the system has none, or no room for another process."""
    if not hasattr(os, "fork"):  # Windows
        return None
    with warnings.catch_warnings(), suppress(OSError):
        warnings.simplefilter("ignore")  # of threads, which the child does not need: it calls HDF5 alone
        return os.fork()
    return None


_FINE = "fine"


def _said(path, look):
    """What comes of a look at a file, in words."""
    try:
        look()
    except BadInputError as error:
        return str(error)
    except MemoryError:
        return str(_damaged(path, "they claim to be far larger than their file"))
    except DAMAGE as error:
        return str(_damaged(path, one_line(error)[:-1]))
    return _FINE


def _bound_memory(size):
    """Let this process grow by twice the file and `MOST_FOR_TEXTS` at most, where the system can be told so."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (now + 2 * size + MOST_FOR_TEXTS, hard))


def _check_objects(path, file, size):
    import h5py

    dict(file.attrs)
    others, sizes = [], []  # h5py does not bear an exception out of its visits

    def look_at_link(name, link):
        if isinstance(link, h5py.ExternalLink):
            others.append((name, link.filename))

    def look_at_object(name, found):
        if isinstance(found, h5py.Dataset):
            others.extend((name, other) for other, *_ in found.external or ())
            if found.is_virtual:
                others.extend((name, source.file_name) for source in found.virtual_sources())
            sizes.append(found.size * found.dtype.itemsize if found.size else 0)
        dict(found.attrs)

    # None of the two follows a link into another file, and each sees every object once.
    file.visititems_links(look_at_link)
    file.visititems(look_at_object)
    if others:
        name, other = others[0]
        raise BadInputError(
            f"A model file reads no other file. Received: {path}, whose {name!r} lies in the file {str(other)!r}. "
            "Save the model again, all of it in one file.")
    total = sum(sizes)
    if total > max(UNSUSPICIOUS_BYTES, MOST_PER_PACKED_BYTE * size):
        raise BadInputError(
            f"A model's weights are at most {MOST_PER_PACKED_BYTE} times as large as their file. Received: {path}, "
            f"whose {size / 2**20:.1f} MiB become {total / 2**20:,.0f} MiB. Save it again without compression.")
