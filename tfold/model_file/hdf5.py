"""Read an HDF5 file whose sender is not known: it names no other file, and is not far larger than it is."""
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tfold.errors import BadInputError, one_line
from tfold.model_file.zip_archive import MOST_PER_PACKED_BYTE, UNSUSPICIOUS_BYTES

MOST_FOR_TEXTS = 512 * 2**20  # bytes
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
    with ExitStack() as stack:
        try:
            with _bounded_memory(size):
                file = stack.enter_context(h5py.File(path if source is None else source, "r"))
                _check_objects(path, file, size)
        except BadInputError:
            raise
        except (*DAMAGE, MemoryError) as error:
            raise _damaged(path, error) from error
        try:
            yield file
        except BadInputError:
            raise
        except DAMAGE as error:
            raise _damaged(path, error) from error


def _damaged(path, error):
    return BadInputError(
        f"A model's weights must be whole. Received: {path}, in which they are cut short or damaged "
        f"({one_line(error)[:-1] or type(error).__name__}). Copy or save it again.")


@contextmanager
def _bounded_memory(size):
    """Let this process grow by twice the file and `MOST_FOR_TEXTS` at most, where the system can be told so.

    HDF5 makes room for a text as long as a damaged file says that it is, before it looks whether the text is there.
    """
    try:
        import resource

        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError, ValueError):  # not Linux
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = now + 2 * size + MOST_FOR_TEXTS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        yield
        return
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


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
        dict(found.attrs)  # whoever reads them later has no bounds

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
