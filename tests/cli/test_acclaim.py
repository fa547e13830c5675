"""AMC files where commands take BVH files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from motionsynth import read_bvh, read_clip
from tests.cli.invocation import Invoke
from tests.motion import acclaim


def test_an_amc_file_becomes_bvh(tmp_path: Path, invoke: Invoke) -> None:
    take, out = tmp_path / "07_01.amc", tmp_path / "walk.bvh"
    (tmp_path / "07.asf").write_text(acclaim.asf_text(acclaim.person(0)))
    take.write_text(acclaim.amc_text(acclaim.person(0, 20)))
    assert invoke("data", "convert", take, out, "--from-fps", 60, "--units", "cm").code == 0
    written, read = read_bvh(out), read_clip(take)
    assert written.frame_rate == pytest.approx(60) and read.frame_rate == 120
    assert np.abs(written.positions() - read.positions() * 2.54 / 0.45).max() < 1e-3
    assert invoke("data", "convert", take, tmp_path).out == f"{tmp_path / '07_01.bvh'}\n"
    done = invoke("data", "convert", take, tmp_path / "walk.amc")
    assert (done.code, "what is written is BVH" in done.err) == (2, True) and not (tmp_path / "walk.amc").exists()
    assert (
        invoke("data", "inspect", take).code
        == invoke("view", take, "--no-open", "--out", tmp_path / "page.html").code
        == 0
    )
    take.write_text(take.read_text().replace("\nhead", "\nface"))
    done = invoke("data", "convert", take, out)
    assert done.code == 2 and f"error: {take}:14: there is no bone 'face' in 07.asf" in done.err
