"""Image files, their orientation and their depth."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from hand_mesh_ros.sources import photograph
from hand_mesh_ros.sources.assumed_camera import GivenCamera

NO_CAMERA = GivenCamera()
# A quarter of the picture is bright: the upper left one.
PICTURE = np.zeros((40, 60, 3), np.uint8)
PICTURE[:20, :30] = (200, 180, 160)


def with_orientation(path: Path, orientation: int) -> None:
    """Writes the EXIF orientation into a JPEG file."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    exif = b"Exif\0\0" + struct.pack("<2sHIH", b"II", 42, 8, 1) + entry + struct.pack("<I", 0)
    content = path.read_bytes()
    path.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:])


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif", ".webp", ".ppm", ".jp2"])
def test_image_formats_are_read_as_rgb(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), PICTURE[..., ::-1])
    rgb = photograph.load(path, NO_CAMERA).rgb
    assert suffix in photograph.SUFFIXES
    np.testing.assert_allclose(rgb[10, 15], (200, 180, 160), atol=8)
    np.testing.assert_allclose(rgb[30, 45], 0, atol=8)


def test_gray_images_and_images_with_transparency_are_read(tmp_path: Path) -> None:
    for channels in (1, 4):
        path = tmp_path / f"a{channels}.png"
        cv2.imwrite(str(path), np.full((8, 9, channels), 77, np.uint8))
        assert photograph.load(path, NO_CAMERA).rgb.shape == (8, 9, 3)


def test_the_image_is_turned_upright(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), PICTURE)
    with_orientation(path, 6)  # the camera was turned: the first row is the right side of the scene
    frame = photograph.load(path, GivenCamera(fov_deg=60))
    assert frame.rgb.shape == (60, 40, 3)
    assert frame.rgb[10, 30].min() > 100
    np.testing.assert_allclose(frame.camera_matrix[0, 2], 19.5)


def test_a_selfie_view_is_turned_back(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), PICTURE)
    frame = photograph.load(path, GivenCamera((50, 50, 20, 19)), mirrored=True)
    assert frame.rgb[5, 50].min() > 100
    assert frame.camera_matrix[0, 2] == 39


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\xff\xd8\xff\xe0 begins like a JPEG"])
def test_what_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.jpg is (empty|not an image)"):
        photograph.load(path, NO_CAMERA)
    with pytest.raises(ValueError, match=r"b\.jpg is missing"):
        photograph.load(tmp_path / "b.jpg", NO_CAMERA)


def test_depth_is_in_metres(tmp_path: Path) -> None:
    png, npy = tmp_path / "d.png", tmp_path / "d.npy"
    cv2.imwrite(str(png), np.array([[0, 500], [1234, 65535]], np.uint16))
    np.testing.assert_allclose(photograph.load_depth(png, (2, 2)), [[0, 0.5], [1.234, 65.535]], atol=1e-6)
    np.save(npy, np.array([[np.nan, 0.5]]))
    np.testing.assert_allclose(photograph.load_depth(npy, (1, 2)), [[np.nan, 0.5]])
    with pytest.raises(ValueError, match=r"d\.npy is 2x1 px, the image is 2x2 px"):
        photograph.load_depth(npy, (2, 2))


def test_depth_of_another_unit_is_refused(tmp_path: Path) -> None:
    colours, millimetres, text = tmp_path / "c.png", tmp_path / "mm.npy", tmp_path / "t.npy"
    cv2.imwrite(str(colours), PICTURE)
    np.save(millimetres, np.ones((2, 2), np.uint16))
    text.write_text("no array")
    for path, reason in ((colours, "3 channel"), (millimetres, "holds uint16, expected floating"), (text, "cannot be read")):
        with pytest.raises(ValueError, match=reason):
            photograph.load_depth(path, (2, 2))


@pytest.mark.parametrize(
    "camera", [{"pinhole_px": (0, 1, 2, 3)}, {"pinhole_px": (1, 1, np.nan, 0)}, {"fov_deg": 180}, {"fov_deg": -1}]
)
def test_a_camera_that_cannot_be_is_refused(camera: dict) -> None:
    with pytest.raises(ValueError, match=r"camera matrix|field of view"):
        GivenCamera(**camera)
