"""Make Keras know tfold's layers without importing Keras: `import tfold` stays light.

Keras loads the layers of a saved model by the names they were registered under. They are registered as soon as both
tfold and Keras are imported, whichever comes first: at once, or by a hook in front of the import of Keras.
"""
import sys
from importlib import import_module
from importlib.util import find_spec

MODULES = ("tfold.alpha.activation", "tfold.alpha.penalty")


def register_with_keras():
    if "keras" in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _Hook())


def _register():
    for name in MODULES:
        import_module(name)


class _Hook:
    """A finder that steps aside at the first `import keras`, and registers when that import is through."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                _register()

            spec.loader.exec_module = exec_module
        return spec
