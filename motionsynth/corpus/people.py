"""People of several sizes in one folder: their bones side by side, before anything is trained on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from motionsynth.corpus.bones import SAME_DIRECTION, bone_cosines, distinct_bones, leg_length, mean_bones
from motionsynth.corpus.labels import Labels
from motionsynth.features.spec import FeatureSpec
from motionsynth.motion.skeleton import FloatArray

__all__ = ["People", "compare_people"]

_ALIKE = 1e-3
"""Share of its mean by which the length of a bone may differ between files of one person."""


@dataclass(frozen=True, slots=True)
class People:
    """Lengths of the bones of people with the same joints, in the unit of most files.

    Args:
        label: the label whose classes they are; ``person`` where no label tells them apart.
        names: its classes, or numbers.
        joints: joints that bones lead to, where lengths differ; those that differ most, as a share of the mean, first.
        lengths: for each of these joints, of each person.
        legs: from the moving joint to the toes, of each person.
        cosines: the least of each person, between the directions of a bone at rest and of the mean of all people.
        odd: the joint of that bone.
    """

    label: str
    names: tuple[str, ...]
    joints: tuple[str, ...]
    lengths: tuple[tuple[float, ...], ...]
    legs: tuple[float, ...]
    cosines: tuple[float, ...]
    odd: tuple[str, ...]

    @property
    def strangers(self) -> tuple[str, ...]:
        """Those whose rest pose differs, so that their rotations mean other poses."""
        return tuple(name for name, cosine in zip(self.names, self.cosines, strict=True) if cosine < SAME_DIRECTION)


def compare_people(bones: Mapping[str, FloatArray], labels: Labels, spec: FeatureSpec) -> People | None:
    """Put the bones of people side by side; None where all are the same.

    Args:
        bones: file -> its bones, (J, 3) in the order and unit of the spec.
        labels: of the files.
        spec: of the corpus.
    """
    if not bones:
        return None
    distinct, whose = distinct_bones(list(bones.values()))
    if len(distinct) < 2:
        return None
    files: dict[int, list[str]] = {}
    for file, number in zip(bones, whose, strict=True):
        files.setdefault(number, []).append(file)
    label, person = _separating_label(files, labels)
    members: dict[str, list[FloatArray]] = {}
    for number, name in person.items():
        members.setdefault(name, []).append(distinct[number])
    bones_PJ3 = np.array([mean_bones(members[name]) for name in sorted(members)])
    mean = mean_bones(list(bones_PJ3))
    cosines_PJ = np.array([bone_cosines(bones, mean) for bones in bones_PJ3])
    lengths_PJ = np.linalg.norm(bones_PJ3, axis=-1)
    spread_J = np.ptp(lengths_PJ, axis=0) / np.maximum(lengths_PJ.mean(0), np.finfo(float).tiny)
    order = [int(joint) for joint in np.argsort(-spread_J, kind="stable") if spread_J[joint] > _ALIKE]
    return People(
        label,
        tuple(sorted(members)),
        tuple(spec.names[joint] for joint in order),
        tuple(tuple(lengths_PJ[:, joint].tolist()) for joint in order),
        tuple(leg_length(spec, bones) for bones in bones_PJ3),
        tuple(cosines_PJ.min(1).tolist()),
        tuple(spec.names[joint] for joint in cosines_PJ.argmin(1)),
    )


def _separating_label(files: Mapping[int, Sequence[str]], labels: Labels) -> tuple[str, dict[int, str]]:
    """The label that has one class for all files of the same bones, and most classes; number of bones -> class."""
    best = "person", {number: str(number + 1) for number in files}
    most = 1
    for label in labels.names:
        classes = {
            number: {labels.clips[file].classes[label] for file in members if file in labels.clips}
            for number, members in files.items()
        }
        if all(len(found) == 1 for found in classes.values()):
            person = {number: next(iter(found)) for number, found in classes.items()}
            if len(set(person.values())) > most:
                most, best = len(set(person.values())), (label, person)
    return best
