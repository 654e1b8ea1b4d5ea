"""Read an HDF5 file whose sender is not known: it names no other file, and is not far larger than it is."""
import mmap
from contextlib import contextmanager

from tfold.errors import BadInputError, one_line
from tfold.model_file.zip_archive import MOST_PER_PACKED_BYTE, UNSUSPICIOUS_BYTES

_HEAP = b"GCOL\x01\0\0\0"  # how a collection of texts begins
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

    _check_heaps(path, source)
    try:
        with h5py.File(path if source is None else source, "r") as file:
            _check_objects(path, file, path.stat().st_size if bytes_at_hand is None else bytes_at_hand)
            yield file
    except BadInputError:
        raise
    except DAMAGE as error:
        raise BadInputError(
            f"A model's weights must be whole. Received: {path}, in which they are cut short or damaged "
            f"({one_line(error)[:-1]}). Copy or save it again."
        ) from error


def _check_heaps(path, source):
    """Raise where a text in the file claims to be longer than its place: HDF5 makes the memory before it looks."""
    if source is None:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            is_whole = _heaps_are_whole(content)
    else:
        is_whole = _heaps_are_whole(source.getvalue())
    if not is_whole:
        raise BadInputError(
            f"A model's weights must be whole. Received: {path}, in which they are cut short or damaged (a text that "
            "is longer than its place). Copy or save it again.")


def _heaps_are_whole(content):
    """Whether each collection of texts ends within the file, each text within it, and no reference beyond the file.

    Source: HDF5 File Format Specification, sections III.E and IV.A.2.d (variable-length data).
    """
    start = content.find(_HEAP)
    while start >= 0:
        place, end = start + 16, start + _number(content, start + 8, 8)
        if end > len(content):
            return False
        while place + 16 <= end and _number(content, place, 2):  # object 0 is what is free
            place += 16 + -(-_number(content, place + 8, 8) // 8) * 8
        if place > end:
            return False
        # A reference is the length, the collection's address and the text's number in it. What was deleted leaves some
        # to texts that are not there any more, so that they are compared with the file alone.
        address = start.to_bytes(8, "little")
        reference = content.find(address)
        while reference >= 4:
            if _number(content, reference - 4, 4) > len(content):
                return False
            reference = content.find(address, reference + 8)
        start = content.find(_HEAP, start + 16)
    return True


def _number(content, place, size):
    return int.from_bytes(content[place : place + size], "little")


def _check_objects(path, file, size):
    import h5py

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
