"""The laws of the house: who may import whom, and what stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "motionsynth"

# from what people type down to arithmetic: a layer imports those below it only, in functions and for types too
LAYERS = (
    ("__main__",),
    ("cli",),
    ("report.study",),
    ("study",),
    ("evaluation", "report.calibration"),
    ("calibration", "report.evaluation"),
    ("comparison",),
    ("catalogue", "extractors", "runs"),
    ("training",),
    ("config", "walkers"),
    ("families", "report"),
    ("corpus", "metrics", "tracking"),
    ("features", "output", "run_files", "settings", "view"),
    ("array_files", "hashes", "journal_rows", "motion", "packed_files", "tensor_files", "theory", "yaml_files"),
    ("docstrings", "errors", "files", "losses", "nn", "printable", "processes", "progress", "provenance"),
)
HEIGHT = {name: -number for number, names in enumerate(LAYERS) for name in names}

# layer -> what lies below it and is none of its business
FORBIDDEN = {
    "calibration": ("nn", "report", "training.trainer"),
    "corpus": ("nn", "theory", "view"),
    "evaluation": ("nn", "training.trainer"),
    "extractors": ("tracking", "view"),
    "families": ("metrics", "motion", "theory", "tracking", "view"),
    "metrics": ("nn", "theory", "view"),
    "report": ("nn", "theory", "tracking"),
    "study": ("losses", "nn", "report", "training.trainer"),
    "theory": ("motion", "nn"),
    "tracking": ("motion", "nn"),
    "training": ("metrics", "motion", "theory", "tracking", "view"),
    "view": ("nn", "theory"),
}

MODULES = {
    ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): file
    for file in PACKAGE.rglob("*.py")
    if file != PACKAGE / "__init__.py"  # the public names, which are imported where they are first used
}


def imported_modules(source: str) -> set[str]:
    """Modules of the package that a source imports anywhere, by their names after ``motionsynth.``."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name.removeprefix("motionsynth.") in MODULES else node.module for name in inside}
    return {name.removeprefix("motionsynth.") for name in names} & MODULES.keys()


def layer_of(module: str) -> str:
    found = [name for name in HEIGHT if module == name or module.startswith(f"{name}.")]
    assert found, f"{module} stands in no layer"
    return max(found, key=len)


def violations(module: str, source: str) -> set[str]:
    """What a module imports from beside or above its layer, or from where it has no business."""
    layer = layer_of(module)
    used = imported_modules(source)
    up = {name for name in used if layer_of(name) != layer and HEIGHT[layer_of(name)] >= HEIGHT[layer]}
    banned = FORBIDDEN.get(layer, ())
    return up | {name for name in used if any(name == b or name.startswith(f"{b}.") for b in banned)}


def circles(arrows: dict[str, set[str]]) -> list[str]:
    """Nodes of a graph on a way that leads from a circle to a circle; empty where it has none."""
    left = {node: set(to) for node, to in arrows.items()}
    while ends := [
        n for n, to in left.items() if not to & left.keys() or not any(n in others for others in left.values())
    ]:
        for node in ends:
            del left[node]
    return sorted(left)


@pytest.mark.parametrize("layer", HEIGHT)
def test_imports_go_down(layer: str) -> None:
    modules = [module for module in MODULES if layer_of(module) == layer]
    assert modules, f"{layer} has moved"
    assert not {module: bad for module in modules if (bad := violations(module, MODULES[module].read_text()))}


def test_no_files_import_one_another_in_a_circle() -> None:
    arrows = {module: imported_modules(file.read_text()) - {module} for module, file in MODULES.items()}
    assert not circles(arrows)


def test_the_rules_catch_what_breaks_them() -> None:
    up = "def f():\n    from motionsynth.families import vae\n"
    assert violations("motion.clip", up) == {"families.vae"}
    assert violations("training.trainer", up) == set()
    banned = "from motionsynth.metrics.kid import kid"
    assert violations("training.trainer", banned) == {"metrics.kid"}
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["b", "c"]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("statement", ["import motionsynth", "import motionsynth.cli.app"])
def test_heavy_packages_stay_unloaded(statement: str) -> None:
    heavy = ("torch", "mlflow", "scipy", "sklearn", "pytorch3d", "PIL", "numpy", "pydantic")
    code = f"{statement}; import sys; print([m for m in {heavy!r} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


def test_functions_and_files_stay_short() -> None:
    long_files = {str(f): n for f in PACKAGE.rglob("*.py") if (n := len(f.read_text().splitlines())) > 380}
    long_functions = {
        f"{file}:{node.name}": length
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - (node.body[0].end_lineno or 0)) > 50
    }
    assert not long_files
    assert not long_functions
