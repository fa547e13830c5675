"""Files are replaced whole or not at all, by regular files alone, and what a kill leaves is swept."""

from __future__ import annotations

import ast
import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import motionsynth
from motionsynth.errors import BvhError
from motionsynth.files import (
    full_disk,
    new_folder,
    refuse_unwritable,
    remove_folder,
    replacing,
    sweep_temporaries,
    write_bytes,
    write_synced,
)

KINDS = ("device", "pipe", "folder", "link", "dead link", "link to a device")


def irregular(kind: str, path: Path) -> Path:
    """Something of a kind that no output may replace."""
    if "device" in kind:
        device = path if kind == "device" else path.with_name("device")
        try:
            os.mknod(device, 0o666 | 0o020000, os.makedev(1, 7))  # as /dev/full, and never that itself
        except (AttributeError, PermissionError):
            pytest.skip("devices can be made by root alone")
        if device != path:
            path.symlink_to(device)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        if kind == "link":
            path.with_name("target").write_bytes(b"before")
        path.symlink_to(path.with_name("target"))
    return path


def state(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Content of a folder: mode, device and content by name, links as themselves."""
    found = {}
    for path in folder.iterdir():
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[path.name] = (status.st_mode, status.st_rdev, content)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_a_regular_file_is_replaced(tmp_path: Path, kind: str) -> None:
    path = irregular(kind, tmp_path / "out")
    before = state(tmp_path)
    with pytest.raises(OSError, match="not a file") as caught:
        write_bytes(path, b"new")
    assert caught.value.errno in (errno.EINVAL, errno.EISDIR) and caught.value.filename == str(path)
    with pytest.raises(OSError, match="not a file"):
        refuse_unwritable(tmp_path, "other", "out")
    assert state(tmp_path) == before


@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_without_the_refusal_it_would_be_replaced(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = irregular(kind, tmp_path / "out")
    monkeypatch.setattr("motionsynth.files.refuse_irregular", lambda path: None)
    write_bytes(path, b"new")
    assert path.is_file()


@pytest.mark.parametrize("kind", ["device", "pipe", "link", "dead link"])
def test_a_new_folder_takes_the_place_of_nothing_else(tmp_path: Path, kind: str) -> None:
    path = irregular(kind, tmp_path / "out")
    before = state(tmp_path)
    with pytest.raises(NotADirectoryError) as caught, new_folder(path) as folder:
        write_synced(folder / "a", b"a")
    assert ".tmp" not in str(caught.value)
    assert state(tmp_path) == before


def full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def break_file(path: Path, error: BaseException, size: int | None = None) -> None:
    with replacing(path, size=size) as file:
        file.write(b"new")
        raise error


def break_folder(path: Path, error: BaseException) -> None:
    with new_folder(path) as folder:
        write_synced(folder / "a", b"a")
        raise error


@pytest.mark.parametrize("error", [full(), ValueError("no"), KeyboardInterrupt()])
def test_what_breaks_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    (tmp_path / "out").write_bytes(b"old")
    for broken, name in ((break_file, "out"), (break_folder, "folder")):
        with pytest.raises(type(error)):
            broken(tmp_path / name, error)
    assert state(tmp_path).keys() == {"out"} and (tmp_path / "out").read_bytes() == b"old"


def test_a_full_disk_names_place_and_room(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No space left on device: 1,234 bytes to write, [0-9,]+ free") as caught:
        break_file(tmp_path / "out", full(), size=1234)
    assert full_disk(caught.value) is caught.value
    assert caught.value.filename == str(tmp_path / "out")


def break_clip(path: Path) -> None:
    """As a writer of BVH files breaks, which knows the path that it was given."""
    try:
        break_file(path, full())
    except OSError as error:
        raise BvhError(path, None, "cannot be written") from error


def test_an_error_made_of_one_of_a_temporary_place_names_the_place(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space") as caught, new_folder(tmp_path / "corpus") as folder:
        break_clip(folder / "walk.bvh")
    assert caught.value.filename == str(tmp_path / "corpus" / "walk.bvh")
    assert full_disk(caught.value)


def test_other_errors_stay_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError) as caught, replacing(tmp_path / "out"):
        raise ConnectionError("gone")
    assert caught.value.filename is None and full_disk(caught.value) is None


def killed(code: str) -> None:
    """Run code that kills its own process."""
    preamble = "import os\nfrom pathlib import Path\nfrom motionsynth.files import *\n"
    done = subprocess.run([sys.executable, "-c", preamble + code], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL


KILL = "os.kill(os.getpid(), 9)"


def test_what_killed_writers_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    run, beside = tmp_path / "runs" / "vae", tmp_path / "runs"
    (run / "samples" / "real").mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for path in (run / "weights.safetensors", run / "samples" / "real" / "0000.bvh", elsewhere / "page.html"):
        killed(f"with replacing({str(path)!r}) as file: file.write(b'half'); {KILL}")
    for path in (run, run / "checkpoints" / "30", beside / "gan"):
        killed(f"with new_folder({str(path)!r}) as folder: (folder / 'a').write_bytes(b'half'); {KILL}")
    (run / "linked").symlink_to(elsewhere)
    kept = {
        run / ".mine.tmp",
        run / "notes.tmp",
        run / f".scores.json.{os.getppid()}.0123456789abcdef.tmp",  # of a process that is there
        run / "samples" / ".clip.bvh.1.tmp",
        *beside.glob(".gan*"),
        *elsewhere.iterdir(),
    }
    for path in kept:
        if not path.exists():
            path.write_bytes(b"kept")
    assert len(kept) == 6
    sweep_temporaries(run)
    sweep_temporaries(beside, of="vae")
    assert set(tmp_path.rglob("*.tmp")) == kept


@pytest.mark.parametrize("write", [lambda p: write_bytes(p, b"x"), lambda p: remove_folder(_made(p))])
def test_names_as_long_as_a_system_takes(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / ("步" * 83))


def _made(path: Path) -> Path:
    path.mkdir()
    return path


WRITING = {
    "write_text",
    "savefig",
    "savez",
    "savez_compressed",
    "mkstemp",
    "NamedTemporaryFile",
    "copyfile",
    "copytree",
}
INTO_MEMORY = {"report/svg.py": {"savefig"}, "study/clips.py": {"savez_compressed"}, "walkers/fit.py": {"savez"}}
"""Called on a buffer, whose content then goes through ``write_bytes``."""
BY_THEMSELVES = {"files.py", "training/journal.py", "corpus/cache.py", "tracking/feeder.py"}
"""The writers themselves; the journal, which is appended to; what is written into a new temporary folder or file."""


def writers(source: str) -> set[str]:
    """Calls by which a module writes files without ``motionsynth.files``."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        words = [a.value for a in (*node.args, *(k.value for k in node.keywords)) if isinstance(a, ast.Constant)]
        if name in WRITING or (name == "write_bytes" and isinstance(node.func, ast.Attribute)):
            found.add(name)
        if name == "open" and any(isinstance(w, str) and re.fullmatch(r"[wax]b?\+?|[rb]+\+", w) for w in words):
            found.add("open")
    return found


def test_every_writer_of_the_package_goes_through_one_module() -> None:
    package = Path(motionsynth.__file__).parent
    for path in package.rglob("*.py"):
        name = path.relative_to(package).as_posix()
        if name not in BY_THEMSELVES:
            assert writers(path.read_text()) <= INTO_MEMORY.get(name, set()), name


def test_a_writer_of_its_own_is_found() -> None:
    assert writers("p.write_text('a')\nopen(p, 'wb')\np.open(mode='x')\np.write_bytes(b'')\nopen(p, 'rb')") == {
        "write_text",
        "open",
        "write_bytes",
    }
