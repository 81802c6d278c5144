"""Renders a triangle mesh through a pinhole camera on the CPU: colours, exact depth, and the triangle at each pixel.

Embree (embreex) traces the rays, only inside the mesh's projected box. Direct calls without trimesh give triangle, barycentric
coordinates and depth in one query. The direction of a ray is (x/z, y/z, 1) without normalisation, so the distance from Embree is
the depth along z, not the length of the ray.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.place.skin_depth import vertex_normals
from hand_mesh_ros.core.types import require_shape

_NEAR_M = 1e-3
# A pixel is on an edge if the sum of the depth differences to its four neighbours exceeds this number of pixel widths.
_EDGE_PIXELS = 6.0
# Shadow rays start at this distance from the surface. Otherwise a curved surface of flat triangles would shadow itself.
_SHADOW_OFFSET_M = 2e-3
# Directions (16, 3) of the rays that test the ambient light at a vertex: a spiral over the half sphere, z along the normal.
_TURN, _RADIUS2 = np.pi * (3 - np.sqrt(5)) * np.arange(16), (np.arange(16) + 0.5) / 16
_GLOW_RAYS = np.stack([np.sqrt(_RADIUS2) * np.cos(_TURN), np.sqrt(_RADIUS2) * np.sin(_TURN), np.sqrt(1 - _RADIUS2)], axis=1)
# Sub-pixel positions (x, y) for edge pixels: a rotated grid, which is best for almost vertical and almost horizontal edges.
_REFINED = np.array([[-0.125, -0.375], [0.375, -0.125], [0.125, 0.375], [-0.375, 0.125]])
# Linear light in steps of 1/4095 to display values: the sRGB curve.
_LINEAR = np.linspace(0.0, 1.0, 4096)
_CURVE = np.where(_LINEAR <= 0.0031308, 12.92 * _LINEAR, 1.055 * _LINEAR ** (1 / 2.4) - 0.055)
_DISPLAY = np.round(255 * _CURVE).astype(np.uint8)
_FROM_DISPLAY = np.interp(np.arange(256), 255 * _CURVE, _LINEAR).astype(np.float32)


@dataclass(frozen=True)
class Light:
    """A distant key light, and ambient light of sky and ground. Linear rgb colours. Directions in the optical frame (y down)."""

    direction: tuple[float, float, float] = (-0.4, -0.7, -0.6)  # towards the light, any length
    key: tuple[float, float, float] = (0.75, 0.72, 0.68)
    sky: tuple[float, float, float] = (0.42, 0.44, 0.48)  # on surfaces that face up
    ground: tuple[float, float, float] = (0.16, 0.14, 0.13)  # on surfaces that face down
    gloss: float = 0.06  # strength of the highlight
    shadows: bool = False  # the mesh shadows itself; takes about a third more time
    occlusion: bool = False  # less ambient light in folds, for example between fingers; the face normals must point outwards


@dataclass(frozen=True)
class Rendering:
    """The view of the camera."""

    rgb: np.ndarray  # (H, W, 3) uint8
    depth_m: np.ndarray  # (H, W) float32 along z at the pixel's centre, 0 for the background
    triangle: np.ndarray  # (H, W) int32 index into the faces, -1 for the background


_DEFAULT_LIGHT = Light()


def render(
    vertices: np.ndarray,
    faces: np.ndarray,
    vertex_colours: np.ndarray,
    camera_matrix: np.ndarray,
    size: tuple[int, int],
    light: Light = _DEFAULT_LIGHT,
    background: np.ndarray | None = None,
    smooth_edges: bool = True,
) -> Rendering:
    """Renders one mesh. To render several objects, join their vertices and faces.

    Pixel centres are at integers: depth and triangle at [v, u] belong to the ray through exactly (u, v). The two sides of a
    triangle look the same, so the winding does not matter. The image does not show points behind the camera.

    Args:
        vertices: (V, 3) metres in the optical frame (x right, y down, z forward).
        faces: (F, 3) vertex ids.
        vertex_colours: (V, 3) linear rgb in 0..1.
        camera_matrix: (3, 3) of a camera without distortion.
        size: width and height of the image in pixels.
        light: light on the mesh.
        background: (H, W, 3) uint8 display values, or None for black.
        smooth_edges: mix the colours of four rays per pixel at outlines; depth and triangle stay those of the pixel's centre.

    Raises:
        ValueError: if a shape is wrong, or a vertex or K is not finite.
    """
    _check(vertices, faces, vertex_colours, camera_matrix, size, background)
    rgb = np.zeros((*size[::-1], 3), np.uint8) if background is None else background.copy()
    depth_m, triangle = np.zeros(size[::-1], np.float32), np.full(size[::-1], -1, np.int32)
    pixels = _pixels_in_reach(vertices, faces, camera_matrix, size)
    if len(pixels):
        tracer = _Tracer(vertices, faces, vertex_colours, camera_matrix, light)
        hit, colours, depth, ids = tracer(pixels)
        u, v = pixels[hit].T
        rgb[v, u], depth_m[v, u], triangle[v, u] = _display(colours), depth, ids
        if smooth_edges:
            _refine_edges(rgb, background, depth_m, tracer, pixels)
    return Rendering(rgb, depth_m, triangle)


def _check(
    vertices: np.ndarray,
    faces: np.ndarray,
    vertex_colours: np.ndarray,
    camera_matrix: np.ndarray,
    size: tuple[int, int],
    background: np.ndarray | None,
) -> None:
    require_shape("vertices", vertices, (None, 3))
    require_shape("faces", faces, (None, 3))
    require_shape("vertex_colours", vertex_colours, (len(vertices), 3))
    require_shape("camera_matrix", camera_matrix, (3, 3))
    if min(size) < 1:
        raise ValueError(f"size is {size[0]}x{size[1]} px; width and height must be at least 1")
    if background is not None:
        require_shape("background", background, (size[1], size[0], 3))
    if not (np.isfinite(vertices).all() and np.isfinite(camera_matrix).all()):
        raise ValueError("vertices or camera_matrix contain numbers that are not finite")
    if len(faces) and not 0 <= faces.min() <= faces.max() < len(vertices):
        raise ValueError(f"faces name vertices {faces.min()} to {faces.max()}, but there are only {len(vertices)} vertices")


def _pixels_in_reach(vertices: np.ndarray, faces: np.ndarray, camera_matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns the pixels (N, 2) in the projected box of at least one triangle. The other pixels would take most of the time."""
    width, height = size
    if np.all(vertices[:, 2] <= _NEAR_M):
        return np.zeros((0, 2), int)
    if np.any(vertices[:, 2] <= _NEAR_M):  # triangles that pass through the camera plane can cover any pixel
        return np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).reshape(-1, 2)
    corners = project(vertices, camera_matrix)[faces]
    # The boxes have one more pixel on each side, because Embree calculates in float32.
    low, high = np.clip(np.floor(corners.min(1)), 0, size).astype(int), np.clip(np.ceil(corners.max(1)) + 1, 0, size).astype(int)
    origin = low.min(0)
    (left, top), (right, bottom) = (low - origin).T, (high - origin).T
    # Cumulative sums along the two axes, of +1 and -1 at the corners of each box, add 1 to each pixel of the box.
    rows, columns = bottom.max() + 1, right.max() + 1
    steps = np.concatenate([top * columns + left, bottom * columns + right, top * columns + right, bottom * columns + left])
    signs = np.repeat([1, 1, -1, -1], len(faces))
    boxes = np.bincount(steps, signs, minlength=rows * columns).reshape(rows, columns).astype(np.int32)
    v, u = np.nonzero(boxes.cumsum(0).cumsum(1)[:-1, :-1])
    return np.stack([u, v], axis=1) + origin


class _Tracer:
    """Sends rays through pixels (N, 2). Returns hit (N,) bool, and colours (M, 3), depth (M,) and ids (M,) of the M hits."""

    def __init__(
        self, vertices: np.ndarray, faces: np.ndarray, vertex_colours: np.ndarray, camera_matrix: np.ndarray, light: Light
    ) -> None:
        vertices32, faces32 = np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(faces, np.int32)
        self._scene = EmbreeScene(robust=True)  # robust: no ray passes between two adjacent triangles
        self._mesh = TriangleMesh(self._scene, vertices32, faces32)
        self._faces, self._light = faces32, light
        normals = vertex_normals(vertices32, faces32)
        openness = self._openness(vertices32, normals) if light.occlusion else np.ones(len(vertices32), np.float32)
        self._values = np.concatenate([normals, vertex_colours, openness[:, None]], axis=1, dtype=np.float32)
        self._ray_from_pixel = np.linalg.inv(camera_matrix)
        direction = np.asarray(light.direction, np.float32)
        self._towards_light = direction / np.linalg.norm(direction)
        self.pixel_m = float(np.median(vertices32[:, 2]) / camera_matrix[0, 0])

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        rays = pixels @ self._ray_from_pixel[:, :2].T + self._ray_from_pixel[:, 2]
        rays = np.ascontiguousarray(rays, np.float32)
        answer = self._scene.run(np.zeros_like(rays), rays, output=1)
        ids = answer["primID"]
        hit = ids >= 0
        seen = {key: answer[key][hit] for key in ("u", "v", "tfar", "Ng")}
        rays, ids = rays[hit], ids[hit]
        a, b, c = self._faces[ids].T
        blend_b, blend_c = seen["u"][:, None], seen["v"][:, None]
        values = (1 - blend_b - blend_c) * self._values[a] + blend_b * self._values[b] + blend_c * self._values[c]
        # The side of the triangle that the camera sees sets the sign of the normal. At outlines a vertex normal may point away.
        facing = np.where(np.einsum("nc,nc->n", seen["Ng"], rays) > 0, np.float32(-1), np.float32(1))
        normals = facing[:, None] * _unit(values[:, :3])
        colours = self._shade(normals, values[:, 3:], rays, rays * seen["tfar"][:, None])
        return hit, colours, seen["tfar"], ids

    def _shade(self, normals: np.ndarray, surface: np.ndarray, rays: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Returns linear rgb, (M, 3): diffuse reflection, ambient light and highlight. `surface`, (M, 4): colour and openness."""
        light, key = self._light, np.asarray(self._light.key, np.float32)
        halfway = _unit(self._towards_light - _unit(rays))
        diffuse = np.maximum(normals @ self._towards_light, 0)
        # Repeated squaring gives the 16th power much faster than numpy's power.
        highlight = np.maximum(np.einsum("nc,nc->n", normals, halfway), 0)
        highlight = light.gloss * np.square(np.square(np.square(np.square(highlight))))
        if light.shadows:
            facing = diffuse > 0
            lit = np.zeros(len(points), bool)
            lit[facing] = self._lit(normals[facing], points[facing])
            diffuse, highlight = diffuse * lit, highlight * lit
        up = 0.5 - 0.5 * normals[:, 1:2]
        glow = up * np.asarray(light.sky, np.float32) + (1 - up) * np.asarray(light.ground, np.float32)
        return surface[:, :3] * (diffuse[:, None] * key + surface[:, 3:] * glow) + highlight[:, None] * key

    def _openness(self, vertices: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Returns the share of ambient light, (V,), that reaches each vertex. More rays are near the normal: more light there."""
        aside = np.where(np.abs(normals[:, :1]) < 0.9, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
        tangent = _unit(np.cross(normals, aside))
        axes = np.stack([tangent, np.cross(normals, tangent), normals], axis=1)
        directions = (_GLOW_RAYS @ axes).swapaxes(0, 1).reshape(-1, 3)
        origins = np.tile(vertices + _SHADOW_OFFSET_M * normals, (len(_GLOW_RAYS), 1)).astype(np.float32)
        free = self._scene.run(origins, np.ascontiguousarray(directions, np.float32), query="OCCLUDED") < 0
        return free.reshape(len(_GLOW_RAYS), -1).mean(0).astype(np.float32)

    def _lit(self, normals: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Returns (M,) bool: the light reaches the point."""
        origins = points + _SHADOW_OFFSET_M * normals
        directions = np.broadcast_to(self._towards_light, origins.shape)
        return self._scene.run(origins, np.ascontiguousarray(directions), query="OCCLUDED") < 0


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Returns the vectors (N, 3) with length one; zero stays zero. This is several times as fast as numpy's norm."""
    return vectors / np.sqrt(np.maximum(np.einsum("nc,nc->n", vectors, vectors), 1e-24))[:, None]


def _refine_edges(
    rgb: np.ndarray, background: np.ndarray | None, depth_m: np.ndarray, tracer: _Tracer, pixels: np.ndarray
) -> None:
    """Overwrites pixels of `rgb` at jumps in depth with the mean of four rays per pixel. The search covers `pixels`."""
    low, high = np.maximum(pixels.min(0) - 1, 0), pixels.max(0) + 2
    window = depth_m[low[1] : high[1], low[0] : high[0]]
    # The second difference, because the first difference is also large on slanted surfaces.
    jump = np.abs(cv2.Laplacian(window, cv2.CV_32F)) > _EDGE_PIXELS * tracer.pixel_m
    v, u = np.nonzero(jump)
    if not len(v):
        return
    u, v = u + low[0], v + low[1]
    behind = np.zeros((len(v), 3), np.float32) if background is None else _FROM_DISPLAY[background[v, u]]
    samples = np.repeat(behind, len(_REFINED), axis=0)
    hit, colours, _, _ = tracer((np.stack([u, v], axis=1)[:, None] + _REFINED).reshape(-1, 2))
    samples[hit] = colours
    rgb[v, u] = _display(samples.reshape(len(v), len(_REFINED), 3).mean(1))


def _display(colours: np.ndarray) -> np.ndarray:
    """Returns sRGB bytes of linear colours."""
    return _DISPLAY[np.clip(colours * (len(_DISPLAY) - 1), 0, len(_DISPLAY) - 1).astype(np.int32)]
