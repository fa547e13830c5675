"""The network that tells which content and style a window shows; its last hidden vector is a feature space.

Shapes: B batch, T frames, D features, E size of the embedding.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.families.backbone import ConvConfig, build_encoder
from motionsynth.families.base import AdamConfig, Family, FamilyConfig, Loss, Phase, StepContext

__all__ = ["Classifier"]


class Classifier(Family):
    """``min sum_l E[-log p_l(y_l | x)]``: one trunk, and a linear head for each label.

    A family, so that the trainer trains it as it trains any other; but it generates nothing, and so is not one that a
    run can name.
    """

    class Config(FamilyConfig):
        """Settings of the classifier."""

        PHASES = ("all",)

        name: Literal["classifier"] = "classifier"
        embedding_dim: int = Field(64, ge=1)
        """E, numbers in the vector that the heads read."""
        backbone: ConvConfig = ConvConfig(widths=(64, 64, 48, 32))
        """Networks of the trunk."""
        optimise: dict[str, AdamConfig] = Field(default={"all": AdamConfig(lr=2e-3, decay_share=0.5)})
        """Adam by phase."""

    def __init__(self, config: Config, shape: MotionShape) -> None:
        super().__init__(config, shape)
        if not shape.labels:
            raise ValueError("a classifier needs at least one label")
        self.encoder = build_encoder(config.backbone, shape, config.embedding_dim)
        # a list, as a label may have a name that a module cannot
        self.heads = nn.ModuleList(nn.Linear(config.embedding_dim, classes) for classes in shape.labels.values())

    @property
    def phases(self) -> tuple[Phase, ...]:
        """One: trunk and heads learn to classify."""
        return (Phase("all", self.classification_loss, ("encoder", "heads")),)

    def classification_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Cross-entropy summed over the labels, in nats, and that of each label."""
        scores = self.log_probabilities(self.embed(batch.motion_BTD, batch.mask_BT))
        terms = {
            f"nll_{name}": F.nll_loss(score, batch.labels[name])
            for name, score in zip(self.shape.labels, scores, strict=True)
        }
        total = torch.stack(list(terms.values())).sum()
        return Loss(total, {name: value.detach() for name, value in terms.items()})

    def embed(self, motion_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, E) the vector that the heads read."""
        return F.leaky_relu(self.encoder(motion_BTD, mask_BT), 0.2)

    def log_probabilities(self, embedding_BE: Tensor) -> list[Tensor]:
        """(B, classes) log-probabilities of each label, in the order of ``shape.labels``."""
        return [F.log_softmax(head(embedding_BE), 1) for head in self.heads]
