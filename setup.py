"""pip package of all parts that need no ROS: core, apps, training and the model files. CMakeLists.txt installs the ROS part."""

from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
FREE_OF_ROS = ("core", "synthetic", "sources", "viewer", "results", "apps")
MODELS = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "models").iterdir()) if path.is_file()]

setup(
    name="hand_mesh_ros",
    version=ElementTree.parse(ROOT / "package.xml").findtext("version"),
    description="Hand meshes with their uncertainty from a camera",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE", "LICENSES/*", "REUSE.toml"],
    python_requires=">=3.10",
    packages=find_packages(
        include=["hand_mesh_ros", "models_train*", *(f"hand_mesh_ros.{room}*" for room in FREE_OF_ROS)],
    ),
    package_data={"models_train": ["**/*.csv", "**/*.yaml", "**/*.json"]},
    # core.models.onnx_model.default_models_dir() looks in this folder. CMake installs the models there too.
    data_files=[("share/hand_mesh_ros/models", MODELS)],
    # These are lower bounds. requirements/ has the tested versions.
    install_requires=["click>=8.0", "numpy>=1.22", "onnxruntime>=1.18", "opencv-python-headless>=4.5.4", "trimesh>=4.4"],
    extras_require={
        # Shares files with onnxruntime. Afterwards run `pip uninstall onnxruntime`, then reinstall onnxruntime-gpu.
        "gpu": ["onnxruntime-gpu>=1.18"],
        "train": ["torch>=2.4", "onnx>=1.16", "onnxscript>=0.5", "scipy>=1.11"],
        "viewer": ["viser>=1.1", "embreex>=4.4"],
    },
    entry_points={
        "console_scripts": ["hand-mesh = hand_mesh_ros.apps.__main__:main"],
    },
)
