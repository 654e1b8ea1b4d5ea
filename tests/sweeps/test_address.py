"""What is shown of a storage's address: never a password, however the address is mistyped."""
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfold.errors import BadInputError, TfoldError
from tfold.sweeps import address
from tfold.sweeps.address import hidden, read
from tfold.sweeps.store import Store

SECRET = "s3cret-w0rd"


@pytest.mark.parametrize("url, shown", [
    ("mysql+pymysql://me:pass:word@host/s", "mysql+pymysql://me:***@host/s"),
    ("postgresql://me:secret@host/sweeps", "postgresql://me:***@host/sweeps"),
    ("postgresql://me:se/cr@et@host/sweeps", "postgresql://me:***@host/sweeps"),
    ("mysql+pymysql://host/sweeps?user=me&password=secret&x=1",
     "mysql+pymysql://host/sweeps?user=me&password=***&***"),
    ("sqlite:////a/b.db", "sqlite:////a/b.db"),
    ("journal:/nfs/s.journal", "journal:/nfs/s.journal"),
    ("POSTGRESQL://me:secret@host:5433/sweeps", "postgresql://me:***@host:5433/sweeps"),
    ("postgres://me:a b#c@[::1]:77/sweeps", "postgresql://me:***@[::1]:77/sweeps"),
    ("postgresql:///sweeps?host=/run/pg&port=5433&sslmode=require&passfile=/home/me/.pgpass",
     "postgresql:///sweeps?host=/run/pg&port=5433&sslmode=require&passfile=***"),
    ("postgresql://secret@host/sweeps", "postgresql://***@host/sweeps"),  # a password in the user's place
    ("postgresql://me:12345/sweeps", "postgresql://me:***/sweeps"),  # no port, but a password, and @host is missing
    ("postgresql://host/sweeps?sslmode=se@cret", "postgresql://***"),
    ("postgresql+secret://host/sweeps", "postgresql+***://host/sweeps"),
    ("postgresql://me:secret", "postgresql://***"),
    ("postgresql://me:se@cret", "postgresql://me:***@***"),
    ("postgresq://me:secret@host/sweeps", "***"),
    ("me:secret@host/sweeps", "***"),
    ("sqlite:///me:secret@host/sweeps", "sqlite:///***"),
    ("sqlite:////a/b.db?password=secret", "sqlite:////a/b.db?***"),
    ("", "***"),
])
def test_what_is_shown(url, shown):
    assert hidden(url) == shown


@pytest.mark.parametrize("url, handed_on", [
    ("postgres://me:p@ss/w:rd {x}%@host/s", "postgresql://me:p%40ss%2Fw%3Ard%20%7Bx%7D%25@host/s"),
    ("POSTGRESQL://me:p%40ss@host:5433/s", "postgresql://me:p%40ss@host:5433/s"),
    ("mariadb://me@host/s?charset=utf8mb4", "mysql://me@host/s?charset=utf8mb4"),
    ("postgresql:///s?host=/run/pg&password=a%26b+c", "postgresql:///s?host=%2Frun%2Fpg&password=a%26b%20c"),
    ("SQLite+pysqlite:////a/b.db", "sqlite:////a/b.db"),
])
def test_one_spelling_is_handed_on_which_means_the_same(url, handed_on):
    sqlalchemy = pytest.importorskip("sqlalchemy")
    assert read(url).url == handed_on == read(handed_on).url
    if "@host" in url and "{" in url:
        assert sqlalchemy.engine.make_url(handed_on).password == "p@ss/w:rd {x}%"


@pytest.mark.parametrize("url, words", [
    (f"postgres//me:{SECRET}@host/s", "postgresql://"),
    (f"postgresq://me:{SECRET}@host/s", "postgresql://"),
    (f"postgresql:/me:{SECRET}@host/s", "postgresql://"),
    (f"postgresql:me:{SECRET}@host/s", "postgresql://"),
    (f"me:{SECRET}@host/s", "Check the address"),
    (f"jdbc:postgresql://me:{SECRET}@host/s", "Check the address"),
    (f"'postgresql://me:{SECRET}@host/s'", "Check the address"),
    (f"oracle://me:{SECRET}@host/s", "Check the address"),
    (f"postgresql://me:{SECRET}?x@host/s", "%3F"),
    (f"postgresql://me:{SECRET}", "which does not read so"),
    (f"postgresql://me:{SECRET}@host:port/s", "which does not read so"),
    (f"postgresql://me:x@host/s?{SECRET}", "which does not read so"),
    (f"postgresql://me:x@host/s?password={SECRET}@", "which does not read so"),
    (f"postgresql://me:x@ho st/{SECRET}", "which does not read so"),
    (f"sqlite://{SECRET}", "Check the address"),
    ("sqlite:///:memory:", "in memory"),
    ("sqlite://", "Check the address"),
    ("nonsense", "Check the address"),
    (f"postgresql://me:{SECRET}\n@host/s", "printable"),
    (f"journal:/a\0{SECRET}", "printable"),
    (f"postgresql://me:{SECRET}\udcff@host/s", "printable"),
    (Path(f"/{SECRET}"), "printable"),
])
def test_what_cannot_be_read_is_refused_without_being_shown(url, words):
    with pytest.raises(BadInputError, match="Received: ") as raised:
        Store(url, "sweep")
    assert words in str(raised.value) and SECRET not in str(raised.value)


PLACES = [  # {}: where a password stands, or what somebody takes for its place
    "postgresql://me:{}@host/s", "postgres://me:{}@host:5432/s", "POSTGRESQL://me:{}@host/s?sslmode=require",
    "postgresql+psycopg2://me:{}@[::1]/s", "mysql://me:{}@host/s", "mysql+pymysql://:{}@host/s", "mariadb://me:{}@/s",
    "postgresql://{}@host/s", "postgresql://me@host/s?password={}",
    "postgresql:///s?host=/run&sslpassword={}", "mysql://host/s?passwd={}&charset=utf8", "mysql://host/s?pasword={}",
    "postgresql://host/s?{}=x", "postgresql://host/s?{}", "postgresql://host/s?sslmode={}", "postgresql://host/s#{}",
    "postgresql://host/s?passfile={}", "postgresql://me:x@host:{}/s", "postgresql://me:{}", "postgresql://me:{}/s",
    "postgresql+{}://me@host/s", "postgres//me:{}@host/s", "postgresq://me:{}@host/s", "postgresql:/me:{}@host/s",
    "me:{}@host/s", "{}", "{}://me@host/s", "sqlite:///me:{}@host/s", "sqlite:////a.db?password={}",
    "journal:me:{}@host/s", "postgresql://me:x@host/s?options=-c%20x%3D{}", " postgresql://me:{}@host/s",
]
# Half of pass@word stands where a host does, half of pass:word where a user does.
AMBIGUOUS = {"postgresql://me:{}/s": "@", "postgresql://me:{}": "/", "postgresql://me:x@host:{}/s": "@",
             "postgresql://{}@host/s": ":"}
# Every character that ends something somewhere, in a word that occurs nowhere else.
WORDS = st.text(alphabet="aZ09 @/:?&#=%+{}[]'\"\\.,;-_ü~|", min_size=1, max_size=12).map(lambda text: f"q7{text}7q")


@given(place=st.sampled_from(PLACES), word=WORDS)
def test_a_secret_at_any_place_never_appears(place, word):
    if AMBIGUOUS.get(place, "\n") in word:
        return
    url = place.format(word)
    told = [hidden(url)]
    try:
        found = read(url)
    except TfoldError as error:
        told += [str(error), repr(error)]
    else:
        told += [repr(found), str(found), found.scrubbed(f"bad {url}"), found.quote(ValueError(f"bad {url}"))]
        if not found.is_file and place.partition("{}")[0][-1] in ":=":  # a part by itself, as drivers quote it
            told += [found.scrubbed(f"bad {word}!"), found.quote(ValueError(f"bad {word}!"))]
    for text in told:
        assert "q7" not in text and "7q" not in text, text


@pytest.mark.parametrize("error", [
    lambda text: ValueError(text),
    lambda text: KeyError(text),
    lambda text: OSError(2, "No such file", text),
    lambda text: _raised_from(RuntimeError("it does not work"), ValueError(text)),
])
def test_other_libraries_errors_are_quoted_without_what_is_hidden(error):
    where = read("postgresql://me:p%40ss%20w%C3%B6rd@host/s?sslpassword=other-word")
    for spelling in ("p@ss wörd", "p%40ss%20w%C3%B6rd", "P%40SS%20W%C3%B6RD", "other-word"):
        told = where.quote(error(f"cannot connect to {spelling}: no"))
        assert "its words are left out" in told and spelling not in told
    assert where.quote(ValueError("cannot connect to host")) == "ValueError: cannot connect to host"


def _raised_from(error, cause):
    error.__cause__ = cause
    return error


def test_a_driver_that_is_there_is_taken(monkeypatch):
    there = {"psycopg2"}
    monkeypatch.setattr(address, "_is_there", lambda module: module in there or module.startswith("sqlalchemy."))
    assert read("postgres://me:x@host/s").with_driver() == ("postgresql+psycopg2://me:x@host/s", "psycopg2")
    there.add("psycopg")
    assert read("postgresql://host/s").with_driver() == ("postgresql+psycopg://host/s", "psycopg")
    assert read("postgresql+psycopg2://host/s").with_driver() == ("postgresql+psycopg2://host/s", "psycopg2")
    assert read("sqlite:////a.db").with_driver() == ("sqlite:////a.db", None)


@pytest.mark.parametrize("url, words", [
    ("postgresql://me:{}@host/s", r"no psycopg here\. .*pip install 'psycopg\[binary\]'"),
    ("postgresql+psycopg2://me:{}@host/s", "no psycopg2 here"),
    ("mysql://me:{}@host/s", r"no pymysql here.*pip install 'pymysql\[rsa\]'"),
])
def test_a_driver_that_is_missing_is_named_with_what_installs_it(monkeypatch, url, words):
    for module in ("psycopg", "psycopg2", "pg8000", "MySQLdb", "pymysql", "mysql", "mysql.connector"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(TfoldError, match=words) as raised:
        Store(url.format(SECRET), "sweep")
    assert SECRET not in str(raised.value)


def test_a_traceback_shows_no_password(tmp_path):
    """Of a server that refuses, of one that is not there, and of an address that SQLAlchemy quotes."""
    code = ("import sys; from tfold.sweeps import patience; from tfold.sweeps.store import Store\n"
            "patience.OUTAGE = 0.0\n"
            "import traceback\n"
            "for url in sys.argv[1:]:\n"
            "    try: Store(url, 'sweep')\n"
            "    except Exception: traceback.print_exc()\n")
    urls = [url.format(SECRET) for url in (
        "postgresql://me:{}@127.0.0.1:1/s", "postgresql://me:x@127.0.0.1:1/s?{}=1", "postgresql+{}://me@127.0.0.1:1/s",
        "mysql://me:{}@127.0.0.1:1/s", "postgresql://me:x@127.0.0.1:1/s?sslmode={}", "postgres//me:{}@127.0.0.1/s")]
    said = subprocess.run([sys.executable, "-c", code, *urls], cwd=Path(__file__).resolve().parents[2],
                          capture_output=True, text=True)
    assert said.stderr.count("Received: ") == len(urls), said.stderr
    assert SECRET not in said.stderr + said.stdout
