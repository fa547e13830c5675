"""Files that others hand over beside runs, with damage: extractors, calibrations, study results and their clips."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import lzma
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionsynth.array_files import read_arrays
from motionsynth.calibration.record import load_calibration
from motionsynth.corpus.shape import MotionShape
from motionsynth.errors import MotionSynthError
from motionsynth.extractors.networks import Networks
from motionsynth.extractors.store import _header_hash, load_extractor
from motionsynth.families.ae import Autoencoder
from motionsynth.files import parse_json
from motionsynth.study.clips import keep_clips, read_clips
from motionsynth.study.results import PACK, pack_results, read_result, read_results, save_result
from tests.damage import (
    MOST_MIB,
    damaged_bytes,
    damaged_document,
    damaged_json,
    forget_peak,
    in_time,
    peak_mib,
)
from tests.evaluation import worlds
from tests.study.made_up import walker_motions

COUNT = 300
DOCS = Path(__file__).resolve().parents[1] / "docs"


def survey(path: Path, read: Callable[[Path], Any], fit: Callable[[bytes], bytes] = bytes) -> Counter[str]:
    """Damage a file again and again; what came of it, counted."""
    whole, chance, seen = path.read_bytes(), random.Random(path.name), Counter[str]()
    document = json.loads(whole) if path.suffix == ".json" else None
    forget_peak()
    before = peak_mib()
    for _ in range(COUNT):
        deep = document is not None and chance.random() < 0.7
        content = damaged_json(damaged_document(document, chance)) if deep else damaged_bytes(whole, chance)
        path.write_bytes(fit(content))
        try:
            with in_time():
                read(path)
            seen["read"] += 1
        except MotionSynthError as error:
            seen["refused" if "\n" not in str(error) and len(str(error)) < 1000 else str(error)] += 1
    assert peak_mib() - before < MOST_MIB
    path.write_bytes(whole)
    return seen


def unpacked(folder: Path) -> list[Path]:
    """Cells of a published study as single files, in the order of their keys."""
    found = read_results(DOCS / "results" / "style")
    return [save_result(found[key], folder) for key in sorted(found)]


def test_results_of_studies(tmp_path: Path) -> None:
    seen = survey(unpacked(tmp_path)[0], read_result)
    assert set(seen) == {"refused", "read"} and seen["refused"] > COUNT / 3


def test_a_result_of_another_cell_is_refused(tmp_path: Path) -> None:
    shutil.copy(unpacked(tmp_path)[0], tmp_path / ("0" * 16 + ".json"))
    with pytest.raises(MotionSynthError, match="the result of another cell"):
        read_result(tmp_path / ("0" * 16 + ".json"))


def test_packed_results_are_the_single_ones(tmp_path: Path) -> None:
    """Packing twice gives the same bytes, and a single file beside the pack is the newer of the two."""
    places = unpacked(tmp_path)
    singles = read_results(tmp_path)
    packed = pack_results(tmp_path).read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [PACK] and read_results(tmp_path) == singles
    assert packed == (DOCS / "results" / "style" / PACK).read_bytes()
    save_result(dataclasses.replace(singles[places[0].stem], steps=7), tmp_path)
    assert read_results(tmp_path)[places[0].stem].steps == 7
    assert pack_results(tmp_path).read_bytes() != packed
    assert read_results(tmp_path)[places[0].stem].steps == 7


def test_packed_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in unpacked(tmp_path)[1:]:
        path.unlink()
    pack_results(tmp_path)
    seen = survey(tmp_path / PACK, lambda path: read_results(path.parent))
    assert set(seen) <= {"refused", "read"} and seen["refused"] > COUNT / 2
    (tmp_path / PACK).write_bytes(lzma.compress(b'{"format": "motionsynth-study-cell-1"}\n'))
    with pytest.raises(MotionSynthError, match=r"cells.jsonl.xz: line 1: has format 'motionsynth-study-cell-1'"):
        read_results(tmp_path)
    monkeypatch.setattr("motionsynth.study.results._LARGEST_PACK", 1 << 16)
    (tmp_path / PACK).write_bytes(lzma.compress(bytes(1 << 17)))
    with pytest.raises(MotionSynthError, match="unpacks to more than 65,536 bytes"):
        read_results(tmp_path)


def test_clips_of_studies(tmp_path: Path) -> None:
    keep_clips({"samples": walker_motions(2, 20)}, tmp_path / "0.clips.npz", 2)
    seen = survey(tmp_path / "0.clips.npz", read_clips)
    assert set(seen) <= {"refused", "read"} and seen["refused"] > COUNT / 3


def test_calibrations(tmp_path: Path) -> None:
    document = json.loads(lzma.decompress((DOCS / "calibration" / "walkers.json.xz").read_bytes()))
    few = sorted(document["figures"])[:3]  # a megabyte takes long to damage three hundred times
    document["figures"] = {key: document["figures"][key] for key in few}
    document["verdicts"] = [verdict for verdict in document["verdicts"] if verdict["key"] in few]
    document["headlines"], document["errors"] = {}, {}
    for dose in document["doses"]:
        for name in ("values", "reasons", "apart", "truth"):
            dose[name] = {key: value for key, value in dose[name].items() if key in few}
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(document))

    def series(path: Path) -> None:
        found = load_calibration(path)
        for key in found.figures:
            found.series(key)

    seen = survey(path, series)
    assert set(seen) == {"refused", "read"} and seen["refused"] > COUNT / 3


@pytest.mark.parametrize("fitting", [False, True], ids=["as found", "hashes made to fit"])
def test_extractors(tmp_path: Path, fitting: bool) -> None:
    folder = tmp_path / "extractor"
    shutil.copytree(worlds.extractor(), folder)

    def fit(content: bytes) -> bytes:
        try:
            header = parse_json(content)
            return json.dumps(
                {**header, "sha256": {**header["sha256"], "extractor.json": _header_hash(header)}}
            ).encode()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return content

    seen = survey(folder / "extractor.json", lambda path: load_extractor(path.parent), fit if fitting else bytes)
    assert set(seen) <= {"refused", "read"} and seen["refused"] > COUNT / 4


def test_a_size_that_an_extractor_declares_allocates_nothing() -> None:
    shape, config = MotionShape(16, 30, {}), Autoencoder.Config.model_validate({"optimise": {"all": {}}})
    networks = Networks(Autoencoder(config, shape), config, None, None)
    header, tensors = networks.header(), networks.tensors()
    Networks.rebuild(header, shape, tensors)
    forget_peak()
    before = peak_mib()
    for size in (100_000, 10_000_000):
        header["autoencoder"]["latent_dim"] = size
        with pytest.raises(ValueError, match="its networks would hold more than"):
            Networks.rebuild(header, shape, tensors)
    assert peak_mib() - before < MOST_MIB


def test_arrays_that_unpack_to_more_than_they_may(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, zeros=np.zeros(1 << 25, np.uint8))
    (tmp_path / "bomb.npz").write_bytes(buffer.getvalue())
    assert len(buffer.getvalue()) < 1 << 16
    with pytest.raises(ValueError, match="unpacks to more than"):
        read_arrays(tmp_path / "bomb.npz", limit=1 << 20)
    assert len(read_arrays(tmp_path / "bomb.npz", limit=1 << 26)["zeros"]) == 1 << 25  # the control
    header = buffer.getvalue()
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": (1 << 40,)})
    import zipfile

    with zipfile.ZipFile(tmp_path / "declared.npz", "w") as archive:
        archive.writestr("about.npy", buffer.getvalue())
    with pytest.raises(ValueError, match="has not the size that it declares"):
        read_arrays(tmp_path / "declared.npz", limit=1 << 20)
    assert header


@pytest.mark.parametrize("read", [read_result, read_clips, load_calibration, load_extractor], ids=lambda r: r.__name__)
def test_a_named_pipe_is_refused_at_once(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    place = tmp_path / "extractor.json" if read is load_extractor else tmp_path / ("0" * 16 + ".json")
    os.mkfifo(place)
    with pytest.raises(MotionSynthError, match="is a named pipe, not a file"), in_time(5):
        read(tmp_path if read is load_extractor else place)


def test_the_hash_of_a_header_is_its_own() -> None:
    """The control of the hashes made to fit above: another header has another."""
    assert _header_hash({"a": 1}) != _header_hash({"a": 2}) == _header_hash({"a": 2, "sha256": {"x": "y"}})
    assert _header_hash({"a": 1}) == hashlib.sha256(b'{"a": 1}').hexdigest()
