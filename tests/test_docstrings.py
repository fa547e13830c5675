"""Docstrings begin with a noun or a verb, so that lists of them can be searched."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "motionsynth"
REFUSED = {
    *("What", "How", "Which", "Whether", "Why", "Where", "When", "Who", "That", "Of"),
    *("None", "No", "Yes", "As", "Say", "Tell"),
}
NOT_YET = ("study", "tracking", "report/study")
"""Folders that still hold such docstrings."""


def texts(tree: ast.AST) -> Iterator[ast.Constant]:
    """Docstrings of modules, classes, functions and attributes, but for the claims of experiments, which are shown."""
    for node in ast.walk(tree):
        if any("experiment" in ast.unparse(decorator) for decorator in getattr(node, "decorator_list", ())):
            continue
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            match statement:
                case ast.Expr(value=ast.Constant(value=str()) as text):
                    yield text


def refused(source: str) -> list[str]:
    """Docstrings that begin with one of these words, with their lines."""
    found = []
    for text in texts(ast.parse(source)):
        first, *_ = str(text.value).split() or [""]
        if first.rstrip(",:;.") in REFUSED:
            found.append(f"{text.lineno}: {text.value}")
    return found


def test_docstrings_begin_with_a_noun_or_a_verb() -> None:
    files = [file for file in PACKAGE.rglob("*.py") if not any(PACKAGE / name in file.parents for name in NOT_YET)]
    assert len(files) > 200
    assert not {str(file): bad for file in files if (bad := refused(file.read_text(encoding="utf-8")))}


def test_each_kind_of_docstring_is_seen() -> None:
    source = (
        '"""What a module holds."""\n'
        "class Clip:\n"
        '    """Which motion."""\n'
        "    frames: int\n"
        '    """None: no frames."""\n'
        "    def length(self):\n"
        '        """As seconds, whichever rate."""\n'
        "def whole():\n"
        '    """Whole clips, whatever they show."""\n'
        '@experiment("a", "b")\n'
        "def claim():\n"
        '    """Where p = q the loss is zero."""\n'
    )
    assert [line.partition(":")[0] for line in refused(source)] == ["1", "3", "5", "7"]
