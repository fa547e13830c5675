"""YAML is read as plain values within bounds, each key with its line, and what is written reads back."""

from __future__ import annotations

import os
import time
import tracemalloc
from pathlib import Path

import pytest
import yaml

from motionsynth.errors import ConfigError
from motionsynth.yaml_files import dump_yaml, parse_value, read_yaml

PACKAGE = Path(__file__).parents[1] / "motionsynth"
BOMB = Path(__file__).parent / "fixtures" / "faults" / "hostile" / "config_yaml_bomb.yaml"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.yaml"


@pytest.mark.parametrize("aliases", [False, True])
def test_a_bomb_is_refused_at_once_and_takes_no_memory(aliases: bool) -> None:
    read_yaml(PACKAGE.parent / "configs" / "calibration.yaml")  # what is imported once is no cost of the bomb
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(ConfigError, match=r"config_yaml_bomb\.yaml:\d+: (&a: anchors|holds more than 100,000)"):
            read_yaml(BOMB, aliases=aliases)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 << 20
    assert time.process_time() - began < 5, "a second, and several under the tracer on a busy machine"


WRONG = {
    "a: 1\nb: !!int x\n": "2: !!int: tags are not read",
    "a: !!python/object/apply:os.system [x]\n": "1: !!python/object/apply:os.system: tags are not read",
    "a: ! x\n": "1: !: tags are not read",
    "a: [x, &name y]\n": "1: &name: anchors and aliases are not read",
    "a: *name\n": "1: *name: anchors and aliases are not read",
    "a: {<<: {b: 1}}\n": "1: <<: merges are not read",
    "a: 1\nb: {c: 1, c: 2}\n": "2: not valid YAML: the key c stands on line 2 already",
    f"a: {'9' * 5000}\n": "1: 99999999999999999999… is beyond the integers",
    f"a: {2**63}\n": "1: 9223372036854775808 is beyond the integers",
    f"a: {'[' * 40}{']' * 40}\n": "1: is nested more than 32 deep",
    "a:\n- " + "[]," * 5: "2: not valid YAML",
    f"a: [{'x,' * 100_001}]": "1: holds more than 100,000 values",
    "a: 1\n? [b]\n: c\n": "2: a key must be a word",
    "a: 1\n---\nb: 2\n": "2: holds more than one document",
    'a: "\\ud800"\n': "1: ",
    'a: "\\UFFFFFFFF"\n': "1: not valid YAML",
    'a: 1\nb: "x\\0"\n': "2: holds the character '\\x00'",
    'a: 1\n"b\\nc": 2\n': "2: the key b\\nc holds a character that cannot be printed",
    "a: 1\nb: \x01\n": "2: not valid YAML: control characters",
    f"%YAML 1.{'1' * 5000}\n---\na: 1\n": "1: not valid YAML",
    "": " must be a mapping",
    "- 1\n": " must be a mapping",
    "text": " must be a mapping",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_what_is_refused_is_named_by_its_line(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_yaml(path)
    assert str(refused.value).startswith(f"{path}:{WRONG[text]}")
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "text", ["a: 2026-13-45", f"a: {'9' * 5000}", 'a: "\\UFFFFFFFF"', "a: !!int x", "a: !!float x"]
)
def test_the_plain_reader_of_the_library_fails_on_such_text(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("2026-13-45", "2026-13-45"), ("2026-11-29", "2026-11-29"), ("12:30", "12:30"), ("007", "007"), ("=", "=")),
        *(("2e-4", 2e-4), ("1e3", 1e3), (".5e-3", 5e-4), ("-1.5", -1.5), ("1_000", 1000), ("0x1f", 31), ("-3", -3)),
        *(
            ("yes", True),
            ("off", False),
            ("~", None),
            ("", None),
            ("'1e3'", "1e3"),
            ("nul", "nul"),
            ("on time", "on time"),
        ),
        *(("[1, a]", [1, "a"]), ("{1: 2, null: 3}", {"1": 2, "null": 3})),
    ],
)
def test_words_mean_what_a_reader_expects(text: str, value: object) -> None:
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "1e3",
        ".5",
        "1e5",
        "010",
        "12:30",
        "2026-01-01",
        "on",
        "",
        "~",
        "=",
        "<<",
        "\x85",
        "a\u2028b",
        "\x1b[1m",
        "é",
        "1_0",
    ],
)
def test_text_reads_back_as_it_was(path: Path, text: str) -> None:
    shared = [text, 1e-5]
    document = {"a": text, "b": shared, "c": {"d": shared}}
    path.write_bytes(dump_yaml(document).encode())
    assert read_yaml(path).value == document
    assert all(character.isprintable() or character == "\n" for character in path.read_text())


def test_keys_have_lines_also_where_they_are_repeated(path: Path) -> None:
    path.write_text("a: &a\n  x: 1\n  y: {z: 2}\nb:\n  <<: *a\n  x: 3\nc:\n- 1\n- *a\nd:\n  <<: [{x: 1},\n       *a]\n")
    file = read_yaml(path, aliases=True)
    assert file.value["b"] == {"x": 3, "y": {"z": 2}}
    assert file.value["d"] == {"x": 1, "y": {"z": 2}}
    lines = {("a", "x"): 2, ("b",): 4, ("b", "x"): 6, ("b", "y", "z"): 3, ("c", 0): 8, ("c", 1): 9, ("c", 1, "y"): 3}
    lines |= {("d", "x"): 11, ("d", "y"): 3, ("b", "absent", "more"): 4}
    assert {key: file.line_of(key) for key in lines} == lines
    assert file.line_of(("absent",)) is None
    assert str(file.wrong(("b", "x"), "is wrong")) == f"{path}:6: b.x: is wrong"
    assert str(file.wrong(("e",), "is wrong")) == f"{path}: e: is wrong"
    file.value["b"]["y"]["z"] = 5
    assert file.value["a"]["y"]["z"] == 2, "what is repeated is not shared"


def test_only_a_file_of_text_within_the_limit_is_read(path: Path) -> None:
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        read_yaml(path)
    path.write_text("a: " + "x" * 100)
    with pytest.raises(ConfigError, match="has 103 bytes, more than the 50"):
        read_yaml(path, limit=50)
    with pytest.raises(ConfigError, match="is a folder"):
        read_yaml(path.parent)
    with pytest.raises(ConfigError, match="No such file"):
        read_yaml(path.parent / "absent.yaml")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="is a named pipe"):
        read_yaml(path)


def test_one_module_alone_reads_yaml() -> None:
    importing = {
        file.relative_to(PACKAGE).as_posix() for file in PACKAGE.rglob("*.py") if "import yaml\n" in file.read_text()
    }
    assert importing == {"yaml_files.py"}
