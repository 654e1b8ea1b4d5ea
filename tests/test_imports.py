"""The architecture's imports point one way. This reads them, those inside functions too, and holds the rule."""
import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tfold import registration

ROOT = Path(__file__).resolve().parents[1]
STANDARD = set(sys.stdlib_module_names)
HEAVY = {"tensorflow", "keras", "tf_keras", "jax", "torch"}

# A module may import what stands on a lower line, and its own package. Modules of no line are for everyone.
LINES = [
    {"algebra"},
    {"graph"},
    {"passes"},
    {"sampling", "comparison"},
    {"model_file"},
    {"keras2"},
    {"verification", "loading"},
    {"folding", "equalizing"},
    {"training"},
    {"report", "tflite", "measure", "planning", "alpha", "zoo"},
    {"recipe"},
    {"demo", "sweeps"},
    {"cli"},
    {"__main__"},
]
FOR_EVERYONE = {"checks", "errors", "reasons", "files", "folders", "locks", "quiet", "version", "registration",
                "stock", "importing", "documents", "__init__"}
BESIDE = {("tflite", "measure")}  # a .tflite is checked by running it


def modules():
    """Module name → path, of all Python files of the two packages."""
    found = {}
    for package in ("tfold", "mobile_bench"):
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


MODULES = modules()
PHONE = {module for module in MODULES if module.split(".")[0] == "mobile_bench"}  # has a rule of its own, below


@cache
def imports(module):
    """Names of the modules that a module imports, anywhere in its text."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, [".".join(package.split(".")[: -(node.level - 1) or None]), node.module])) \
                if node.level else node.module
            for alias in node.names:
                found.add(f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base)
    return found


def own(module):
    """The project's modules among the imports; importing a module runs its packages' __init__ as well."""
    found = {name for name in imports(module) if name.split(".")[0] in ("tfold", "mobile_bench")}
    for name in set(found):
        parts = name.split(".")
        found |= {".".join(parts[:i]) for i in range(1, len(parts))}
    return found & set(MODULES)


def part(module):
    """The part of the house: "graph" for tfold.graph.ir, "folding" for tfold.folding, "__init__" for tfold itself."""
    return (module.split(".") + ["__init__"])[1]


def line(name):
    return next((i for i, names in enumerate(LINES) if name in names), None)


def test_there_is_something_to_read():
    assert {"tfold", "tfold.folding", "tfold.graph.ir", "tfold.algebra.compose", "tfold.cli"} <= set(MODULES)
    assert "keras" in imports("tfold.folding")
    assert "tfold.graph.capture" in imports("tfold.folding")
    assert imports("tfold") == {"importlib", "tfold.registration", "tfold.version"}


@pytest.mark.parametrize("module", sorted(m for m in MODULES if m.startswith("tfold")))
def test_imports_point_downwards(module):
    here = part(module)
    for other in own(module):
        there = part(other)
        if there == here or there in FOR_EVERYONE - {"__init__"} or (here, there) in BESIDE or other in PHONE:
            continue
        if there == "__init__":
            # `import tfold` stands for all public names, unless it only stands for the package on the way.
            assert "tfold" not in imports(module) or here in ("demo", "cli", "__main__", "__init__"), module
            continue
        assert here not in FOR_EVERYONE, f"{module}, which everyone may import, imports {other}"
        assert line(here) is not None, f"{module}: give {here} a place in the order of imports"
        assert line(there) < line(here), f"{module} imports {other}"


def numpy_alone():
    return sorted(
        m for m in MODULES
        if part(m) in ("algebra", "passes", "errors", "reasons") or m in ("tfold.graph.ir", "tfold.graph.run"))


@pytest.mark.parametrize("module", numpy_alone())
def test_the_core_needs_numpy_alone(module):
    foreign = {name.split(".")[0] for name in imports(module)} - STANDARD
    assert foreign <= {"numpy", "tfold"}
    for reached in closure(module):
        assert not {name.split(".")[0] for name in imports(reached)} & HEAVY, f"{module} reaches {reached}"


def closure(module):
    """The project's modules that importing this one brings along."""
    reached, todo = set(), [module]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            # The two lazy ones name modules of all parts as strings, and import none of them by themselves.
            todo += own(name) - {"tfold"}
    return reached


@pytest.mark.parametrize("module", sorted(
    m for m in MODULES if part(m) in ("measure", "report") or m.startswith("mobile_bench")))
def test_measuring_never_meets_tensorflow_or_keras(module):
    for reached in closure(module):
        heavy = {name.split(".")[0] for name in imports(reached)} & HEAVY
        assert not heavy, f"{module} reaches {reached}, which imports {heavy}"


def test_only_the_command_line_knows_the_phone():
    for module in MODULES:
        if module.startswith("mobile_bench"):
            assert {part(m) for m in own(module) if m.startswith("tfold.")} <= {"measure"} | FOR_EVERYONE
        elif part(module) != "cli":
            assert not any(name.startswith("mobile_bench") for name in imports(module)), module


def test_registration_needs_little():
    """What it imports at once must not be half there when Keras is imported, whichever module wanted Keras."""
    todo, found = list(registration.MODULES), set()
    while todo:
        module = todo.pop()
        found.add(module)
        at_once = [node for node in ast.parse(MODULES[module].read_text()).body
                   if isinstance(node, (ast.Import, ast.ImportFrom))]
        named = {alias.name for node in at_once if isinstance(node, ast.Import) for alias in node.names}
        named |= {node.module for node in at_once if isinstance(node, ast.ImportFrom)}
        todo += [name for name in named & set(MODULES) if name not in found]
    assert {module for module in found if part(module) not in FOR_EVERYONE} == {
        "tfold.alpha.activation", "tfold.alpha.constraint", "tfold.alpha.penalty"}


def test_no_package_has_the_name_of_a_public_function():
    import tfold

    inside = {name.split(".")[1] for name in MODULES if name.startswith("tfold.")}
    assert not inside & set(tfold.__all__)


def test_every_public_name_is_there():
    import tfold

    assert {"fold", "fold_batch_norm", "merge_linear", "prefold", "settle", "export", "bench"} <= set(tfold.__all__)
    for name in tfold.__all__:
        assert getattr(tfold, name) is not None
    assert set(tfold.__all__) <= set(dir(tfold))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        tfold.nonsense  # noqa: B018


@pytest.mark.parametrize("module", ["tfold", "tfold.cli", "tfold.measure", "tfold.algebra.compose", "tfold.passes"])
def test_importing_is_light(module):
    code = (
        f"import sys, {module}; "
        f"heavy = sorted(set(sys.modules) & {HEAVY | {'ai_edge_litert', 'tflite_runtime'}!r}); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
