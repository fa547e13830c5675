"""Sets of windows with a known change."""

from __future__ import annotations

from dataclasses import replace

import torch
from scipy import signal
from torch import Tensor

from motionsynth.metrics.descriptors import Descriptors


def with_features(windows: Descriptors, features_NTD: Tensor) -> Descriptors:
    """The same windows with other features; nothing measured comes along."""
    return replace(windows.to("cpu"), motion_NTD=features_NTD.float())


def low_passed(windows: Descriptors, cutoff_hz: float) -> Descriptors:
    """Without what is fast: Butterworth of 4th order, forwards and backwards."""
    sos = signal.butter(4, cutoff_hz, fs=windows.spec.frame_rate, output="sos")
    rows = signal.sosfiltfilt(sos, windows.features_NTD.double().numpy(), axis=1)
    return with_features(windows, torch.from_numpy(rows.copy()))


def shrunk(windows: Descriptors, scale: float) -> Descriptors:
    """Each clip's poses drawn towards their mean, and its travel slowed."""
    rows = windows.features_NTD
    mean = rows.mean(1, keepdim=True)
    for name in ("root_velocity_m_s", "root_yaw_velocity_rad_s"):
        mean[..., windows.spec.slices[name]] = 0.0
    return with_features(windows, mean + scale * (rows - mean))


def standing(windows: Descriptors) -> Descriptors:
    """Each clip held in its first frame."""
    rows = windows.features_NTD[:, :1].repeat(1, windows.features_NTD.shape[1], 1)
    for name in ("root_velocity_m_s", "root_yaw_velocity_rad_s"):
        rows[..., windows.spec.slices[name]] = 0.0
    return with_features(windows, rows)


def jittered(windows: Descriptors, metres: float) -> Descriptors:
    """The root's height trembles, from frame to frame independent."""
    rows = windows.features_NTD.clone()
    noise = torch.randn(rows.shape[:2], generator=torch.Generator().manual_seed(0))
    rows[..., windows.spec.slices["root_height_m"]] += metres * noise[..., None]
    return with_features(windows, rows)


def of_cells(windows: Descriptors, cells: list[int]) -> Descriptors:
    """Only the windows of some cells."""
    assert windows.cell_N is not None
    return windows.subset(torch.isin(windows.cell_N, torch.tensor(cells)).nonzero()[:, 0])


def figures(measures, generated: Descriptors, reference: Descriptors) -> dict[str, float]:
    """All figures of a module; each measure gives those that it says, and numbers."""
    from motionsynth.metrics.record import Sets

    out: dict[str, float] = {}
    for measure in measures:
        values = measure.compute(Sets(generated, reference), None)
        assert list(values) == [metric.name for metric in measure.metrics]
        assert all(isinstance(v, float) and v == v for v in values.values())
        out |= values
    return out


def check_records(measures) -> None:
    """The records agree with what the names say."""
    for measure in measures:
        for metric in measure.metrics:
            assert metric.group == "smoothness"
            assert metric.within == metric.name.endswith("_within")
            assert metric.within == ("cells" in measure.needs)
            assert metric.better != "match" or metric.ideal is not None
