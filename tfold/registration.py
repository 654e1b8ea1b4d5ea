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
    """A finder that steps aside while it looks for Keras, and registers when the import of Keras is through.

    Being asked is not being imported: TensorFlow and others ask `find_spec("keras")` only to learn where it lies.
    """

    looking = False

    def find_spec(self, name, path=None, target=None):
        if name != "keras" or self.looking:
            return None
        self.looking = True
        try:
            spec = find_spec(name)
        finally:
            self.looking = False
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                _register()

            spec.loader.exec_module = exec_module
        return spec
