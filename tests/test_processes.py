"""No process that is started here imports a module from the working folder, which may be a corpus from anywhere."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from motionsynth import processes
from tests.hostile import fill_with_modules, modules_run

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    fill_with_modules(folder)
    return folder


POOLS = """
import contextlib, os, sys
from functools import partial
from pathlib import Path

from motionsynth import processes

kind, guarded = sys.argv[1], sys.argv[2] == "guarded"
if guarded:
    os.environ["PYTHONPATH"] = os.pathsep + os.environ["PYTHONPATH"]  # which shells leave behind
else:
    processes._safe_path = lambda: {}


def workers():
    from motionsynth.study.workers import LocalWorkers
    with LocalWorkers(2) as engine:
        assert engine.submit(pow, 2, 3).result() == 8


def calibration():
    from types import SimpleNamespace
    from motionsynth.calibration import calibrate
    calibrate._start, calibrate._measure = id, repr  # what workers do is not the matter, and would take seconds
    assert len(list(calibrate.measure_doses(None, None, [SimpleNamespace(kind="none")] * 2, jobs=2))) == 2


def reading():
    from motionsynth.corpus import reading
    reading._SERIAL_BYTES = -1
    names = [str(n) for n in range(16)]
    assert list(reading.over_files(os.path.join, Path("/x"), names, workers=2)) == [f"/x/{n}" for n in names]


if __name__ == "__main__":
    globals()[kind]()
"""


def start_pool(kind: str, guard: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Start processes of a kind from a script elsewhere, in the folder."""
    script = folder.parent / "pools.py"
    script.write_text(POOLS)
    return subprocess.run(
        [sys.executable, str(script), kind, guard],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("kind", ["workers", "calibration", "reading"])
def test_processes_that_work_import_nothing_from_the_working_folder(kind: str, hostile: Path) -> None:
    done = start_pool(kind, "guarded", hostile)
    assert done.returncode == 0, done.stderr
    assert not modules_run(hostile)


@pytest.mark.parametrize("kind", ["workers", "reading"])
def test_they_would_without_the_guard(kind: str, hostile: Path) -> None:
    start_pool(kind, "unguarded", hostile)
    assert modules_run(hostile)


def test_jobs_of_slurm_are_guarded_where_no_environment_arrives(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    from motionsynth.study.on_slurm import SlurmEngine

    engine = SlurmEngine(1, cluster="local", logs=tmp_path)
    assert f"{sys.executable} -P -u -m submitit.core._submit" in engine._executor._executor._submitit_command_str


def test_the_command_line_imports_nothing_from_the_working_folder(tmp_path: Path) -> None:
    def run(module: str, folder: Path) -> str:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-m", module]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False).stdout

    (clean := tmp_path / "clean").mkdir()
    (clean / "nothing.py").write_text("import sys; print(*sys.modules)")
    (hostile := tmp_path / "hostile").mkdir()
    # what Python has loaded before it comes to any package is beyond us: hence `motionsynth` rather than `python -m`
    fill_with_modules(hostile, besides=frozenset(run("nothing", clean).split()))
    assert "Usage" in run("motionsynth", hostile) and not modules_run(hostile)
    run("mlflow", hostile)
    assert modules_run(hostile), "a command without that care"


@pytest.mark.parametrize(
    ("pythonpath", "stays"),
    [("", False), (os.pathsep, False), ("/elsewhere", False), (".", True), ("{folder}", True), ("/x:{folder}", True)],
)
def test_a_working_folder_that_is_named_stays_on_the_path(
    pythonpath: str, stays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from motionsynth import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", pythonpath.format(folder=tmp_path))
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), *sys.path])
    cli._leave_working_folder()
    assert (str(tmp_path) in sys.path) is stays and os.environ["PYTHONSAFEPATH"] == "1"
    named = processes.child_environment()["PYTHONPATH"].split(os.pathsep)
    assert named[0] == str(REPOSITORY) and (str(tmp_path) in named) is stays and "" not in named


def test_the_environment_is_as_it_was_after_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.setenv("PYTHONPATH", ":x")
    before = dict(os.environ)
    with processes.safe_children():
        assert os.environ["PYTHONSAFEPATH"] == "1" and os.environ["PYTHONPATH"].startswith(str(REPOSITORY))
    assert dict(os.environ) == before


STARTS = {"Popen", "ProcessPoolExecutor", "Parallel", "AutoExecutor", "check_call", "check_output", "spawnv", "execv"}
GIT_ALONE = {"provenance.py"}


def starts(source: str) -> bool:
    """Test whether a module starts processes."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.rpartition(".")[2] in STARTS or called in ("subprocess.run", "ray.init", "context.Process"):
                return True
    return False


def test_whatever_starts_a_process_goes_through_the_one_module_for_that() -> None:
    package = REPOSITORY / "motionsynth"
    found = {str(path.relative_to(package)): path.read_text() for path in package.rglob("*.py")}
    starting = {name for name, source in found.items() if starts(source)}
    assert starting >= {
        "tracking/feeder.py",
        "tracking/ui.py",
        "study/on_ray.py",
        "study/on_slurm.py",
        "study/workers.py",
    }
    assert {name for name in starting - GIT_ALONE if "from motionsynth.processes import" not in found[name]} == set()
    assert starts("import subprocess\nsubprocess.Popen(['python'])")
