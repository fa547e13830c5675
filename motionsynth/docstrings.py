"""Docstrings that are read by programs, also where Python was told to leave them out (``-OO``)."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from types import ModuleType
from typing import Any

__all__ = ["docstring"]


def docstring(of: Callable[..., Any] | ModuleType) -> str:
    """Docstring of a function or module, from its source where memory has none; empty where there is none at all."""
    if of.__doc__ is not None:
        return inspect.cleandoc(of.__doc__)
    tree = ast.parse(textwrap.dedent(inspect.getsource(of)))
    node = tree if isinstance(of, ModuleType) else tree.body[0]
    assert isinstance(node, ast.Module | ast.FunctionDef)
    return ast.get_docstring(node) or ""
