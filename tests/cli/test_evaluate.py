"""``motionsynth evaluate`` and ``motionsynth metrics`` as their user types them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from motionsynth.metrics.record import Metric
from motionsynth.metrics.suite import Figure
from tests.cli.invocation import Invoke
from tests.evaluation import worlds

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_evaluate_prints_a_table_and_keeps_the_figures(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke(
        *("evaluate", worlds.run_dir(), "--extractor", worlds.extractor(), "--out", tmp_path / "out", "--count", 24),
        *("--metrics", "speed_ratio,sliced_wasserstein, birthday_support", "--features", "pca", "--bootstrap", 6),
        *("--by", "content"),
    )
    assert result.code == 0, result.err
    assert re.search(r"^by content +all +bow \(\d+\) .*walk \(\d+\)$", result.out, re.MULTILINE), result.out
    assert len(re.findall(r"^speed_ratio( +\S+ \(\S+\)){4,} *$", result.out, re.MULTILINE)) == 1
    assert re.search(r"^vae: 24 windows against 24 of walkers:test \(\d+ takes\); real: 24 training", result.out)
    row = next(line for line in result.out.splitlines() if line.startswith("speed_ratio"))
    assert re.search(r"speed_ratio +\S+ \(\S+ to \S+\) +\S+ \(\S+ to \S+\) += match \(1\)", row), row
    assert re.search(r"sliced_wasserstein\.pca .*lower", result.out)
    assert "birthday_support.pca: needs 64 windows, has 24 (generated)" in result.out
    assert "subsampled to 24 (seed 0)" in result.out
    assert result.out.splitlines()[-1] == str(tmp_path / "out")
    assert set(json.loads((tmp_path / "out/scores.json").read_text())["figures"]) == {
        "smoothness/speed_ratio",
        "fidelity/sliced_wasserstein.pca",
        "modes/birthday_support.pca",
    }
    assert "score" in result.err  # progress


def test_figures_with_one_reason_are_counted_where_they_are_many() -> None:
    from motionsynth.cli.figures import figure_notes
    from motionsynth.metrics.registry import records

    within = [metric for metric, _ in records() if metric.within][:6]
    other = [metric for metric, _ in records() if not metric.within][:7]
    rare, none = "no interval: undefined in {} of 100 resamples", "no cell has 8 windows in both sets"
    counts = {rare.format(count): count for count in (7, 12, 40)}
    unsaid = Figure("x/unsaid", other[0], None, 1.0)

    def noted(metrics: Sequence[Metric], *notes: str) -> list[Figure]:
        return [
            Figure(f"x/{m.name}", m, None, None, note=n, missing=counts.get(n))
            for m, n in zip(metrics, cycle(notes), strict=False)
        ]

    assert figure_notes([*noted(within, none), *noted(other[:1], none), unsaid], 100) == [
        f"6 figures compared cell by cell, {other[0].name}: {none}"
    ]
    assert figure_notes(noted(within[:3], none), 100) == [f"{', '.join(m.name for m in within[:3])}: {none}"]
    first = ", ".join(m.name for m in other[:4])
    assert figure_notes(noted(other, rare.format(40), rare.format(12), rare.format(7)), 100) == [
        f"{first}, 3 more: {rare.format('7 to 40')}"
    ]
    assert figure_notes(noted(other[:2], rare.format(40), none), 100) == [
        f"{other[0].name}: {rare.format(40)}",
        f"{other[1].name}: {none}",
    ]


def test_wrong_words_are_one_line_and_exit_with_two(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("evaluate", worlds.run_dir(), "--metrics", "speedratio")
    assert (result.code, result.err) == (
        2,
        "error: --metrics: no metric or group 'speedratio'; did you mean speed_ratio?\n",
    )
    result = invoke("evaluate", tmp_path / "nothing")
    assert result.code == 2 and result.err.count("\n") == 1
    assert invoke("evaluate", worlds.run_dir(), "--device", "tpu").code == 2


def test_metrics_lists_every_figure(invoke: Invoke) -> None:
    from motionsynth.report.metrics import ALL

    result = invoke("metrics")
    assert result.code == 0
    for measure in ALL:
        for metric in measure.metrics:
            assert f"{metric.group}/{metric.name}" in result.out


def test_one_metric_is_told_in_full(invoke: Invoke) -> None:
    result = invoke("metrics", "recall")
    assert result.code == 0
    assert "modes/recall.SPACE" in result.out and "Kynk" in result.out and "halves" in result.out
    assert "precision" not in result.out.splitlines()[0]
    assert invoke("metrics", "recal").err == "error: NAME: no metric or group 'recal'; did you mean recall?\n"
    for key in ("modes/recall.SPACE", "modes/recall.pca", "recall.pca"):
        assert invoke("metrics", key).out == result.out


def test_the_document_is_in_step_with_the_records(invoke: Invoke) -> None:
    result = invoke("metrics", "--markdown")
    assert result.out == (DOCS / "metrics.md").read_text(), "motionsynth metrics --markdown > docs/metrics.md"
