"""A path of any command may begin with ``~``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from motionsynth.cli.app import app
from motionsynth.cli.commands import Commands

FAULTS = Path(__file__).parents[1] / "fixtures" / "faults"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder; the working folder is another."""
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    return tmp_path / "home"


def groups(group: typer.Typer) -> Iterator[typer.Typer]:
    yield group
    for below in group.registered_groups:
        assert below.typer_instance is not None
        yield from groups(below.typer_instance)


def test_every_group_gives_its_commands_paths_from_home() -> None:
    assert len(list(groups(app))) > 4
    assert all(isinstance(group, Commands) for group in groups(app))


@pytest.mark.parametrize("group", [Commands, typer.Typer])
def test_arguments_options_and_lists_are_put_right(group: type[typer.Typer], home: Path) -> None:
    commands, given = group(), list[object]()

    @commands.command()
    def show(
        file: Path,
        more: list[Path],
        out: Annotated[Path | None, typer.Option()] = None,
        label: Annotated[str, typer.Option()] = "~/label",
        again: Annotated[list[Path] | None, typer.Option()] = None,
    ) -> None:
        """Show what is given."""
        given.extend([file, *more, out, label, *(again or ())])

    words = ["~/a", "~/b", "c~", "--out=~/d", "--label", "~x", "--again", "~/e", "--again", "~nobody-at-all/f"]
    result = CliRunner().invoke(commands, words)
    assert result.exit_code == 0, result.output
    if group is typer.Typer:
        assert given[0] == Path("~/a"), "without the guard it is a folder called ~"
        return
    assert given == [*(home / "a", home / "b", Path("c~"), home / "d", "~x", home / "e"), Path("~nobody-at-all/f")]


def test_commands_read_and_write_below_home(home: Path) -> None:
    (home / "mocap").mkdir()
    (home / "mocap" / "take.bvh").write_bytes((FAULTS / "tiny_angles.bvh").read_bytes())
    runner = CliRunner()
    for words in (
        ["data", "convert", "~/mocap/take.bvh", "~/out.bvh"],
        ["view", "~/mocap/take.bvh", "--out=~/page.html"],
        ["data", "inspect", "~/mocap"],
    ):
        result = runner.invoke(app, words)
        assert result.exit_code == 0, (words, result.output, result.exception)
    assert (home / "out.bvh").is_file()
    assert (home / "page.html").is_file()
    for words in (["--data=~/mocap"], ["--data", str(FAULTS / "tilde.yaml")], ["--set", "data.path=~/mocap"]):
        result = runner.invoke(app, ["train", "vae", *words, "--dry-run"])
        assert f"path: {home / 'mocap'}\n" in result.output
    assert list(Path().iterdir()) == [], "no folder called ~"


def test_a_run_is_kept_below_home_and_found_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[Path | None] = []
    monkeypatch.setattr("motionsynth.runs.train.train", lambda *_, run_dir, **__: places.append(run_dir) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(app, ["train", "vae", "--run-dir", "~/x"], catch_exceptions=False)
    assert places == [home / "x"]
    result = CliRunner().invoke(app, ["runs", "show", "~/x"])
    assert str(home / "x") in str(result.exception)


def test_clips_of_a_study_lie_below_home(home: Path) -> None:
    (home / "study.yaml").write_text(
        "name: small\nquestion: Where?\ncorpora: {one: {data: {path: clips}}}\narms: {real: {landmark: real}}\n"
        "measure: {count: 16, metrics: [smoothness]}\n"
    )
    words = ["study", "run", "~/study.yaml", "--data", "one=~/mocap"]
    result = CliRunner().invoke(app, words)
    assert f"{home / 'mocap'} is not there" in str(result.exception)
