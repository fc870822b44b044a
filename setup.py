"""Build description of the ament_python package ``tddfa_ros``; also what ``pip install .`` reads."""

from glob import glob

from setuptools import find_packages, setup

NAME = "tddfa_ros"
SHARE = f"share/{NAME}"


def shared(folder: str, *patterns: str) -> tuple[str, list[str]]:
    """Files of ``folder`` that are installed to the package's share directory."""
    return f"{SHARE}/{folder}", sorted(f for p in patterns for f in glob(f"{folder}/{p}"))


setup(
    name=NAME,
    version="0.2.0",
    description="Dense, metric, identified and smooth 3D face meshes from a camera, with or without ROS 2",
    author="tddfa_ros maintainers",
    author_email="tddfa-ros@users.noreply.github.com",
    license="Apache-2.0",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed", "avatar/web/*", "morphable/*.json"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (SHARE, ["package.xml"]),
        shared("config", "*.yaml", "*.xml", "*.rviz"),
        shared("config/makeup", "*.yaml", "*.png"),
        shared("config/training", "*.yaml"),
        shared("launch", "*.launch.py"),
        shared("models", "*.yaml", "*.onnx", "*.npz", "*.md"),
    ],
    python_requires=">=3.10",
    install_requires=[
        "click>=8.0",
        "numpy>=1.21.6",
        "onnx>=1.15",
        "onnxruntime>=1.16",
        "opencv-python-headless>=4.5.4",
        "PyYAML>=5.4",
        "scipy>=1.8",
        "tqdm>=4.57",
    ],
    extras_require={
        "avatar": ["aiohttp>=3.8", "pygltflib>=1.16", "python-osc>=1.8"],
        "bags": ["rosbags>=0.9.19"],
        "cluster": ["ray>=2.9"],
        "cpu": ["onnxruntime>=1.16"],
        "docs": [
            "mkdocs>=1.6,<2",
            "mkdocs-material>=9.6,<10",
            "mkdocstrings[python]>=0.29,<2",
        ],
        "export": ["pillow>=9", "pygltflib>=1.16", "trimesh>=4.0"],
        "fast": ["numba>=0.56"],
        "gpu": ["onnxruntime-gpu>=1.16"],
        "model": ["anny==0.6.2", "fast-simplification>=0.1.7", "torch==2.13.0"],
        "training": ["onnxscript>=0.1", "tensorboard>=2.10", "torch==2.13.0"],
        "dev": ["mypy>=1.10", "pre-commit>=3.0", "pytest>=7.0", "rosbags-image>=0.9", "ruff>=0.6"],
    },
    zip_safe=True,
    entry_points={
        "console_scripts": [
            f"tddfa = {NAME}.cli:main",
            f"face_node = {NAME}.nodes.main:face_node",
            f"smoothing_node = {NAME}.nodes.main:smoothing_node",
            f"visualization_node = {NAME}.nodes.main:visualization_node",
            f"avatar_node = {NAME}.nodes.main:avatar_node",
            f"hri_node = {NAME}.nodes.main:hri_node",
            f"image_source_node = {NAME}.nodes.main:image_source_node",
            f"face_system = {NAME}.nodes.main:face_system",
        ],
    },
)
