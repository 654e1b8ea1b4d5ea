"""The errors that tfold raises for people: each states the rule, then `Received: …`, then the way out."""


class TfoldError(Exception):
    """Base class of every error that tfold raises on purpose."""


class BadInputError(TfoldError, ValueError):
    """What was given cannot be used: a damaged file, a model of the wrong kind, an option out of range."""


class ParityError(TfoldError):
    """Two networks that must agree do not."""
