"""The laws of the house: who may import whom, and what stays light."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "motionsynth"

TOP = (
    "cli",
    "catalogue",
    "run",
    "workflow",
    "generation",
    "latent_walks",
    "evaluation",
    "calibration",
    "study",
    "report",
)

# layer -> what it must never import, at any depth of its own source
FORBIDDEN = {
    "motion": ("features", "corpus", "families", "nn", "training", "metrics", "tracking", *TOP),
    "features": ("corpus", "families", "nn", "training", "metrics", "tracking", *TOP),
    "losses": ("motion", "features", "families", "nn", "training", "metrics", "tracking", "theory", *TOP),
    "nn": ("motion", "features", "families", "training", "metrics", "tracking", *TOP),
    "families": ("motion", "features", "training", "metrics", "tracking", "theory", *TOP),
    "corpus": ("nn", "training", "metrics", "tracking", *TOP),
    "training": ("motion", "metrics", "tracking", "view", "cli", "workflow", "generation", "study"),
    "metrics": ("families", "nn", "training", "tracking", "extractors", *TOP),
    "extractors": ("tracking", "view", *TOP),
    "tracking": ("motion", "families", "nn", "training", "metrics", "cli", "workflow", "generation", "study"),
    "theory": (
        "motion",
        "features",
        "corpus",
        "families",
        "nn",
        "training",
        "metrics",
        "extractors",
        "tracking",
        "view",
        *TOP,
    ),
    "report": ("cli", "families", "nn", "training", "tracking", "theory", "catalogue", "run", "workflow", "generation"),
    "evaluation": ("cli", "nn", "training.trainer", "study"),
    "calibration": ("cli", "nn", "training.trainer", "study", "report"),
    "study": ("cli", "nn", "losses", "training.trainer", "report"),
    "view": ("families", "nn", "training", "metrics", "tracking", "theory", *TOP),
}


def imported_modules(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def violations(layer: str, source: str) -> set[str]:
    banned = {f"motionsynth.{name}" for name in FORBIDDEN[layer]}
    return {name for name in imported_modules(source) if any(name == b or name.startswith(b + ".") for b in banned)}


@pytest.mark.parametrize("layer", FORBIDDEN)
def test_imports_run_in_one_direction(layer: str) -> None:
    files = sorted((PACKAGE / layer).rglob("*.py"))
    assert files, f"{layer} has moved"
    found = {str(file): bad for file in files if (bad := violations(layer, file.read_text()))}
    assert not found


def circles(package: Path) -> list[str]:
    """A circle of the files of a package, whatever depth their imports stand at; nothing where there is none."""
    names = {f"motionsynth.{package.name}.{file.stem}": file for file in package.glob("*.py")}
    graph = {name: imported_modules(file.read_text()) & names.keys() - {name} for name, file in names.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_files_of_a_study_import_one_another_in_one_direction() -> None:
    assert circles(PACKAGE / "study") == []


def test_a_circle_is_seen_inside_a_function_too(tmp_path: Path) -> None:
    (tmp_path / "pair").mkdir()
    (tmp_path / "pair" / "a.py").write_text("from motionsynth.pair.b import B\n")
    (tmp_path / "pair" / "b.py").write_text("def f():\n    from motionsynth.pair import a\n")
    assert set(circles(tmp_path / "pair")) == {"motionsynth.pair.a", "motionsynth.pair.b"}


def test_the_import_rule_catches_a_violation() -> None:
    assert violations("motion", "def f():\n    from motionsynth.families import vae\n") == {
        "motionsynth.families",
        "motionsynth.families.vae",
    }


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
