"""A storage's address: read strictly, handed on in one spelling, and shown without what may be secret.

    given       postgres://me:p@ss@host/sweeps?sslmode=require&sslpassword=word
    handed on   postgresql+psycopg://me:p%40ss@host/sweeps?sslmode=require&sslpassword=word
    shown       postgresql://me:***@host/sweeps?sslmode=require&sslpassword=***

Only what is surely harmless is shown: of a server the host, the database and the user of a password, where they stand
in their places and are plain words; of parameters a few that are known by name; of a file its path. Nothing is shown of
an address that cannot be read, since nobody knows what stands where. And as other libraries quote what they were given,
an error of theirs is quoted in turn only if no hidden part occurs in it.
"""
import difflib
import importlib
import os
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote

from tfold.errors import BadInputError, TfoldError, one_line

JOURNAL, SQLITE = "journal:", "sqlite:///"
HIDDEN = "***"
SCHEMES = {"postgresql": "postgresql", "postgres": "postgresql", "mysql": "mysql", "mariadb": "mysql"}
# SQLAlchemy's names of drivers, the modules they import, and how they are installed; the first that is there is taken.
DRIVERS = {
    "postgresql": {"psycopg": "psycopg", "psycopg2": "psycopg2", "pg8000": "pg8000"},
    "mysql": {"pymysql": "pymysql", "mysqldb": "MySQLdb", "mysqlconnector": "mysql.connector"},
}
INSTALL = {"postgresql": "pip install 'psycopg[binary]'", "mysql": "pip install 'pymysql[rsa]'"}
PLAIN = re.compile(r"[A-Za-z0-9_.-]+")
SHOWN = {  # parameters whose values may be shown, and what such a value looks like
    "user": PLAIN, "host": re.compile(r"[A-Za-z0-9_./-]+"), "charset": PLAIN,
    "sslmode": re.compile("disable|allow|prefer|require|verify-ca|verify-full"),
    **dict.fromkeys(("port", "connect_timeout", "tcp_user_timeout", "keepalives", "keepalives_idle",
                     "keepalives_interval", "keepalives_count"), re.compile(r"\d{1,6}")),
}
# Parameters of libpq and of MySQL's drivers that messages may name; their values are another matter.
NAMED = {*SHOWN, "password", "passwd", "pwd", "sslpassword", "passfile", "sslcert", "sslkey", "sslrootcert", "options",
         "application_name", "service", "target_session_attrs", "ssl_ca", "ssl_cert", "ssl_key"}
WORD = 5  # letters of a word of a password that is hidden by itself
USUAL_PORTS = ("3306", "5432")
_SERVER = re.compile(r"(?P<scheme>\w+)(?:\+(?P<driver>\w+))?://(?P<rest>.*)", re.DOTALL)
_FILE = re.compile(r"(?P<scheme>sqlite|sqlite\+pysqlite):///(?P<path>[^?]*)(?P<query>\?.*)?", re.DOTALL | re.IGNORECASE)
_WRITABLE = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]*")  # no control characters, no bytes that are no UTF-8
_PLACE = re.compile(r"(?P<host>[A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?(?:/(?P<database>[^/]*))?")
_LIKE_A_PASSWORD = re.compile(r"@|://|passw|pwd", re.IGNORECASE)  # in what should be a file's path


@dataclass(frozen=True)
class Address:
    """A storage's address. As a string it is what may be shown.

    Attributes:
        kind: "journal", "sqlite", "postgresql" or "mysql".
        shown: the address as messages may show it.
        url: as Optuna takes it, but for the driver (see `with_driver`).
        path: of a file; "" of a server.
        driver: that was asked for by name; None: any.
        parameters: names of those that were given.
        secrets: what must not be shown, in every spelling.
    """

    kind: str
    shown: str
    url: str = field(repr=False)
    path: str = field(default="", repr=False)
    driver: str | None = field(default=None, repr=False)
    parameters: frozenset = field(default=frozenset(), repr=False)
    secrets: tuple = field(default=(), repr=False)

    def __str__(self):
        return self.shown

    @property
    def is_file(self):
        """Whether it is a file, and no server."""
        return self.kind in ("journal", "sqlite")

    def with_driver(self):
        """(the address with the driver that is to be taken, the driver's name; None of a file).

        SQLAlchemy takes psycopg2 for postgresql:// before version 2.1 and psycopg since, whichever is installed.

        Raises:
            BadInputError: there is no such driver.
            TfoldError: none is installed.
        """
        if self.is_file:
            return self.url, None
        known = DRIVERS[self.kind]
        if self.driver and self.driver not in known:
            raise BadInputError(
                f"A database is reached through one of the drivers {', '.join(known)}. Received: {self.shown}. Leave "
                f"the driver out, and one that is installed is taken: {self.kind}://…"
            )
        for driver in [self.driver] if self.driver else known:
            # SQLAlchemy 1.4 knows no psycopg 3.
            if _is_there(known[driver]) and _is_there(f"sqlalchemy.dialects.{self.kind}.{driver}"):
                return self.url.replace("://", f"+{driver}://", 1), driver
        missing = known[self.driver] if self.driver else next(iter(known.values()))
        raise TfoldError(
            f"A database is reached through its driver. Received: {self.shown}, and no {missing} here. Install "
            f"one: {INSTALL[self.kind]}"
        )

    def quote(self, error):
        """An exception as a message may quote it: its type, and its words if no hidden part occurs in them."""
        harmless = self.is_harmless(error)
        error = getattr(error, "orig", None) or error  # the driver's, without SQLAlchemy's SQL around it
        name = type(error).__name__
        if not harmless:
            return f"{name}; its words are left out, as a part of the address occurs in them"
        return f"{name}: {one_line(error)[:-1]}"

    def is_harmless(self, error):
        """Whether no hidden part of the address occurs in what an exception says, nor in what led to it."""
        seen = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            if self._tells(f"{error} {error!r}"):
                return False
            error = error.__cause__ or error.__context__
        return True

    def scrubbed(self, text):
        """A text, or a word on why it is not shown."""
        return f"({HIDDEN}: a part of the storage's address occurs in it)" if self._tells(text) else text

    def _tells(self, text):
        return any(secret.casefold() in text.casefold() for secret in self.secrets)


def read(address):
    """The `Address` that is meant; raises `BadInputError`, which does not show it, where it cannot be read."""
    if not isinstance(address, str) or not _WRITABLE.fullmatch(address.strip()):
        raise BadInputError(
            "The address of a storage is a string of printable characters. Received: "
            f"{'one with others' if isinstance(address, str) else type(address).__name__}. Write them as % and two "
            "digits."
        )
    address = address.strip()
    if address[:len(JOURNAL)].lower() == JOURNAL:
        # Optuna's lock of a journal is a link to it, which would lead elsewhere from a relative path.
        given = address[len(JOURNAL):]
        return _file("journal", JOURNAL, os.path.abspath(given), "", given)
    if match := _FILE.fullmatch(address):
        if match["path"] in ("", ":memory:"):
            raise BadInputError(
                "A sweep's storage is one that several processes reach. Received: an SQLite database in memory. Name a "
                f"file: {SQLITE}FILE"
            )
        return _file("sqlite", SQLITE, match["path"], match["query"] or "", match["path"])
    match = _SERVER.fullmatch(address)
    if match is None or match["scheme"].lower() not in SCHEMES:
        raise BadInputError(
            f"A storage is {SQLITE}FILE, {JOURNAL}FILE, postgresql://USER@HOST/NAME or mysql://USER@HOST/NAME. "
            "Received: none of these; it is not shown, as it may hold a password. Check the address"
            f"{_suggestion(address)}"
        )
    return _server(SCHEMES[match["scheme"].lower()], match["driver"], match["rest"])


def hidden(address):
    """An address as it may be shown, whatever it is.

    Example:

    >>> hidden("postgresql://me:secret@host/sweeps")
    'postgresql://me:***@host/sweeps'
    """
    try:
        return read(address).shown
    except BadInputError:
        match = _SERVER.match(str(address).strip())
        scheme = match and SCHEMES.get(match["scheme"].lower())
        return f"{scheme}://{HIDDEN}" if scheme else HIDDEN


def _file(kind, prefix, path, query, given):
    hide = bool(_LIKE_A_PASSWORD.search(path)) or "@" in query
    shown = prefix + (HIDDEN if hide else path) + ("?" + HIDDEN if query else "")
    secrets = [path, given] * hide + [query[1:]] * bool(query)
    for name, value in parse_qsl(query[1:]):
        secrets += [value] if name not in ("timeout", "mode", "cache", "uri", "check_same_thread") else []
    return Address(kind, shown, prefix + path + query, path, secrets=_spellings(secrets))


def _server(kind, driver, rest):
    # A password may hold what ends one elsewhere, but for the ? behind which parameters begin: that may be either.
    credentials, at, place = rest.rpartition("@")
    place, _, query = place.partition("?")
    user, colon, password = credentials.partition(":")
    where = _PLACE.fullmatch(place)
    try:
        parameters = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        parameters = None
    if where is None or parameters is None or "?" in credentials or "/" in user or "://" in rest:
        raise BadInputError(
            f"The address of a database is {kind}://USER:PASSWORD@HOST:PORT/NAME?PARAMETER=VALUE. Received: "
            f"{kind}://{HIDDEN}, which does not read so. Write characters other than letters and digits in user, "
            "password and parameters as % and two digits: @ as %40, / as %2F, : as %3A, ? as %3F, & as %26, % as %25."
        )
    host, port, database = where["host"], where["port"], where["database"]
    said = _Said(f"{kind}://")
    if driver is not None:
        driver = driver.lower()
        said.shown = f"{kind}+{driver if driver in DRIVERS[kind] else HIDDEN}://"
        said.secrets += [] if driver in DRIVERS[kind] else [driver]
    if at:
        said.part(user, colon and PLAIN.fullmatch(user))  # who has no password may have written it there
        if colon:
            said.add(":")
            said.part(password, False)
        said.add("@")
    # Of me:pass@word, in which @host is missing, the host is half the password.
    said.part(host, database is not None or not at, encode=False)
    if port is not None:
        said.add(":")  # of user:password, in which @host is missing, the port is the password
        said.part(port, at or port in USUAL_PORTS or host == "localhost" or "." in host or ":" in host)
    if database is not None:
        said.add("/")
        said.part(database, PLAIN.fullmatch(database))
    for number, ((name, value), written) in enumerate(zip(parameters, query.split("&") if query else [], strict=True)):
        sure = name in SHOWN and SHOWN[name].fullmatch(value)
        said.url += f"{'&' if number else '?'}{quote(name, safe='')}={quote(value, safe='')}"
        said.shown += ("&" if number else "?") + (
            f"{name}={value if sure else HIDDEN}" if name in NAMED else HIDDEN)
        written_name, _, written_value = written.partition("=")
        said.secrets += [] if sure else [value, written_value]
        said.secrets += [] if name in NAMED else [name, written_name]
    return Address(kind, said.shown, said.url, driver=driver, parameters=frozenset(name for name, _ in parameters),
                   secrets=_spellings(said.secrets))


class _Said:
    """An address as far as it is read: as it is handed on, as it is shown, and what is not."""

    def __init__(self, begin):
        self.url, self.shown, self.secrets = begin, begin, []

    def add(self, mark):
        self.url, self.shown = self.url + mark, self.shown + mark

    def part(self, text, sure, encode=True):
        """Add a part, which is shown if that is sure to do no harm."""
        self.url += quote(unquote(text), safe="") if encode else text
        self.shown += text if sure or not text else HIDDEN
        self.secrets += [] if sure else [text]


def _spellings(secrets):
    """Every spelling in which a secret may come back, the longest first."""
    found = set()
    for secret in secrets:
        decoded = unquote(secret)
        found |= {secret, decoded, quote(decoded, safe=""), quote(decoded), unquote(secret.replace("+", " ")),
                  repr(decoded)[1:-1], *(word for word in re.findall(r"\w+", decoded) if len(word) >= WORD)}
    return tuple(sorted(filter(None, found), key=len, reverse=True))


def _suggestion(address):
    word = re.match(r"\w*", address)[0].lower()
    near = difflib.get_close_matches(word, (*SCHEMES, "sqlite", "journal"), 1, 0.75)
    if not near:
        return "."
    right = {"sqlite": SQLITE, "journal": JOURNAL}.get(near[0], f"{SCHEMES.get(near[0])}://")
    return f": does it begin with {right}?"


def _is_there(module):
    try:
        importlib.import_module(module)
    except ImportError:  # also where the driver is there and its library of the database is not
        return False
    return True
