"""Read the members of a zip archive whose sender is not known: nothing encrypted, damaged, doubled or blown up."""
import zipfile
import zlib
from contextlib import contextmanager

from tfold.errors import BadInputError, one_line

# Weights hardly shrink in a zip archive; what unpacks to far more than was sent is made to fill the memory.
UNSUSPICIOUS_BYTES = 64 * 2**20
MOST_PER_PACKED_BYTE = 100
_READABLE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}


@contextmanager
def opened(path, what):
    """Open an archive for reading.

    Args:
        path: of the archive.
        what: what it is to people: "A .keras file".

    Yields:
        `zipfile.ZipFile`, all of whose members can be unpacked in reasonable memory.

    Raises:
        BadInputError: the archive is damaged, encrypted, compressed in a way that Python cannot read, holds a name
            twice, or unpacks to far more than it is; also where reading a member inside the `with` block fails.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, what, archive.infolist())
            yield archive
    except BadInputError:
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError, NotImplementedError,
            OverflowError, KeyError, IndexError, UnicodeError, ArithmeticError) as error:
        # zipfile and the decompressors raise many kinds for bytes that are not what they expect.
        raise BadInputError(
            f"{what} must be whole. Received: {path}, which is cut short or damaged ({one_line(error)[:-1]}). "
            "Copy or save it again."
        ) from error
    except Exception as error:
        if type(error).__module__ not in ("_lzma", "lzma", "struct", "_struct"):
            raise
        raise BadInputError(
            f"{what} must be whole. Received: {path}, which is damaged ({one_line(error)[:-1]}). Copy or save it again."
        ) from error


def _check_members(path, what, members):
    names = [member.filename for member in members]
    for member in members:
        if member.flag_bits & 1:
            raise BadInputError(
                f"{what} is not encrypted. Received: {path}, in which {member.filename!r} needs a password. "
                "Unpack it with the password, and pack it without one.")
        if member.compress_type not in _READABLE:
            raise BadInputError(
                f"{what} is stored or compressed by deflate. Received: {path}, in which {member.filename!r} is "
                f"compressed by method {member.compress_type} of the zip format. Save it again.")
    doubled = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if doubled is not None:
        raise BadInputError(
            f"{what} has each member once. Received: {path}, which has {doubled!r} twice. Save it again.")
    unpacked, packed = sum(m.file_size for m in members), sum(m.compress_size for m in members)
    if unpacked > max(UNSUSPICIOUS_BYTES, MOST_PER_PACKED_BYTE * packed):
        raise BadInputError(
            f"{what} unpacks to at most {MOST_PER_PACKED_BYTE} times its size. Received: {path}, whose "
            f"{packed / 2**20:.1f} MiB become {unpacked / 2**20:,.0f} MiB. Save it again without compression.")
