"""A working folder in which every module that anything might import lies, and leaves a mark when it is run."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["fill_with_modules", "modules_run"]

FIXTURE = Path(__file__).parent / "fixtures" / "faults" / "hostile" / "cwd_hijack"
PACKAGES = (
    *("numpy", "scipy", "torch", "sklearn", "joblib", "cloudpickle", "threadpoolctl", "filelock", "simdjson", "orjson"),
    *("pydantic", "typer", "click", "rich", "bvh", "PIL", "safetensors", "requests", "packaging", "psutil"),
    *("sqlalchemy", "alembic", "uvicorn", "fastapi", "starlette", "flask", "ray", "submitit", "setuptools"),
)
MODULE = """\
open(__file__.rpartition("/")[0] + "/hijacked.txt", "a").write(__name__ + "\\n")
raise ImportError("hijacked")
"""  # nothing is imported, as that would be found here too


def fill_with_modules(folder: Path, *, besides: frozenset[str] = frozenset()) -> None:
    """Put a module of every name of the standard library and of what is depended on into a folder."""
    names = {*sys.stdlib_module_names, *PACKAGES, *(path.stem for path in FIXTURE.glob("*.py"))}
    for name in names - besides:
        (folder / f"{name}.py").write_text(MODULE)


def modules_run(folder: Path) -> str:
    """Names of those that were run; forgets them."""
    mark = folder / "hijacked.txt"
    found = " ".join(sorted(set(mark.read_text().split()))) if mark.exists() else ""
    mark.unlink(missing_ok=True)
    return found
