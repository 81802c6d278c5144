"""The renderer against closed forms: planes, spheres and vertices that project onto pixel centres."""

import numpy as np
import pytest
import trimesh

from hand_mesh_ros.core.place.skin_depth import vertex_normals
from hand_mesh_ros.synthetic.render import Light, render

K = np.array([[210.0, 0, 60.3], [0, 205.0, 40.8], [0, 0, 1]])
SIZE = (120, 90)


def rays() -> np.ndarray:
    """(H, W, 3) rays with z = 1 through the pixel centres of SIZE."""
    u, v = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    return np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(u.shape)], axis=-1)


def grey(vertices: np.ndarray, value: float = 0.5) -> np.ndarray:
    return np.full((len(vertices), 3), value)


def sphere(centre: tuple[float, float, float], radius: float) -> tuple[np.ndarray, np.ndarray]:
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    return mesh.vertices + centre, mesh.faces


def test_depth_of_a_slanted_plane_is_exact_in_every_pixel() -> None:
    normal, offset = np.array([0.3, -0.2, 1.0]), 0.6
    corners = np.array([[-2.0, -2.0], [2.0, -2.0], [2.0, 2.0], [-2.0, 2.0]])
    vertices = np.c_[corners, offset - corners @ normal[:2]]
    picture = render(vertices, np.array([[0, 1, 2], [0, 2, 3]]), grey(vertices), K, SIZE)
    np.testing.assert_allclose(picture.depth_m, offset / (rays() @ normal), rtol=3e-6)
    assert set(np.unique(picture.triangle)) == {0, 1}


def test_vertices_on_pixel_centres_are_found_there() -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[10:80:7, 10:110:9]
    depth = rng.uniform(0.5, 0.52, rows.shape)
    vertices = (rays()[rows, columns] * depth[..., None]).reshape(-1, 3)
    ids = np.arange(rows.size).reshape(rows.shape)
    upper = np.stack([ids[:-1, :-1], ids[:-1, 1:], ids[1:, 1:]], -1).reshape(-1, 3)
    lower = np.stack([ids[:-1, :-1], ids[1:, 1:], ids[1:, :-1]], -1).reshape(-1, 3)
    picture = render(vertices, np.concatenate([upper, lower]), grey(vertices), K, SIZE)
    inner = (slice(1, -1), slice(1, -1))
    np.testing.assert_allclose(picture.depth_m[rows, columns][inner], depth[inner], atol=1e-6)


def test_a_square_between_pixel_centres_covers_exactly_the_centres_inside() -> None:
    left, right, top, bottom = 19.5, 30.5, 9.5, 14.5
    pixels = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    vertices = np.c_[(pixels - K[:2, 2]) / K[[0, 1], [0, 1]], np.ones(4)] * 0.7
    picture = render(vertices, np.array([[0, 1, 2], [0, 2, 3]]), grey(vertices), K, SIZE)
    rows, columns = np.nonzero(picture.triangle >= 0)
    assert (rows.min(), rows.max(), columns.min(), columns.max(), len(rows)) == (10, 14, 20, 30, 55)


def test_the_nearer_surface_hides_the_farther() -> None:
    near, faces = sphere((0.0, 0.0, 0.5), 0.03)
    far, _ = sphere((0.0, 0.0, 0.8), 0.2)
    vertices = np.concatenate([far, near])
    picture = render(vertices, np.concatenate([faces, faces + len(far)]), grey(vertices), K, SIZE)
    row, column = np.round(K[[1, 0], 2]).astype(int)
    assert picture.triangle[row, column] >= len(faces)
    assert picture.depth_m[row, column] == pytest.approx(0.47, abs=1e-4)


def test_winding_changes_nothing() -> None:
    vertices, faces = sphere((0.02, 0.01, 0.4), 0.05)
    one, other = (render(vertices, wound, grey(vertices), K, SIZE) for wound in (faces, faces[:, ::-1]))
    np.testing.assert_array_equal(one.rgb, other.rgb)
    np.testing.assert_allclose(one.depth_m, other.depth_m, atol=1e-6)


def test_the_side_towards_the_light_is_brighter() -> None:
    vertices, faces = sphere((0.0, 0.0, 0.4), 0.06)
    picture = render(vertices, faces, grey(vertices), K, SIZE, Light(direction=(-1.0, 0.0, -0.2)))
    row, column = np.round(K[[1, 0], 2]).astype(int)
    assert picture.rgb[row, column - 20].mean() > 1.5 * picture.rgb[row, column + 20].mean()


def test_shadow_falls_on_the_plane_behind_a_ball() -> None:
    ball, faces = sphere((0.0, 0.0, 0.4), 0.02)
    plane = np.array([[-2.0, -2, 0.5], [2, -2, 0.5], [2, 2, 0.5], [-2, 2, 0.5]])
    vertices, triangles = np.concatenate([plane, ball]), np.concatenate([[[0, 1, 2], [0, 2, 3]], faces + 4])
    light = Light(direction=(-1.0, 0.0, -1.0), shadows=True)
    lit = render(vertices, triangles, grey(vertices), K, SIZE, Light(direction=light.direction, shadows=False))
    shaded = render(vertices, triangles, grey(vertices), K, SIZE, light)
    darker = (shaded.rgb[..., 1] + 20.0 < lit.rgb[..., 1]) & (shaded.triangle < 2)
    rows, columns = np.nonzero(darker)
    # The shadow's centre lies where the line from the light through the ball's centre meets the plane: x = 0.1 at z = 0.5.
    assert columns.mean() == pytest.approx(K[0, 0] * 0.1 / 0.5 + K[0, 2], abs=2.0)
    assert rows.mean() == pytest.approx(K[1, 2], abs=1.0)


def test_the_glow_reaches_a_corner_half_as_much_as_an_open_wall() -> None:
    # A wall across the view and one that comes out of it at a right angle: a point in their corner sees half of the sky.
    flat = np.array([[-1.0, -1, 2], [0, -1, 2], [0, 1, 2], [-1, 1, 2], [0, -1, 1], [0, 1, 1]])
    rows = np.linspace(0, 1, 41)
    grid = np.stack(np.meshgrid(rows, rows, indexing="ij"), -1).reshape(-1, 2)

    def patch(corners: np.ndarray) -> np.ndarray:
        a, b, c, d = corners
        s, t = grid[:, :1], grid[:, 1:]
        return (1 - s) * (1 - t) * a + s * (1 - t) * b + s * t * c + (1 - s) * t * d

    index = np.arange(41 * 41).reshape(41, 41)
    quad = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], -1).reshape(-1, 4)
    one = np.concatenate([quad[:, [0, 2, 1]], quad[:, [0, 3, 2]]])  # wound towards the camera
    vertices = np.concatenate([patch(flat[[0, 1, 2, 3]]), patch(flat[[1, 4, 5, 2]])])
    faces = np.concatenate([one, one + 41 * 41])
    glow = Light(key=(0, 0, 0), sky=(1, 1, 1), ground=(1, 1, 1), gloss=0.0, occlusion=True)
    rgb = render(vertices, faces, grey(vertices, 1.0), K, SIZE, glow).rgb.astype(float)
    row = rgb[SIZE[1] // 2, :, 0]
    seen = np.flatnonzero(row > 0)
    corner = round(K[0, 2])
    linear = (row / 255) ** 2.2
    assert 0.4 < linear[corner - 2] / linear[seen[0] + 1] < 0.7


def test_background_shows_around_the_mesh_and_edges_are_mixed() -> None:
    vertices, faces = sphere((0.0, 0.0, 0.4), 0.04)
    background = np.full((SIZE[1], SIZE[0], 3), (10, 200, 30), np.uint8)
    sharp = render(vertices, faces, grey(vertices), K, SIZE, background=background, smooth_edges=False)
    smooth = render(vertices, faces, grey(vertices), K, SIZE, background=background)
    np.testing.assert_array_equal(sharp.rgb[sharp.triangle < 0], background[sharp.triangle < 0])
    np.testing.assert_array_equal(sharp.depth_m, smooth.depth_m)
    changed = np.any(sharp.rgb != smooth.rgb, axis=-1)
    assert 0.2 < changed.sum() / (2 * np.pi * K[0, 0] * 0.1) < 3.0, "about the pixels of the outline"
    assert np.array_equal(background, np.full_like(background, (10, 200, 30))), "the caller's background must stay"


def test_mesh_outside_the_view_or_behind_the_camera_leaves_the_background() -> None:
    vertices, faces = sphere((0.0, 0.0, 0.4), 0.04)
    for offset in ((5.0, 0.0, 0.0), (0.0, 0.0, -1.0)):
        picture = render(vertices + offset, faces, grey(vertices), K, SIZE)
        assert not picture.rgb.any()
        assert (picture.triangle == -1).all()


def test_a_mesh_around_the_camera_is_seen_from_inside() -> None:
    vertices, faces = sphere((0.0, 0.0, 0.0), 0.5)
    picture = render(vertices, faces, grey(vertices), K, SIZE)
    np.testing.assert_allclose(picture.depth_m * np.linalg.norm(rays(), axis=-1), 0.5, atol=2e-3)


def test_vertex_normals_of_a_sphere_are_its_radii() -> None:
    vertices, faces = sphere((0.0, 0.0, 0.0), 2.0)
    np.testing.assert_allclose(vertex_normals(vertices, faces), vertices / 2.0, atol=0.02)


def test_wrong_input_is_named() -> None:
    vertices, faces = sphere((0.0, 0.0, 0.4), 0.04)
    with pytest.raises(ValueError, match="vertex_colours"):
        render(vertices, faces, grey(vertices)[:-1], K, SIZE)
    with pytest.raises(ValueError, match="background"):
        render(vertices, faces, grey(vertices), K, SIZE, background=np.zeros((5, 5, 3), np.uint8))
    with pytest.raises(ValueError, match="not finite"):
        render(vertices * np.nan, faces, grey(vertices), K, SIZE)
    with pytest.raises(ValueError, match="faces name vertices"):
        render(vertices[:5], faces, grey(vertices[:5]), K, SIZE)
