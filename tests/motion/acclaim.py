"""Acclaim figures at random, as text, and where their bones are: by the format's definition, a bone at a time.

Shares no code with the reader: matrices are lists, and the text is not parsed but written.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

Matrix = list[list[float]]
Vector = list[float]


@dataclass
class Bone:
    name: str
    parent: str
    direction: Vector
    length: float
    axis: Vector
    order: str
    dof: list[str] = field(default_factory=list)


@dataclass
class Figure:
    length: float
    radians: bool
    order: list[str]
    position: Vector
    orientation: Vector
    axis: str
    bones: list[Bone]
    frames: list[dict[str, list[float]]]
    """Joint -> the numbers of its dof."""


def random_figure(seed: int, frames: int = 4) -> Figure:
    """A tree of bones with every order of axes, any dof and unit."""
    chance = random.Random(seed)
    turn = math.pi if (radians := chance.random() < 0.3) else 180.0

    def numbers(size: float, count: int = 3) -> Vector:
        return [round(chance.uniform(-size, size), 6) for _ in range(count)]

    def order() -> str:
        return "".join(chance.sample("XYZ", 3))

    bones: list[Bone] = []
    for number in range(chance.randint(1, 9)):
        parent = chance.choice(["root", *(bone.name for bone in bones)])
        dof = chance.sample(["rx", "ry", "rz"], chance.randint(0, 3))
        dof += chance.sample(["tx", "ty", "tz"], chance.choice([0, 0, 0, 1, 3]))
        chance.shuffle(dof)
        bones.append(
            Bone(f"bone{number}", parent, numbers(1), round(chance.uniform(0, 9), 6), numbers(turn), order(), dof)
        )
    for bone in bones:
        if any(other.parent == bone.name for other in bones) and chance.random() < 0.3:
            bone.dof.append("l")
    figure = Figure(
        chance.choice([1.0, 0.45, 2.54]),
        radians,
        chance.sample(["tx", "ty", "tz", "rx", "ry", "rz"], 6),
        numbers(3),
        numbers(turn),
        order(),
        bones,
        [],
    )
    dofs = {"root": figure.order, **{bone.name: bone.dof for bone in bones if bone.dof}}
    for _ in range(frames):
        values = {n: [numbers(turn if t[0] == "r" else 2.0, 1)[0] for t in dof] for n, dof in dofs.items()}
        figure.frames.append(values)
    return figure


def asf_text(figure: Figure) -> str:
    lines = [":version 1.10", ":name F", ":units", f" mass 1.0\n length {figure.length}"]
    lines += [f" angle {'rad' if figure.radians else 'deg'}", ":root", f" order {' '.join(figure.order).upper()}"]
    lines += [
        f" axis {figure.axis}",
        f" position {_text(figure.position)}",
        f" orientation {_text(figure.orientation)}",
    ]
    lines.append(":bonedata")
    for number, bone in enumerate(figure.bones, 1):
        lines += ["begin", f" id {number}", f" name {bone.name}", f" direction {_text(bone.direction)}"]
        lines += [f" length {bone.length!r}", f" axis {_text(bone.axis)} {bone.order}"]
        if bone.dof:
            limits = "\n   ".join("(-1.0 1.0)" for _ in bone.dof)
            lines += [f" dof {' '.join(bone.dof)}", f" limits {limits}"]
        lines.append("end")
    lines += [":hierarchy", "begin"]
    for parent in ("root", *(bone.name for bone in figure.bones)):
        children = [bone.name for bone in figure.bones if bone.parent == parent]
        lines += [" ".join([parent, *children])] * bool(children)
    return "\n".join([*lines, "end", ""])


def amc_text(figure: Figure) -> str:
    lines = [":FULLY-SPECIFIED", ":RADIANS" if figure.radians else ":DEGREES"]
    for number, frame in enumerate(figure.frames, 1):
        lines += [str(number), *(f"{name} {_text(values)}" for name, values in frame.items())]
    return "\n".join([*lines, ""])


def _text(values: Vector) -> str:
    return " ".join(map(repr, values))


def spans(figure: Figure, frame: int) -> dict[str, tuple[Vector, Vector]]:
    """Joint -> where its bone begins and where it ends, in the unit that the reader tells."""
    scale = 1.0 if figure.length == 0.45 else figure.length
    unit = 1.0 if figure.radians else math.pi / 180
    values = figure.frames[frame]
    motion = dict(zip(figure.order, values["root"], strict=True))
    preset = _turns(figure.axis, {a: v * unit for a, v in zip("XYZ", figure.orientation, strict=True)})
    turned = _turns(_turning(figure.order), {t[1].upper(): motion[t] * unit for t in motion if t[0] == "r"})
    world = {"root": _times(turned, preset)}
    start = [(p + motion["t" + axis]) * scale for p, axis in zip(figure.position, "xyz", strict=True)]
    found = {"root": (start, start)}
    for bone in figure.bones:  # a parent comes before its children
        axes = _turns(bone.order, {a: v * unit for a, v in zip("XYZ", bone.axis, strict=True)})
        motion = dict(zip(bone.dof, values.get(bone.name, []), strict=True))
        own = _turns(_turning(bone.dof), {t[1].upper(): motion[t] * unit for t in motion if t[0] == "r"})
        above = world[bone.parent]
        shift = _apply(above, _apply(axes, [motion.get("t" + axis, 0.0) * scale for axis in "xyz"]))
        start = [a + b for a, b in zip(found[bone.parent][1], shift, strict=True)]
        world[bone.name] = _times(above, _times(axes, _times(own, _transposed(axes))))
        reach = (bone.length + motion.get("l", 0.0)) * scale
        along = _apply(world[bone.name], [reach * d for d in bone.direction])
        found[bone.name] = (start, [a + b for a, b in zip(start, along, strict=True)])
    return found


def _turning(dof: list[str]) -> str:
    return "".join(token[1].upper() for token in dof if token[0] == "r")


def _turns(order: str, angles: dict[str, float]) -> Matrix:
    """Turns about fixed axes, one after another: each new one comes from the left."""
    whole = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    for axis in order:
        s, c = math.sin(angles[axis]), math.cos(angles[axis])
        one = {
            "X": [[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]],
            "Y": [[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]],
            "Z": [[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]],
        }[axis]
        whole = _times(one, whole)
    return whole


def _times(a: Matrix, b: Matrix) -> Matrix:
    return [[sum(a[i][k] * b[k][j] for k in range(3)) for j in range(3)] for i in range(3)]


def _apply(a: Matrix, v: Vector) -> Vector:
    return [sum(a[i][k] * v[k] for k in range(3)) for i in range(3)]


def _transposed(a: Matrix) -> Matrix:
    return [list(row) for row in zip(*a, strict=True)]


PERSON = """lhipjoint root 0.6 -0.8 0 2.3 0 0
lfemur lhipjoint 0.34202 -0.939693 0 7.4 20 rx ry rz
ltibia lfemur 0.34202 -0.939693 0 7.1 20 rx
lfoot ltibia 0 -0.3 0.953939 2.4 20 rx rz
rhipjoint root -0.6 -0.8 0 2.3 0 0
rfemur rhipjoint -0.34202 -0.939693 0 7.4 -20 rx ry rz
rtibia rfemur -0.34202 -0.939693 0 7.1 -20 rx
rfoot rtibia 0 -0.3 0.953939 2.4 -20 rx rz
lowerback root 0 1 0 4.5 0 rx ry rz
thorax lowerback 0 1 0 4.5 0 rx ry rz
lowerneck thorax 0 1 0 2 0 rx ry rz
head lowerneck 0 1 0 2 0 rx ry rz
lhumerus thorax 1 0 0 5 90 rx rz
lradius lhumerus 1 0 0 3 90 rx
rhumerus thorax -1 0 0 5 -90 rx rz
rradius rhumerus -1 0 0 3 -90 rx"""
"""Bone, the one above it, direction, length, turn of its axes about z, and its dof, in the unit of the CMU library."""


def person(seed: int, frames: int = 120) -> Figure:
    """Somebody who walks along z at 120 frames a second, in a way of their own."""
    chance = random.Random(seed)
    bones = []
    for line in PERSON.splitlines():
        name, parent, x, y, z, length, turn, *dof = line.split()
        direction = [float(x), float(y), float(z)]
        dof = [token for token in dof if token != "0"]
        bones.append(Bone(name, parent, direction, float(length), [0.0, 0.0, float(turn)], "XYZ", dof))
    order = ["tx", "ty", "tz", "rx", "ry", "rz"]
    figure = Figure(0.45, False, order, [0.0] * 3, [0.0] * 3, "XYZ", bones, [])
    waves = {bone.name: [(chance.uniform(5, 25), chance.uniform(0, 7)) for _ in bone.dof] for bone in bones if bone.dof}
    pace = chance.uniform(0.08, 0.16)
    for number in range(frames):
        phase = number / 20
        turns = {name: [round(a * math.sin(phase + b), 6) for a, b in pairs] for name, pairs in waves.items()}
        root = [
            0.0,
            round(17 + 0.2 * math.sin(2 * phase), 6),
            round(pace * number, 6),
            0.0,
            round(4 * math.sin(phase), 6),
            0.0,
        ]
        figure.frames.append({"root": root, **turns})
    return figure
