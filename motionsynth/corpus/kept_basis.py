"""Bases once fitted are kept beside the features that they were fitted to, in the entry of the cache.

A file ``basis-KEY.safetensors`` is the SHA-256 of its tensors and these. KEY hashes what a model sees of a corpus, the
settings and the code that fits. A damaged file is made again; where nothing can be kept, the basis is fitted each time.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from motionsynth.files import read_regular, write_bytes
from motionsynth.hashes import hash_json
from motionsynth.tensor_files import dump_tensors, load_tensors

if TYPE_CHECKING:
    from motionsynth.corpus.basis import WindowBasis
    from motionsynth.corpus.corpus import Corpus
    from motionsynth.corpus.weighted_features import WeightedFeatures
    from motionsynth.families.backbone import BasisConfig, MetricConfig

__all__ = ["kept_basis"]

_DIGEST: Final = 32
_KEY: Final = 20
_CODE: Final = ("basis", "kept_basis", "motion_metric", "weighted_features", "windows")


def kept_basis(corpus: Corpus, config: BasisConfig | MetricConfig) -> WindowBasis | WeightedFeatures:
    """Read the basis of a corpus from the cache, or fit it and keep it there.

    Raises:
        ConfigError: no two whole windows differ.
    """

    def fit() -> WindowBasis | WeightedFeatures:
        return config.FIT(corpus.windows("train"), corpus.spec, corpus.normaliser, config)

    if corpus.store.folder is None:
        return fit()
    key = hash_json([_code_version(), corpus.fingerprint, type(config).__name__, config.model_dump(mode="json")])[:_KEY]
    path = corpus.store.folder / f"basis-{key}.safetensors"
    with suppress(OSError, ValueError):
        content = read_regular(path)
        if hashlib.sha256(content[_DIGEST:]).digest() == content[:_DIGEST]:
            return config.MAP.from_tensors(load_tensors(content[_DIGEST:]))
    basis = fit()
    with suppress(OSError):  # whatever it is, the basis can do without being kept
        content = dump_tensors(basis.tensors())
        write_bytes(path, hashlib.sha256(content).digest() + content)
    return basis


@lru_cache(maxsize=1)
def _code_version() -> str:
    """Hash of the code that decides what a basis is, beside that of the features, which the entry's name holds."""
    own = (Path(__file__).with_name(f"{name}.py") for name in _CODE)
    return hashlib.sha256(b"".join(module.read_bytes() for module in own)).hexdigest()
