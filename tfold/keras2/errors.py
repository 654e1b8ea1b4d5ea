"""What stands in the way of a Keras 2 network in Keras 3."""


class Untranslatable(Exception):
    """Keras 3 has no layer, setting or function that computes the same; says which, as the end of a sentence."""
