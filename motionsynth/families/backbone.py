"""The settings of the networks that families share, and how they are built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from motionsynth.corpus.basis import WindowBasis
from motionsynth.corpus.motion_metric import MotionMetric
from motionsynth.corpus.shape import MapConfig, MotionShape
from motionsynth.corpus.weighted_features import WeightedFeatures
from motionsynth.corpus.windows import WindowSet
from motionsynth.features.normalise import Normaliser
from motionsynth.features.spec import FeatureSpec
from motionsynth.nn.attention import TransformerDecoder, TransformerTrunk
from motionsynth.nn.convolution import Upsampling
from motionsynth.nn.critic import Critic
from motionsynth.nn.decoder import ConvDecoder, Decoder
from motionsynth.nn.dense import DenseDecoder, DenseTrunk
from motionsynth.nn.encoder import ConvTrunk, Encoder, Trunk
from motionsynth.nn.recurrent import GRUDecoder, GRUTrunk
from motionsynth.settings import FrozenConfig

__all__ = [
    "BackboneConfig",
    "BasisConfig",
    "ConvConfig",
    "CriticConfig",
    "GRUConfig",
    "Kernel",
    "MetricConfig",
    "TransformerConfig",
    "build_critic",
    "build_decoder",
    "build_encoder",
]


def _odd(frames: int) -> int:
    if frames % 2 == 0:
        raise ValueError("must be odd, so that a convolution has a middle frame")
    return frames


Kernel = Annotated[int, Field(ge=1), AfterValidator(_odd)]
"""Frames of a convolution."""


class MetricConfig(MapConfig):
    """Weights of errors by how far they move joints and feet; see ``motionsynth.corpus.motion_metric``."""

    READ: ClassVar[Callable[..., WeightedFeatures]] = WeightedFeatures.from_tensors

    joints: float = Field(1.0, ge=0)
    """Weight of joint positions."""
    feet: float = Field(3.0, ge=0)
    """Weight of the feet's positions."""
    velocities: float = Field(0.08, ge=0)
    """Seconds that velocities are multiplied by to count as distances."""

    @model_validator(mode="after")
    def _weighs_something(self) -> MetricConfig:
        if not self.joints and not self.feet:
            raise ValueError("joints or feet must be above 0; null weighs normalised features alike")
        return self

    def fit(self, windows: WindowSet, spec: FeatureSpec, normaliser: Normaliser) -> WeightedFeatures:
        """Find the weights at the poses of a training split; see ``WeightedFeatures.fit``."""
        metric = MotionMetric(self.joints, self.feet, self.velocities)
        return WeightedFeatures.fit(windows, spec, normaliser, metric)


Widths = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, max_length=64)]


class ConvConfig(FrozenConfig):
    """Residual convolutions over time, the frames halved from level to level."""

    kind: Literal["conv"] = "conv"
    """Kind of backbone."""
    widths: Widths = (128, 128, 96, 64)
    """Channels of each level, from the coarsest to the finest."""
    kernel: Kernel = 3
    """Frames of each convolution, odd."""
    upsample: Upsampling = "linear"
    """Upsampling of a decoder's frames; ``nearest`` leaves combs in the spectrum, ``learned`` begins as ``linear``."""
    mapping_layers: int = Field(2, ge=0, le=64)
    """Hidden layers between a latent and the coarsest level of a decoder."""
    mapping_width: int = Field(256, ge=1)
    """Numbers in each of them."""
    metric: MetricConfig | None = None
    """Weights of the features that networks see and give; null for none."""


class _StepConfig(FrozenConfig):
    """Settings of backbones that go through a window step by step, whatever its length."""

    width: int = Field(128, ge=1)
    """Channels."""
    patch_frames: Literal[1, 2, 4, 8, 16] = 4
    """Frames that make one step."""
    upsample: Upsampling = "linear"
    """Upsampling of a decoder's steps until they are frames."""
    mapping_layers: int = Field(2, ge=0, le=64)
    """Hidden layers between a latent and the first step of a decoder."""
    mapping_width: int = Field(256, ge=1)
    """Numbers in each of them."""
    metric: MetricConfig | None = None
    """Weights of the features that networks see and give; null for none."""


class GRUConfig(_StepConfig):
    """Gated recurrent units; decodes any number of frames."""

    kind: Literal["gru"] = "gru"
    """Kind of backbone."""
    layers: int = Field(2, ge=1, le=256)
    """Layers of units."""


class TransformerConfig(_StepConfig):
    """Self-attention; decodes any number of frames."""

    kind: Literal["transformer"] = "transformer"
    """Kind of backbone."""
    layers: int = Field(3, ge=1, le=256)
    """Blocks."""
    heads: int = Field(4, ge=1)
    """Heads of attention, a divisor of ``width``."""
    feedforward: int = Field(256, ge=1)
    """Numbers in the hidden layer of each block."""

    @model_validator(mode="after")
    def _heads_share_width(self) -> TransformerConfig:
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} cannot be shared out to {self.heads} heads")
        return self


class BasisConfig(MapConfig):
    """Dense layers on the coefficients of windows in a fixed basis; see ``motionsynth.corpus.basis``."""

    READ: ClassVar[Callable[..., WindowBasis]] = WindowBasis.from_tensors

    kind: Literal["basis"] = "basis"
    """Name of the backbone."""
    components: int = Field(512, ge=1)
    """K, coefficients of a window."""
    bands_hz: tuple[Annotated[float, Field(gt=0)], ...] = (2.0, 5.0)
    """Frequencies that part the bands, each of which has components of its own; none for one band."""
    joints: float = Field(1.0, ge=0)
    """Weight of joint positions in the metric; 0 here and for ``feet`` weighs normalised features alike."""
    feet: float = Field(3.0, ge=0)
    """Weight of the feet's positions."""
    velocities: float = Field(0.08, ge=0)
    """Seconds that velocities are multiplied by to count as distances."""
    whitening: float = Field(0.5, ge=0, le=1)
    """Power of its standard deviation that a coefficient is divided by."""
    width: int = Field(512, ge=1)
    """Numbers in each hidden layer."""
    layers: int = Field(3, ge=1)
    """Hidden layers of each network."""

    def fit(self, windows: WindowSet, spec: FeatureSpec, normaliser: Normaliser) -> WindowBasis:
        """Fit the basis to a training split; see ``WindowBasis.fit``."""
        weighted = self.joints or self.feet
        return WindowBasis.fit(
            windows,
            spec,
            normaliser,
            components=self.components,
            bands_hz=self.bands_hz,
            metric=MotionMetric(self.joints, self.feet, self.velocities) if weighted else None,
            whitening=self.whitening,
        )


class CriticConfig(FrozenConfig):
    """Settings of a critic beside those of the backbone."""

    widths: Widths = (128, 128, 96, 64)
    """Channels of each level of a ``conv`` critic, from the coarsest to the finest; others are as wide as encoders."""
    minibatch_stddev: int = Field(4, ge=0)
    """Windows that the critic compares with one another, so that it sees a lack of variety; 0 for none."""


_KINDS: dict[Any, type[FrozenConfig]] = {
    "basis": BasisConfig,
    "conv": ConvConfig,
    "gru": GRUConfig,
    "transformer": TransformerConfig,
}


def _kind_named(value: Any) -> Any:
    """Refuse a key of another kind than the section names; no kind means a basis, and none is guessed from keys."""
    if not isinstance(value, dict):
        return value
    kind = value.get("kind", "basis")
    for key in value:
        owners = [name for name, config in _KINDS.items() if key in config.model_fields]
        if owners and isinstance(kind, str) and kind in _KINDS and kind not in owners:
            belongs = f"{key} belongs to {' and '.join(owners)}, and the kind here is {kind}"
            raise ValueError(f"{belongs}: write the whole section, as {{kind: {owners[0]}, {key}: ...}}")
    return {"kind": kind, **value}


BackboneConfig = Annotated[
    BasisConfig | ConvConfig | GRUConfig | TransformerConfig, Field(discriminator="kind"), BeforeValidator(_kind_named)
]
"""Settings of any backbone, told apart by ``kind``."""


def build_encoder(config: BackboneConfig, shape: MotionShape, outputs: int, *, side: int = 0) -> Encoder:
    """A new encoder ``(motion_BTD, mask_BT, side_BS) -> (B, outputs)`` of windows of that shape."""
    widths = config.widths if isinstance(config, ConvConfig) else ()
    return Encoder(_trunk(config, shape, widths, side), outputs)


def build_decoder(config: BackboneConfig, shape: MotionShape, inputs: int, *, side: int = 0) -> Decoder:
    """A new decoder, or generator, ``(z_BZ, side_BS, frames) -> (B, T, D)``; its ``longest`` is T at most, or None."""
    frames, features = shape.frames, shape.features
    if isinstance(config, BasisConfig):
        longest = shape.motion_frames or frames
        return DenseDecoder(frames, features, inputs, config.width, config.layers, longest=longest, side=side)
    shared: dict[str, Any] = {
        "upsample": config.upsample,
        "mapping_layers": config.mapping_layers,
        "mapping_width": config.mapping_width,
        "side": side,
    }
    match config:
        case ConvConfig(widths=widths, kernel=kernel):
            return ConvDecoder(frames, features, inputs, widths, kernel=kernel, **shared)
        case GRUConfig(width=width, layers=layers, patch_frames=patch):
            return GRUDecoder(frames, features, inputs, width, layers, patch, **shared)
        case TransformerConfig(width=width, heads=heads, layers=layers, feedforward=hidden, patch_frames=patch):
            return TransformerDecoder(frames, features, inputs, width, heads, layers, hidden, patch, **shared)


def build_critic(config: BackboneConfig, critic: CriticConfig, shape: MotionShape, *, side: int = 0) -> Critic:
    """A new critic ``(motion_BTD, mask_BT, side_BS, parts=1) -> (B,)`` logits of windows of that shape.

    Raises:
        ValueError: widths are given for a critic that has none.
    """
    if not isinstance(config, ConvConfig) and critic.widths != CriticConfig().widths:
        raise ValueError(f"family.critic.widths: a {config.kind} critic is as wide as the backbone; leave them out")
    return Critic(_trunk(config, shape, critic.widths, side), group=critic.minibatch_stddev)


def _trunk(config: BackboneConfig, shape: MotionShape, widths: tuple[int, ...], side: int) -> Trunk:
    """Trunk that reads windows, of the backbone's kind; convolutions have those widths."""
    match config:
        case BasisConfig(width=width, layers=layers):
            return DenseTrunk(shape.frames, shape.features, width, layers, side=side)
        case ConvConfig(kernel=kernel):
            return ConvTrunk(shape.frames, shape.features, widths, kernel=kernel, side=side)
        case GRUConfig(width=width, layers=layers, patch_frames=patch):
            return GRUTrunk(shape.features, width, layers, patch, side=side)
        case TransformerConfig(width=width, heads=heads, layers=layers, feedforward=hidden, patch_frames=patch):
            return TransformerTrunk(shape.frames, shape.features, width, heads, layers, hidden, patch, side=side)
