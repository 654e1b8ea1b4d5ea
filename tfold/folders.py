"""What lies in a folder of data: seen alike by whoever reads it, numbers its classes, or says what stands for it.

Links are followed, as large sets of images are often made of them; what is hidden (.DS_Store, ._a.jpg, .thumbnails) is
not there.
"""
import os
from pathlib import Path

from tfold.errors import BadInputError


def files_below(folder):
    """All files in a folder and in those below it, as sorted `Path`s that begin with the folder's own.

    Raises:
        BadInputError: a folder cannot be read, or a link leads nowhere: left out in silence, data would be missing; or
            it leads to what is there already, and that would be there twice, if not for ever.
    """
    return sorted(_walk(folder, {}))


def subfolders(folder):
    """The names of the folders in a folder, sorted."""
    return sorted(path.name for path in Path(folder).iterdir() if path.is_dir() and not path.name.startswith("."))


def _walk(folder, met):
    """Files in a folder and below it; `met`: real paths of folders → where they were met."""
    real = os.path.realpath(folder)
    if real in met:
        raise BadInputError(
            f"Each folder of data is there once. Received: {met[real]} and {folder}, which are one and the same by a "
            "link. Remove the link."
        )
    met[real] = folder
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    yield from _walk(entry.path, met)
                elif entry.is_file():
                    yield Path(entry.path)
                elif entry.is_symlink():
                    raise BadInputError(
                        f"Every file of a folder is there. Received: {entry.path}, a link that leads nowhere. Fetch "
                        "what it stands for, or remove it."
                    )
    except OSError as error:
        raise BadInputError(
            f"A folder of data can be read, with all below it. Received: {error.filename or folder} "
            f"({error.strerror}). Make it readable, or take it out."
        ) from error
