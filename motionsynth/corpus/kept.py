"""Fits to features, kept beside them in the entry of the cache: the normaliser, and bases.

A file ``NAME-KEY.safetensors`` is the SHA-256 of its tensors and these. KEY hashes what it was fitted to, the settings
and the code that fits. A damaged file is made again; where nothing can be kept, the fit is made each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from torch import Tensor

from motionsynth.files import read_regular, write_bytes
from motionsynth.hashes import hash_json
from motionsynth.tensor_files import dump_tensors, load_tensors

__all__ = ["kept"]

_DIGEST: Final = 32
_KEY: Final = 20
_CODE: Final = ("basis", "kept", "motion_metric", "weighted_features", "windows")


class _Fitted(Protocol):
    def tensors(self) -> dict[str, Tensor]: ...


_F = TypeVar("_F", bound=_Fitted)


def kept(
    folder: Path | None, name: str, asked: Any, fit: Callable[[], _F], load: Callable[[Mapping[str, Tensor]], _F]
) -> _F:
    """Read what was fitted from an entry of the cache, or fit it and keep it there.

    Args:
        folder: the entry; None where features are in memory only.
        name: what the file's name begins with.
        asked: what it was fitted to, beside the features, and how; JSON-able.
        fit: makes it.
        load: makes it from its tensors, or raises ``ValueError``.
    """
    if folder is None:
        return fit()
    path = folder / f"{name}-{hash_json([_code_version(), asked])[:_KEY]}.safetensors"
    with suppress(OSError, ValueError):
        content = read_regular(path)
        if hashlib.sha256(content[_DIGEST:]).digest() == content[:_DIGEST]:
            return load(load_tensors(content[_DIGEST:]))
    fitted = fit()
    with suppress(OSError):  # whatever it is, what was fitted can do without being kept
        content = dump_tensors(fitted.tensors())
        write_bytes(path, hashlib.sha256(content).digest() + content)
    return fitted


@lru_cache(maxsize=1)
def _code_version() -> str:
    """Hash of the code that decides what a basis is, beside that of the features, which the entry's name holds."""
    own = (Path(__file__).with_name(f"{name}.py") for name in _CODE)
    return hashlib.sha256(b"".join(module.read_bytes() for module in own)).hexdigest()
