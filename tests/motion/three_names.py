"""Joint names as three.js takes them, in Python: the reference that portable names are held against.

After three.js r187 (MIT): ``examples/jsm/loaders/BVHLoader.js`` (``readNode``: a name is the first word after ROOT or
JOINT, End Sites are called ENDSITE; ``toTHREEAnimation``: tracks ``NAME.position`` and ``NAME.quaternion``) and
``src/animation/PropertyBinding.js`` (``sanitizeNodeName``, ``parseTrackName``, ``findNode``: the first node so called,
the root before all, then depth first).
"""

from __future__ import annotations

import re

from motionsynth.motion.skeleton import Skeleton

__all__ = ["loaded_name", "sanitized", "three_faults"]

RESERVED = r"\[\]\.:\/"
WORD, WORD_OR_DOT = f"[^{RESERVED}]", f"[^{RESERVED}]".replace(r"\.", "")
TRACK = re.compile(
    "^"
    + f"((?:{WORD}+[\\/:])*)"
    + f"({WORD_OR_DOT}+)?"
    + rf"(?:\.({WORD}+)(?:\[(.+)\])?)?"
    + rf"\.({WORD}+)(?:\[(.+)\])?"
    + "$"
)
OBJECTS = ("material", "materials", "bones", "map")
JS_SPACE = "[\\s\ufeff]"


def sanitized(name: str) -> str:
    """``PropertyBinding.sanitizeNodeName``, which other loaders of three.js give every name to."""
    return re.sub(f"[{RESERVED}]", "", re.sub(JS_SPACE, "_", name))


def loaded_name(name: str) -> str:
    """The name that BVHLoader gives a bone."""
    return re.split(f"{JS_SPACE}+", name)[0]


def bound_name(track: str) -> str:
    """The node that a track is bound to; ``ValueError`` where three.js throws."""
    found = TRACK.match(track)
    if found is None:
        raise ValueError(f"Cannot parse trackName: {track}")
    node = found[2] or ""
    head, dot, tail = node.rpartition(".")
    return head if dot and tail in OBJECTS else node


def three_faults(skeleton: Skeleton) -> list[str]:
    """Faults when three.js plays a clip of a skeleton; none where every joint moves as it should."""
    names = [loaded_name(name) for name in skeleton.names]
    order = [*enumerate(names)]
    for end in reversed(skeleton.end_sites):  # depth first, an End Site comes after its joint and before the next
        order.insert(1 + next(place for place, (joint, _) in enumerate(order) if joint == end.parent), (-1, "ENDSITE"))
    faults = []
    for joint, name in enumerate(names):
        for kind in ("position", "quaternion"):
            try:
                bound = bound_name(f"{name}.{kind}")
            except ValueError as error:
                faults.append(str(error))
                continue
            found = 0 if bound in ("", ".", names[0]) else next((j for j, n in order if n == bound), None)
            if found != joint:
                faults.append(f"{name}.{kind} of joint {joint} moves {found}")
    return faults
