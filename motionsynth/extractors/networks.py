"""The networks of an extractor: what they give, and how they are stored.

Shapes: N windows, T frames, D features, E size of an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self

import torch
from torch import Tensor

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.extractors.classifier import Classifier
from motionsynth.families.ae import Autoencoder
from motionsynth.training.bounds import bounded_networks

__all__ = ["Networks"]

_AUTOENCODER: Final = "autoencoder"
_CLASSIFIER: Final = "classifier"


class Networks(NamedTuple):
    """An autoencoder, and a classifier where there are labels; in evaluation mode."""

    autoencoder: Autoencoder
    autoencoder_config: Autoencoder.Config
    classifier: Classifier | None
    classifier_config: Classifier.Config | None

    @property
    def spaces(self) -> tuple[str, ...]:
        """Names of the feature spaces."""
        return (_AUTOENCODER,) if self.classifier is None else (_CLASSIFIER, _AUTOENCODER)

    def to(self, device: torch.device | str) -> Self:
        """The same networks, moved."""
        self.autoencoder.to(device)
        if self.classifier is not None:
            self.classifier.to(device)
        return self

    def reconstruction_error(self, windows_NTD: Tensor) -> float:
        """Mean squared error of the autoencoder, for each number of normalised windows."""
        batch = Batch(windows_NTD, _whole(windows_NTD), {})
        return float((self.autoencoder.reconstruct(batch) - windows_NTD).square().double().mean())

    def codes(self, windows_NTD: Tensor) -> Tensor:
        """(N, E) codes of the autoencoder."""
        return self.autoencoder.encode(Batch(windows_NTD, _whole(windows_NTD), {}))

    def classify(self, windows_NTD: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, E) embedding, and each label's (N, classes) log-probabilities."""
        assert self.classifier is not None
        embedding_NE = self.classifier.embed(windows_NTD, _whole(windows_NTD))
        return embedding_NE, self.classifier.log_probabilities(embedding_NE)

    def header(self) -> dict[str, Any]:
        """Settings that :meth:`rebuild` needs beside the tensors."""
        configs = {_AUTOENCODER: self.autoencoder_config, _CLASSIFIER: self.classifier_config}
        return {name: config.model_dump(mode="json") for name, config in configs.items() if config is not None}

    def tensors(self) -> dict[str, Tensor]:
        """All weights by name, without the density that codes may be drawn from: it decides nothing of a judgement."""
        networks = {_AUTOENCODER: self.autoencoder, _CLASSIFIER: self.classifier}
        return {
            f"{name}.{key}": value
            for name, network in networks.items()
            if network is not None
            for key, value in network.state_dict().items()
            if not key.startswith("latent_density.")
        }

    @classmethod
    def rebuild(cls, header: Mapping[str, Any], shape: MotionShape, tensors: Mapping[str, Tensor]) -> Self:
        """Rebuild the networks as they were stored.

        Args:
            header: of :meth:`header`.
            shape: size of a window, and the class counts of the labels that the classifier tells.
            tensors: of :meth:`tensors`, among others.

        Raises:
            KeyError, ValueError, RuntimeError: something is missing or does not fit.
        """
        config = Autoencoder.Config.model_validate(header[_AUTOENCODER])
        kept = sum(value.numel() for value in tensors.values())
        with bounded_networks(kept):
            autoencoder = Autoencoder(config, shape)
        autoencoder.load_state_dict(_below(tensors, _AUTOENCODER))
        if _CLASSIFIER not in header:
            return cls(autoencoder.eval(), config, None, None)
        judge_config = Classifier.Config.model_validate(header[_CLASSIFIER])
        with bounded_networks(kept):
            judge = Classifier(judge_config, shape)
        judge.load_state_dict(_below(tensors, _CLASSIFIER))
        return cls(autoencoder.eval(), config, judge.eval(), judge_config)


def _below(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}


def _whole(windows_NTD: Tensor) -> Tensor:
    return torch.ones(windows_NTD.shape[:2], dtype=torch.bool, device=windows_NTD.device)
