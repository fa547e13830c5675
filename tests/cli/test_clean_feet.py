"""What leaves has feet that stand, unless raw motion is asked for; `data clean-feet` does it to any file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from motionsynth import open_run, read_bvh, write_bvh
from motionsynth.corpus.corpus import open_corpus
from motionsynth.motion import feet
from motionsynth.motion.clip import Clip
from motionsynth.runs import export, generation
from tests.cli.invocation import Invoke
from tests.motion.test_feet import planted_speed, sliding


@pytest.fixture
def cleaned(monkeypatch: pytest.MonkeyPatch) -> list[Clip]:
    """Clips that are cleaned from now on."""
    seen: list[Clip] = []
    real = feet.clean_feet

    def counting(clip: Clip) -> Clip:
        seen.append(clip)
        return real(clip)

    for module in (feet, export):
        monkeypatch.setattr(module, "clean_feet", counting)
    return seen


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("generate", "-n", 2), 2),
        (("interpolate", "--seeds", 0, 1, "-n", 3), 3),
        (("traverse", "--code", 0, "-n", 2), 2),
        (("reconstruct",), 1),
    ],
)
def test_what_is_exported_is_cleaned_unless_raw_is_asked_for(
    invoke: Invoke, vae: Path, corpus: Path, tmp_path: Path, cleaned: list[Clip], words: tuple[object, ...], count: int
) -> None:
    command, *options = words
    arguments = [command, vae, *options, *([min(corpus.glob("walk_*.bvh"))] if command == "reconstruct" else [])]
    assert invoke(*arguments, "--out", tmp_path / "a").code == 0
    assert len(cleaned) == count
    assert invoke(*arguments, "--out", tmp_path / "b", "--raw-feet").code == 0
    assert len(cleaned) == count


def test_the_library_exports_raw_motion(invoke: Invoke, vae: Path, tmp_path: Path, cleaned: list[Clip]) -> None:
    paths = generation.generate(vae, 2, out=tmp_path / "library")
    assert not cleaned
    assert invoke("generate", vae, "-n", 2, "--raw-feet", "--out", tmp_path / "cli").code == 0
    assert [path.read_bytes() for path in paths] == [(tmp_path / "cli" / path.name).read_bytes() for path in paths]


def test_samples_of_a_run_are_cleaned_and_real_clips_beside_them_are_not(
    vae: Path, tmp_path: Path, cleaned: list[Clip]
) -> None:
    run = open_run(shutil.copytree(vae, tmp_path / "run"))
    generation.keep_samples(run, open_corpus(run.data))
    assert len(cleaned) == generation.SHOWN
    assert len(list(run.samples_path.rglob("*.bvh"))) == 2 * generation.SHOWN


def test_a_motion_without_legs_is_exported_as_it_is(
    invoke: Invoke, vae: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invoke("generate", vae, "-n", 2, "--raw-feet", "--out", tmp_path / "raw").code == 0
    for module in (feet, export):
        monkeypatch.setattr(module, "find_legs", lambda skeleton: ())
    result = invoke("generate", vae, "-n", 2, "--out", tmp_path / "out")
    assert result.code == 0 and result.err.count("no leg is found") == 1
    same = [(tmp_path / folder / "0001.bvh").read_bytes() for folder in ("raw", "out")]
    assert same[0] == same[1]
    assert "no leg" not in invoke("generate", vae, "-n", 2, "--raw-feet", "--out", tmp_path / "again").err


@pytest.fixture
def folder(corpus: Path, tmp_path: Path) -> Path:
    """Two clips that slide, and their labels."""
    place = tmp_path / "sliding"
    place.mkdir()
    for path in sorted(corpus.glob("walk_normal_*.bvh"))[:2]:
        write_bvh(sliding(read_bvh(path), 30.0), place / path.name)
    shutil.copy(corpus / "labels.csv", place)
    return place


def test_clean_feet_is_convert_by_another_name(invoke: Invoke, folder: Path, tmp_path: Path) -> None:
    source = min(folder.glob("*.bvh"))
    result = invoke("data", "clean-feet", source, "--out", tmp_path / "a.bvh")
    assert (result.code, result.out.strip()) == (0, str(tmp_path / "a.bvh"))
    assert invoke("data", "convert", source, tmp_path / "b.bvh", "--clean-feet").code == 0
    assert (tmp_path / "a.bvh").read_bytes() == (tmp_path / "b.bvh").read_bytes()
    assert invoke("data", "convert", source, tmp_path / "raw.bvh").code == 0
    raw, held = (planted_speed(read_bvh(tmp_path / name)) for name in ("raw.bvh", "a.bvh"))
    assert raw > 25 > 10 > held


def test_folders_and_files_get_places_of_their_own(invoke: Invoke, folder: Path, tmp_path: Path) -> None:
    out, names = tmp_path / "out", sorted(path.name for path in folder.glob("*.bvh"))
    assert invoke("data", "clean-feet", folder, "--out", out).code == 0
    assert (out / "labels.csv").read_text().count("\n") == 1 + len(names)
    several = ("data", "clean-feet", folder, folder / names[0], "--out", tmp_path / "several")
    assert invoke(*several).code == 0
    placed = sorted(str(path.relative_to(tmp_path / "several")) for path in (tmp_path / "several").rglob("*.bvh"))
    assert placed == sorted([names[0], *(f"sliding/{name}" for name in names)])
    assert (tmp_path / "several" / "sliding" / "labels.csv").read_bytes() == (out / "labels.csv").read_bytes()
    refused = invoke(*several)
    assert refused.code == 2 and "is not empty" in refused.err
    assert invoke(*several, "--overwrite").code == 0
    inside = invoke("data", "clean-feet", folder, folder / names[0], "--out", folder / "x")
    assert inside.code == 2 and "lies inside" in inside.err and not (folder / "x").exists()


def test_nothing_is_written_where_a_file_is_bad_and_legless_ones_are_named(
    invoke: Invoke, folder: Path, tmp_path: Path
) -> None:
    source, bad, pawed = min(folder.glob("*.bvh")), tmp_path / "bad.bvh", tmp_path / "pawed.bvh"
    bad.write_text("HIERARCHY\n")
    pawed.write_text(source.read_text().replace("Foot", "Paw"))
    words = ("data", "clean-feet", source, bad, pawed, "--out", tmp_path / "out")
    stopped = invoke(*words)
    assert stopped.code == 2 and str(bad) in stopped.err and not (tmp_path / "out").exists()
    skipped = invoke(*words, "--on-bad-file", "skip")
    assert skipped.code == 0 and f"skipped {bad}" in skipped.err
    assert skipped.err.count("pawed.bvh: no leg is found") == 1
    assert (read_bvh(tmp_path / "out" / "pawed.bvh").positions() == read_bvh(pawed).positions()).all()
