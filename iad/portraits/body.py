"""A rendered person's body: head and clothes in one painted mesh, strands, and the light baked onto both.

`build_body` puts the mesh together, `grow_strands` gives it hair, brows and beard, `bake_light` lets light
fall on them at rest. `RenderedPerson` keeps the results and moves them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from iad.geometry.coefficients import COEFFICIENTS
from iad.geometry.head import Head
from iad.portraits import shading
from iad.portraits.appearance import Appearance, Lighting
from iad.portraits.clothing import create_clothes, create_glasses, paint_clothes
from iad.portraits.shading import CLOTH, EYE, LASH, MOUTH, SKIN, TEETH
from iad.portraits.skin import lip_mask, paint_skin
from iad.portraits.strands import (
    STYLES,
    Skull,
    Strands,
    beard_mask,
    grow_beard,
    grow_brows,
    grow_hair,
    scalp_mask,
    smoothstep,
)

NECK_LIFT = 3.2  # the head's neck is long; shorter, so that clothes come into the frame
# How far red, green and blue light creep around the edge of skin.
SKIN_WRAP = np.array([0.34, 0.18, 0.12], np.float32)
_PARTS = {
    "face": SKIN, "head": SKIN, "mouth_socket": MOUTH, "eye_sockets": MOUTH, "gums": MOUTH, "teeth": TEETH,
    "sclera_L": EYE, "sclera_R": EYE, "eyelashes": LASH,
}  # fmt: skip
_BEARD_LENGTHS = {"short beard": 0.4, "full beard": 0.85, "moustache": 0.45, "goatee": 0.55}


@dataclass(frozen=True)
class Body:
    """What is drawn of a person: one mesh of head and clothes at rest, its paint and its baked light.

    The first m vertices belong to the head and move. `local` is the direction from the middle of the eyeball
    and +1 or -1 for the left or right one, `veil` how opaque the lashes are; `inside` marks the mouth;
    `visible` is each vertex's share of light from every direction, `still_light` the light on it at rest.
    """

    rest: Float[np.ndarray, "v 3"]
    expression: Float[np.ndarray, "e m 3"]
    triangles: Int[np.ndarray, "t 3"]
    material: Int[np.ndarray, " t"]
    lashes: Int[np.ndarray, "l 3"]
    veil: Float[np.ndarray, " v"]
    albedo: Float[np.ndarray, "v 3"]
    gloss: Float[np.ndarray, " v"]
    stiff: Float[np.ndarray, " v"]
    local: Float[np.ndarray, "v 4"]
    inside: Bool[np.ndarray, " v"]
    landmarks: Int[np.ndarray, " 68"]
    visible: Float[np.ndarray, "m d"] | None = None
    still_light: Float[np.ndarray, "v 3"] | None = None


@dataclass(frozen=True)
class LitStrands:
    """One group of a person's strands, with the light that reaches it."""

    strands: Strands
    stiff: Float[np.ndarray, "s k"]
    ambient: Float[np.ndarray, "s k 3"]
    direct: Float[np.ndarray, "s k"]
    shine: float


def unit(vector: Sequence[float] | np.ndarray) -> Float[np.ndarray, "3"]:
    """Scale a vector to length 1."""
    vector = np.asarray(vector, np.float32)
    return vector / np.linalg.norm(vector)


def _slope(points):
    """Height along the neck: the chin, which is in front, counts as higher than the neck behind it."""
    return points[..., 1] + 0.5 * points[..., 2]


def lift_neck(
    points: Float[np.ndarray, "v 3"], generic: Float[np.ndarray, "v 3"], *, slim: float
) -> Float[np.ndarray, "v 3"]:
    """Shorten the neck of a shaped head, and make it `slim` times as wide."""
    lifted = points.copy()
    low = _slope(generic)
    lifted[:, 1] += NECK_LIFT * smoothstep(-5, -13, low)
    lifted[:, 0] *= 1 - (1 - slim) * smoothstep(-3.5, -8.5, low)
    return lifted.astype(np.float32)


def _stiffness(points):
    return smoothstep(-11.0, -4.5, _slope(points)).astype(np.float32)


def build_body(
    head: Head, points: Float[np.ndarray, "v 3"], looks: Appearance, rng: np.random.Generator
) -> Body:
    """Lay head and clothes together into one painted mesh; `points` have this person's shape, neck lifted."""
    parts = head.parts
    names = [name for name in _PARTS if parts[name].stop > parts[name].start]
    chosen = np.concatenate([np.arange(parts[n].start, parts[n].stop) for n in names])
    number = np.full(len(points), -1)
    number[chosen] = np.arange(len(chosen))
    points = points.copy()
    local = np.zeros((len(points), 4), np.float32)
    for side, sign in (("L", 1.0), ("R", -1.0)):
        ball = parts[f"sclera_{side}"]
        points[ball], local[ball, :3] = _round_eye(points[ball])
        local[ball, 3] = sign
    albedo, gloss = _paint_head(head, looks, rng)
    veil = np.zeros(len(points), np.float32)
    veil[parts["eyelashes"]] = _lash_veil(head) * looks.lashes
    owner = np.full(len(points), -1)
    for name in names:
        owner[parts[name]] = _PARTS[name]
    triangles = head.triangles[(number[head.triangles] >= 0).all(axis=1)]
    material = owner[triangles].max(axis=1)
    cloth, cloth_triangles, maps = create_clothes(looks.traits.clothes, rng)
    cloth, wide = _fit_clothes(cloth, points[head.landmarks], head.neutral[head.landmarks], looks.slim)
    middles = points[triangles].mean(axis=1), head.neutral[triangles].mean(axis=1)
    solid = (material != LASH) & ~((material == SKIN) & _under_clothes(*middles, wide))
    shell = len(cloth)
    return Body(
        rest=np.concatenate([points[chosen], cloth]).astype(np.float32),
        expression=np.ascontiguousarray(head.expression[:, chosen]).astype(np.float32),
        triangles=np.concatenate([number[triangles[solid]], cloth_triangles + len(chosen)]).astype(np.int32),
        material=np.concatenate([material[solid], np.full(len(cloth_triangles), CLOTH)]).astype(np.int32),
        lashes=number[triangles[material == LASH]].astype(np.int32),
        veil=np.concatenate([veil[chosen], np.zeros(shell)]).astype(np.float32),
        albedo=np.concatenate([albedo[chosen], paint_clothes(maps, looks, rng)]).astype(np.float32),
        gloss=np.concatenate([gloss[chosen], np.full(shell, 0.12)]).astype(np.float32),
        stiff=np.concatenate([_stiffness(head.neutral[chosen]), np.zeros(shell)]).astype(np.float32),
        local=np.concatenate([local[chosen], np.zeros((shell, 4))]).astype(np.float32),
        inside=np.concatenate([np.isin(owner[chosen], (MOUTH, TEETH)), np.zeros(shell, bool)]),
        landmarks=number[head.landmarks],
    )


def _fit_clothes(cloth, marks, generic, slim):
    """Widen clothes with the jaw, hang them by the chin; return them and the width of the neckline."""
    wide = (marks[14, 0] - marks[2, 0]) / (generic[14, 0] - generic[2, 0])
    low = min(marks[8, 1] - generic[8, 1], 0.6) - 0.45
    across = slim + (1 - slim) * smoothstep(7, 13, np.abs(cloth[:, 0]))
    fitted = cloth * np.array([wide, 1, 0.5 + 0.5 * wide])
    fitted[:, 0] *= across
    return fitted + np.array([0, low, 0]), wide * slim


def _paint_head(head, looks, rng):
    parts, generic = head.parts, head.neutral
    albedo, gloss = np.ones((len(generic), 3), np.float32), np.zeros(len(generic), np.float32)
    skin = np.r_[parts["face"], parts["head"]]
    albedo[skin], gloss[skin] = paint_skin(generic[skin], generic[head.landmarks], looks, rng)
    inner = {"mouth_socket": (0.20, 0.05, 0.045), "gums": (0.38, 0.10, 0.09), "teeth": (0.74, 0.67, 0.56)}
    for name, tint in inner.items():
        dark = smoothstep(4.5, 10.8, generic[parts[name], 2]) ** 1.4 * 0.8 + 0.03
        albedo[parts[name]] = dark[:, None] * np.array(tint)
    albedo[parts["eye_sockets"]] = looks.skin * 0.3
    gloss[parts["teeth"]], gloss[parts["gums"]] = 0.4, 0.7
    return albedo, gloss


def _lash_veil(head):
    """Opacity of the lashes: 1 at the lid, 0 at the tips, the lower ones weak."""
    lashes = head.neutral[head.parts["eyelashes"]]
    marks = head.neutral[head.landmarks]
    distance = np.full(len(lashes), np.inf)
    for start in (36, 42):
        ring = np.concatenate([marks[start : start + 6], marks[start : start + 1]])
        steps = np.linspace(0, 6, 60)
        fine = np.stack([np.interp(steps, np.arange(7), ring[:, k]) for k in range(3)], axis=1)
        distance = np.minimum(distance, np.linalg.norm(lashes[:, None] - fine[None], axis=-1).min(axis=1))
    lower = lashes[:, 1] < marks[36:48, 1].mean() - 0.15
    return smoothstep(0.75, 0.05, distance) * np.where(lower, 0.3, 1.0)


def _round_eye(points):
    """Make a ball of the eye; return its points and their directions from its middle."""
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    radius = (points[:, :2].max(axis=0) - points[:, :2].min(axis=0)).mean() / 2
    middle[2] = points[:, 2].min() + radius
    direction = points - middle
    direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-6
    return middle + direction * radius, direction


def _under_clothes(points, generic, wide) -> Bool[np.ndarray, " n"]:
    """Skin of the shoulders outside the neckline, which no garment lets through."""
    outside = np.hypot(points[:, 0] / (6.3 * wide), (points[:, 2] + 1.0) / 7.0) > 1
    return outside & (_slope(generic) < -7.5)


def grow_strands(
    head: Head, points: Float[np.ndarray, "v 3"], looks: Appearance, rng: np.random.Generator
) -> list[Strands]:
    """Grow scalp hair, brows and beard on this person's skin."""
    skin = head.triangles_of("face", "head")
    corners, generic = points[skin], head.neutral[skin].mean(axis=1)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1)
    traits, groups = looks.traits, []
    man = traits.presentation == "man"

    def scatter(mask, count):
        weight = area * mask
        if weight.sum() <= 0:
            return None
        picked = rng.choice(len(skin), count, p=weight / weight.sum())
        share = rng.dirichlet((1, 1, 1), count)[..., None]
        return (corners[picked] * share).sum(axis=1), cross[picked] / (area[picked, None] + 1e-9), picked

    if traits.hair in STYLES:
        mask = scalp_mask(generic, style=traits.hair, recede=rng.uniform(-0.2, 0.4) + 0.5 * man, rng=rng)
        found = scatter(mask, STYLES[traits.hair].strands)
        if found:
            skull = Skull(points[np.r_[head.parts["face"], head.parts["head"]]])
            grey = 0.12 if traits.age == "older" else 0.0
            given = {"thick": mask[found[2]], "skull": skull, "colour": looks.hair, "grey": grey}
            groups.append(grow_hair(traits.hair, found[0], found[1], **given, rng=rng))
    thickness = rng.uniform(0.75, 1.2) * (1.1 if man else 0.75)
    brow_colour = looks.brows * 0.85 + looks.skin * 0.1
    face, marks = points[head.parts["face"]], points[head.landmarks]
    groups.append(grow_brows(face, marks, colour=brow_colour, thickness=thickness, rng=rng))
    if traits.glasses == "glasses":
        groups.append(create_glasses(marks, rng))
    if traits.beard in _BEARD_LENGTHS:
        lips = lip_mask(generic, head.neutral[head.landmarks])
        found = scatter(beard_mask(generic, lips, traits.beard) ** 2 * (generic[:, 1] > -9), 4500)
        if found:
            given = {"length": _BEARD_LENGTHS[traits.beard], "colour": looks.hair * 0.7 + looks.skin * 0.06}
            groups.append(grow_beard(found[0], found[1], skin[found[2], 0], **given, rng=rng))
    return groups


def bake_light(body: Body, groups: list[Strands], looks: Appearance) -> tuple[Body, tuple[LitStrands, ...]]:
    """Bake what vertices and strands see of the light, at rest and with eyes shut and mouth open."""
    directions = shading.sphere_directions()
    hair = np.concatenate([g.points.reshape(-1, 3) for g in groups]).astype(np.float32)
    solid = body.triangles[np.isin(body.material, (SKIN, CLOTH))]
    moving = body.expression.shape[1]
    opened = body.rest.copy()
    for name, weight in (("eyeBlink_L", 1.0), ("eyeBlink_R", 1.0), ("jawOpen", 0.6)):
        opened[:moving] += weight * body.expression[COEFFICIENTS.index(name)]
    baked = []
    for shape in (body.rest, opened):
        normals = np.empty_like(shape)
        shading.vertex_normals(shape, body.triangles, normals)
        baked.append(shading.bake_visibility(shape, normals, solid, hair, directions, 112, 24.0))
    (visible, through), (later, _) = baked
    # Lids and lips lie folded away at rest: what they see once they come out is what counts.
    visible = np.where(body.local[:, 3:] != 0, visible, np.maximum(visible, later * 0.95))
    visible[body.inside] = 0.85
    normals = np.empty_like(body.rest)
    shading.vertex_normals(body.rest, body.triangles, normals)
    still = np.empty_like(body.rest)
    light = looks.lighting
    shading.gather_light(normals, visible, directions, radiance(directions, light), SKIN_WRAP * 0.5, still)
    body = replace(body, visible=np.ascontiguousarray(visible[:moving]), still_light=still)
    return body, tuple(_light_strands(through, groups, light, directions))


def _light_strands(through, groups, light, directions):
    toward = np.exp(6 * (directions @ unit(light.key) - 1))
    direct = through @ (toward / toward.sum())
    sky = radiance(directions, replace(light, key_colour=(0.0, 0.0, 0.0)))
    ambient = through @ sky * 0.55
    start = 0
    for group in groups:
        s, k = group.points.shape[:2]
        part = slice(start, start + s * k)
        start += s * k
        yield LitStrands(
            strands=group,
            stiff=_stiffness(group.points),
            ambient=ambient[part].reshape(s, k, 3).astype(np.float32),
            direct=direct[part].reshape(s, k).astype(np.float32),
            shine=group.shine,
        )


def radiance(directions: Float[np.ndarray, "d 3"], light: Lighting) -> Float[np.ndarray, "d 3"]:
    """Linear light from every direction: sky over ground, a key light, a rim from behind."""
    up = (directions[:, 1:2] + 1) / 2
    ambient = np.array(light.ground) * (1 - up) + np.array(light.sky) * up
    # Normalised over the sphere, so that a soft key is as bright in all as a hard one.
    lobe = np.exp(light.sharpness * (directions @ unit(light.key) - 1)) * 2 * light.sharpness
    lobe = lobe / (1 - np.exp(-2 * light.sharpness))
    behind = np.maximum(directions @ unit((-light.key[0], 0.5, -0.7)), 0) ** 3 * light.rim
    total = ambient * 4 + lobe[:, None] * np.array(light.key_colour) * 0.62 + behind[:, None] * 6
    return (total / len(directions)).astype(np.float32)
