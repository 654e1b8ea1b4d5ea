"""What lies in a folder of data, links and hidden files included."""
import os

import pytest

from tfold.errors import BadInputError
from tfold.folders import files_below, subfolders


@pytest.fixture
def folder(tmp_path):
    """photos/{cats/{1.png,more/2.png}, dogs -> ../elsewhere, .DS_Store, .cache/3.png}"""
    photos, elsewhere = tmp_path / "photos", tmp_path / "elsewhere"
    for path in (photos / "cats" / "1.png", photos / "cats" / "more" / "2.png", photos / ".cache" / "3.png",
                 photos / ".DS_Store", elsewhere / "4.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (photos / "dogs").symlink_to(elsewhere)
    return photos


def names(folder):
    return [path.relative_to(folder).as_posix() for path in files_below(folder)]


def test_links_are_followed_and_what_is_hidden_is_not_there(folder):
    assert names(folder) == ["cats/1.png", "cats/more/2.png", "dogs/4.png"]
    assert subfolders(folder) == ["cats", "dogs"]
    assert names(str(folder)) == names(folder)


@pytest.mark.parametrize("link, target", [
    ("cats/all", "."), ("cats/above", ".."), ("elephants", "cats"), ("puppies", "../elsewhere")])
def test_what_would_be_there_twice_is_refused(folder, link, target):
    (folder / link).symlink_to(folder / target)
    with pytest.raises(BadInputError, match="one and the same by a link. Remove the link"):
        files_below(folder)


def test_what_is_not_there_is_said(folder):
    (folder / "cats" / "5.png").symlink_to(folder / "unfetched" / "5.png")
    with pytest.raises(BadInputError, match="5.png, a link that leads nowhere"):
        files_below(folder)
    (folder / "cats" / "5.png").unlink()
    (folder / "cats" / "6.png").symlink_to("6.png")
    with pytest.raises(BadInputError, match="6.png .Too many levels"):
        files_below(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anywhere")
def test_what_cannot_be_read_is_said(folder):
    (folder / "cats").chmod(0)
    with pytest.raises(BadInputError, match="cats .Permission denied"):
        files_below(folder)
