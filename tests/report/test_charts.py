"""Charts hold the numbers they were given, as one well-formed SVG that belongs to the page around it."""

from __future__ import annotations

import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from motionsynth.report.charts import (
    Band,
    Bars,
    Line,
    Reading,
    bar_chart,
    distribution_chart,
    line_chart,
    spectra_chart,
)
from motionsynth.report.numbers import interval_texts, number_text

SVG = "{http://www.w3.org/2000/svg}"
NASTY = '</svg><script>alert(1)</script> & "quotes" $x_1$ \u00e9'
CUT_OFFS = [10.0, 6.0, 4.0, 2.5, 1.5, 0.8]
SHARES = [1.0, 0.9, 0.6, 0.3, 0.1, 0.02]


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def texts(root: ElementTree.Element) -> list[str]:
    return ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]


def part(root: ElementTree.Element, name: str) -> ElementTree.Element:
    (found,) = [element for element in root.iter() if element.get("data-name") == name]
    return found


def points(element: ElementTree.Element) -> np.ndarray:
    """(N, 2) places on the page of the first path below an element."""
    path = next(element.iter(f"{SVG}path")).attrib["d"]
    return np.array(re.findall(r"[ML] ([-\d.]+) ([-\d.]+)", path), dtype=np.float64)


def dose_curve(**changes: object) -> str:
    arguments: dict[str, object] = {
        "x_label": "cut-off (Hz)",
        "y_label": "ratio",
        "x_scale": "log",
        "x_ticks": CUT_OFFS,
        "x_reversed": True,
        **changes,
    }
    return line_chart([Line("curve", CUT_OFFS, SHARES)], **arguments)  # type: ignore[arg-type]


class TestValues:
    def test_a_line_goes_through_its_points_on_a_logarithmic_axis(self) -> None:
        places = points(part(parse(dose_curve()), "curve"))
        assert len(places) == len(CUT_OFFS)
        for column, wanted in ((0, np.log(CUT_OFFS)), (1, np.array(SHARES))):
            slope, offset = np.polyfit(wanted, places[:, column], 1)
            np.testing.assert_allclose(slope * wanted + offset, places[:, column], atol=1e-3)
            assert slope < 0  # strong doses to the right; up is less in SVG

    def test_ticks_are_the_doses_in_plain_numbers(self) -> None:
        assert {"10", "6", "4", "2.5", "1.5", "0.8"} <= set(texts(parse(dose_curve())))

    def test_small_powers_of_ten_are_text_too(self) -> None:
        frequency = np.linspace(0, 15, 33)
        root = parse(spectra_chart([("set", frequency, 1e-3 / (1 + frequency**5))], y_label="power", marks=[5.0]))
        assert {"10⁻⁵", "10⁻³", "1", "10", "5 Hz"} <= set(texts(root))
        assert len(points(part(root, "set"))) == 32, "frequency 0 has no place on a logarithmic axis"

    def test_bands_and_readings_say_their_numbers(self) -> None:
        root = parse(dose_curve(bands=[Band("real", 0.95, 1.06)], readings=[Reading("vae", 0.5, 3.5, 3.0, 4.0)]))
        part(root, "real: 0.95 to 1.06")
        reading = points(part(root, "vae"))
        assert np.ptp(reading[:, 0]) > 1 and np.ptp(reading[:, 1]) == 0
        part(root, "vae: 3.5")

    def test_a_reading_outside_the_range_is_a_height(self) -> None:
        root = parse(dose_curve(readings=[Reading("gan: outside", 0.5)]))
        assert np.ptp(points(part(root, "gan: outside"))[:, 1]) == 0

    def test_repeats_are_dots(self) -> None:
        line = Line("curve", [1.0, 2.0], [1.0, 2.0], dots=[(1.0, 1.1), (1.0, 0.9), (2.0, 2.1), (2.0, np.nan)])
        root = parse(line_chart([line], x_label="x", y_label="y"))
        dots = next(element for element in root.iter() if element.get("data-name") == "curve")
        assert len(list(dots.iter(f"{SVG}use"))) == 3

    def test_bars_are_as_high_as_their_counts(self) -> None:
        root = parse(bar_chart(["a", "b", "c"], [Bars("set", [1, 4, np.nan]), Bars("other", [2, 2, 2])], y_label="n"))
        one, four = (np.ptp(points(part(root, f"set · {name}"))[:, 1]) for name in ("a: 1", "b: 4"))
        assert four == pytest.approx(4 * one, rel=1e-4)
        assert not [element for element in root.iter() if element.get("data-name", "").startswith("set · c")]

    def test_distributions_are_shares_over_the_same_bins(self) -> None:
        rng = np.random.default_rng(0)
        svg = distribution_chart([("a", rng.normal(size=500)), ("b", rng.normal(size=50))], x_label="x", bins=10)
        a, b = (points(part(parse(svg), name)) for name in ("a", "b"))
        np.testing.assert_array_equal(a[:, 0], b[:, 0])
        assert np.ptp(a[:, 1]) != np.ptp(b[:, 1])
        heights = [(places[0, 1] - places[1:-1:2, 1]).sum() for places in (a, b)]
        assert heights[0] == pytest.approx(heights[1], rel=1e-4), "each set's shares add up to 1"


class TestGaps:
    """Numbers that an axis cannot show are gaps, and a series without any other is named."""

    @pytest.mark.parametrize("values", [[np.nan] * 3, [np.inf, -np.inf, np.nan], [0.0, -1.0, np.nan]])
    def test_a_series_without_values_is_named(self, values: list[float]) -> None:
        root = parse(line_chart([Line("empty", [1, 2, 3], values)], x_label="x", y_label="y", y_scale="log"))
        assert "empty (no values)" in texts(root)

    def test_a_gap_parts_a_line(self) -> None:
        root = parse(line_chart([Line("set", [1, 2, 3, 4, 5], [1, 2, np.nan, 4, 5])], x_label="x", y_label="y"))
        assert next(part(root, "set").iter(f"{SVG}path")).attrib["d"].count("M") == 2
        assert "set" in texts(root)

    def test_one_point_is_a_mark(self) -> None:
        root = parse(line_chart([Line("set", [2.0], [3.0])], x_label="x", y_label="y"))
        assert len(list(part(root, "set").iter(f"{SVG}use"))) == 1

    def test_a_constant_series_lies_flat_inside_the_chart(self) -> None:
        root = parse(line_chart([Line("set", [1, 2, 3], [7.0, 7.0, 7.0])], x_label="x", y_label="y"))
        places = points(part(root, "set"))
        bottom = float(root.attrib["viewBox"].split()[3])
        assert np.ptp(places[:, 1]) == 0 and 0.1 * bottom < places[0, 1] < 0.9 * bottom

    @pytest.mark.parametrize("values", [[], [np.nan], [2.0], [2.0, 2.0, 2.0]])
    def test_a_distribution_of_nothing_or_of_one_value_is_drawn(self, values: list[float]) -> None:
        label = "set" if np.isfinite(values).any() else "set (no values)"
        assert label in texts(parse(distribution_chart([("set", values)], x_label="x")))

    def test_charts_without_rows_are_charts(self) -> None:
        for svg in (bar_chart([], [], y_label="y"), spectra_chart([], y_label="y")):
            assert parse(svg).tag == f"{SVG}svg"

    def test_series_of_unequal_length_are_refused(self) -> None:
        with pytest.raises(ValueError, match="set: x, y, low and high must be of one length"):
            line_chart([Line("set", [1, 2], [1])], x_label="x", y_label="y")
        with pytest.raises(ValueError, match="set: 2 heights for 3 categories"):
            bar_chart(["a", "b", "c"], [Bars("set", [1, 2])], y_label="y")


class TestPage:
    """What a page may rely on."""

    def test_same_input_same_bytes(self) -> None:
        assert dose_curve() == dose_curve()
        code = "from tests.report.test_charts import dose_curve; print(dose_curve(), end='')"
        again = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
        assert again.stdout == dose_curve()

    def test_the_readers_own_matplotlib_settings_do_not_show(self) -> None:
        import matplotlib

        plain = dose_curve()
        with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
            before = dict(matplotlib.rcParams)
            assert dose_curve() == plain
            assert dict(matplotlib.rcParams) == before

    def test_colours_are_the_pages(self) -> None:
        svg = dose_curve(bands=[Band("real", 0.9, 1.1)])
        assert "currentColor" in svg and "var(--series-0, #d2601a)" in svg and "var(--quiet" in svg
        outside = re.sub(r"var\([^)]*\)", "", svg)
        assert not re.search(r"#[0-9a-f]{6}(?![\w-])", outside), "a colour that dark mode cannot change"
        assert "DejaVu" not in svg

    def test_every_reference_is_defined_and_nothing_else_has_an_id(self) -> None:
        root = parse(dose_curve())
        used = {name for element in root.iter() for value in element.attrib.values() for name in
                re.findall(r"(?:^|url\()#([\w-]+)", value)}  # fmt: skip
        assert used == {element.attrib["id"] for element in root.iter() if "id" in element.attrib}

    def test_names_stay_text(self) -> None:
        curve = Line(NASTY, [1, 2], [1, 2])
        svg = line_chart([curve], x_label=NASTY, y_label="y", alt=NASTY, bands=[Band(NASTY, 1, 2)])
        root = parse(svg)
        assert texts(root).count(NASTY) == 3 and root.attrib["aria-label"] == NASTY
        assert "<script" not in svg.lower() and svg.count("</svg>") == 1
        assert not list(root.iter(f"{SVG}script"))

    def test_nothing_but_the_namespace_is_an_address(self) -> None:
        assert re.findall(r"https?://[^\s\"']+", dose_curve()) == ["http://www.w3.org/2000/svg"]
        assert "2000" not in dose_curve().replace("http://www.w3.org/2000/svg", "")

    def test_pyplot_stays_unloaded(self) -> None:
        code = (
            "import sys, motionsynth.report.charts as c, motionsynth.report.page; print('matplotlib' in sys.modules);"
            "c.line_chart([], x_label='x', y_label='y'); print('matplotlib.pyplot' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
        assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (1.0, "1.00"), (-0.012, "−0.0120"), (12345.6, "12\u202f346"), (1.2e-5, "1.20×10⁻⁵"),
        (-3.4e8, "−3.40×10⁸"), (None, "–"), (float("nan"), "–"), (float("-inf"), "−∞"), (0.71, "0.710"),
    ],
)  # fmt: skip
def test_numbers_for_people(value: float | None, text: str) -> None:
    assert number_text(value) == text


def test_numbers_without_padding() -> None:
    assert [number_text(v, 4, padded=False) for v in (1e-5, 2e-5, 0.5, 20.0, 0.0)] == [
        "10⁻⁵",
        "2×10⁻⁵",
        "0.5",
        "20",
        "0",
    ]
    assert number_text(0.0912, places=2) == "0.09"


def test_a_figure_is_rounded_as_its_interval_allows() -> None:
    assert interval_texts(0.0376, 0.0224, 0.0743) == ("0.038", "0.022", "0.074")
    assert interval_texts(-7.79, -8.24, -7.38) == ("−7.79", "−8.24", "−7.38")
    assert interval_texts(1234.5, 1100.0, 1500.0) == ("1\u202f234", "1\u202f100", "1\u202f500")
    assert interval_texts(2e-9, 1e-9, 4e-9) == ("2.00×10⁻⁹", "1.00×10⁻⁹", "4.00×10⁻⁹")
    assert interval_texts(3528379.0, -11652996.0, 18709754.0) == ("3.53×10⁶", "−1.17×10⁷", "1.87×10⁷")
    assert interval_texts(0.1, -0.001, 0.22) == ("0.10", "0.00", "0.22"), "what rounds to zero has no sign"
    assert interval_texts(0.0, 0.0, 0.0) == ("0", "0", "0")
