"""The accessors of TFLite's schema, as ai-edge-litert ships them, loaded without its native libraries.

`import ai_edge_litert` maps libLiteRt.so into the process, which must not happen beside TensorFlow. The schema is one
generated Python file in that package that needs nothing of it, so it is loaded by its path (20 ms).
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

from tfold.measure.errors import RuntimeNotFoundError

_PACKAGE, _FILE = "ai_edge_litert", "schema_py_generated.py"


@cache
def schema() -> ModuleType:
    """The generated module: `Model`, `Operator`, … to read, `ModelT`, `OperatorT`, … to change and write.

    Raises:
        RuntimeNotFoundError: ai-edge-litert is not installed, or has no schema in it.

    Examples:
        schema().BuiltinOperator.CONV_2D    # 3
    """
    found = importlib.util.find_spec(_PACKAGE)  # of a package at the top this imports nothing
    path = Path(found.origin).with_name(_FILE) if found and found.origin else None
    if path is None or not path.exists():
        raise RuntimeNotFoundError(
            f"The schema of .tflite files comes with ai-edge-litert. Received: {path or 'no such package'}, not "
            "found. Install it: pip install --upgrade ai-edge-litert"
        )
    spec = importlib.util.spec_from_file_location("tfold_tflite_schema", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def names(enumeration: str) -> dict[int, str]:
    """Number → name of an enumeration of the schema.

    Examples:
        names("TensorType")[9]      # "INT8"
    """
    return {value: name for name, value in vars(getattr(schema(), enumeration)).items() if not name.startswith("_")}
