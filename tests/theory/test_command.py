"""``motionsynth theory`` as its user types it, and the document that explains it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from motionsynth.cli.app import run as run_app
from motionsynth.theory import em, registry
from motionsynth.theory.claim import Experiment, Outcome
from motionsynth.theory.registry import EXPERIMENTS, draw_all
from tests.cli.invocation import Invoke, Result

REPOSITORY = Path(__file__).resolve().parents[2]
NOTES = REPOSITORY / "docs" / "notes.md"


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    """Run ``motionsynth theory ARGUMENTS`` in this process."""

    def call(*arguments: object) -> Result:
        monkeypatch.setattr("sys.argv", ["motionsynth", "theory", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            run_app()
        out, err = capsys.readouterr()
        code = left.value.code
        return Result(code if isinstance(code, int) else int(code is not None), out, err)

    return call


def test_the_table_has_a_row_for_each_with_claim_place_error_and_verdict(invoke: Invoke) -> None:
    result = invoke("--only", "second_view")
    assert result.code == 0
    shown = [e for e in EXPERIMENTS if e.name.startswith("second_view/")]
    for found in shown:
        (row,) = [
            line for line in result.out.splitlines() if line.endswith(f" {found.name}") or f" {found.name} " in line
        ]
        assert found.claim.split(" ")[0] in row and f"{found.section} " in row
        assert ("does not hold" in row) == (found.stated == "fails")
    holding = sum(e.stated == "holds" for e in shown)
    assert f"{holding} hold, {len(shown) - holding} do not; all as stated" in result.out
    assert f"{len(shown)}/{len(shown)} experiments" in result.err


def test_a_narrow_terminal_keeps_every_word(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("motionsynth.cli.theory.console", lambda: Console(width=80, highlight=False))
    result = invoke("--only", "proximal")
    lines = result.out.splitlines()
    assert result.code == 0 and max(map(len, lines)) <= 80
    for found in (e for e in EXPERIMENTS if e.name.startswith("proximal/")):
        assert any(line.startswith(f"{found.name} ") for line in lines)
    assert "…" not in result.out and "does not" in result.out


def test_json_is_for_programs(invoke: Invoke) -> None:
    result = invoke("--only", "em/monotone", "--only", "monotone_hard", "--json")
    assert result.code == 0
    holds, fails = json.loads(result.out)
    assert (holds["name"], holds["holds"], holds["stated"], holds["as_stated"]) == ("em/monotone", True, "holds", True)
    assert (fails["name"], fails["holds"], fails["stated"], fails["as_stated"]) == (
        "em/monotone_hard",
        False,
        "fails",
        True,
    )
    assert holds["margin"] is None and fails["error"] >= fails["margin"] > fails["tolerance"]
    assert holds["error"] <= holds["tolerance"] < fails["error"] and "nats" in fails["detail"]


def test_an_unknown_name_exits_with_2_the_names_and_the_nearest(invoke: Invoke) -> None:
    result = invoke("--only", "wakesleep")
    assert result.code == 2 and not result.out
    assert result.err.startswith("error: --only: no experiment 'wakesleep'; did you mean wake_sleep? known: em (")
    assert result.err.count("\n") == 1


def test_a_row_that_is_not_as_stated_exits_with_1(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Outcome:
        """EM's bound is broken."""
        return Outcome(0.5, detail="half a nat")

    row = Experiment("em/broken", "b", "EM", broken)
    monkeypatch.setattr(registry, "EXPERIMENTS", (*em.EXPERIMENTS[:1], row))
    result = invoke()
    assert result.code == 1
    assert "does not hold, against what is stated" in result.out and "em/broken should hold: half a nat" in result.out
    assert "1 hold, 1 do not; 1 not as stated" in result.out
    assert invoke("--only", "joint_kl").code == 0


def test_figures_are_those_of_the_document(invoke: Invoke, tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"
    assert invoke("--only", "em/joint_kl", "--figures", folder).code == 0
    made = {file.name for file in folder.iterdir()}
    assert made == {f"{drawing.name}.svg" for drawing in draw_all()}
    assert made == {file.name for file in (REPOSITORY / "docs" / "notes").iterdir()}
    assert made == set(re.findall(r"\]\(notes/(\w+\.svg)\)", NOTES.read_text()))
    for file in folder.iterdir():
        root = ElementTree.fromstring(file.read_text())
        assert root.attrib["role"] == "img" and len(root.attrib["aria-label"]) > 40
        paths = (element.get("d", "") for element in root.iter() if element.tag.endswith("path"))
        assert not any("nan" in path for path in paths)


def test_a_file_in_the_place_of_the_folder_is_refused_before_the_work(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    result = invoke("--figures", tmp_path / "taken")
    assert result.code == 2 and "taken" in result.err and "experiments" not in result.err
    assert (tmp_path / "taken").read_text() == "mine"


def test_help_has_an_example(invoke: Invoke) -> None:
    assert "Example" in invoke("--help").out


def test_help_loads_no_tensors() -> None:
    code = "import sys; from motionsynth.cli import theory; print('torch' in sys.modules, 'scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_every_experiment_stands_in_the_document_once_with_its_claim_and_verdict() -> None:
    rows = [line for line in NOTES.read_text().splitlines() if re.search(r"\| `[a-z_]+/\w+` \|", line)]
    verdicts = {"holds": "holds", "fails": "does not hold"}
    wanted = [f"| {e.claim} | `{e.name}` | {verdicts[e.stated]} |" for e in EXPERIMENTS]
    assert sorted(row.replace("\\|", "|") for row in rows) == sorted(wanted)


def test_the_document_tells_where_each_group_is_and_how_to_run_it() -> None:
    text = NOTES.read_text()
    for group in {e.name.split("/")[0] for e in EXPERIMENTS}:
        assert f"](../motionsynth/theory/{group}.py)" in text and f"motionsynth theory --only {group}`" in text


def test_paths_in_the_document_exist() -> None:
    text = NOTES.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert len(links) > 20
    missing = [link for link in links if not (NOTES.parent / link).exists()]
    assert not missing
