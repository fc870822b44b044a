"""Build description of the ament_python package ``tddfa_ros``; also what ``pip install .`` reads."""

import re
from glob import glob
from pathlib import Path

from setuptools import __version__ as setuptools_version
from setuptools import find_packages, setup

NAME = "tddfa_ros"
SHARE = f"share/{NAME}"
ROOT = Path(__file__).resolve().parent  # colcon reads this file through a link
HOME = "https://github.com/tddfa-ros/tddfa_ros"
URLS = {
    "Source": HOME,
    "Documentation": f"{HOME}/tree/main/docs",
    "Changelog": f"{HOME}/blob/main/CHANGELOG.md",
    "Issues": f"{HOME}/issues",
}
# The setuptools of ROS's older distributions know the license only under its older name.
LICENSE_FIELD = "license_expression" if int(setuptools_version.split(".")[0]) >= 77 else "license"


def version() -> str:
    """The version, read as text: importing the package would need what is about to be installed."""
    text = (ROOT / NAME / "version.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)[1]


def readme() -> str:
    """README.md with its links to files of the repository made absolute, for the page of a package index."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    relative = r"(?!https?:|mailto:|#)"
    text = re.sub(rf'(!\[[^]]*\]\(|src="){relative}', rf"\g<1>{HOME}/raw/main/", text)
    return re.sub(rf'(\]\(|href="){relative}', rf"\g<1>{HOME}/blob/main/", text)


def shared(folder: str, *patterns: str) -> tuple[str, list[str]]:
    """Files of ``folder`` that are installed to the package's share directory."""
    return f"{SHARE}/{folder}", sorted(f for p in patterns for f in glob(f"{folder}/{p}"))


setup(
    name=NAME,
    version=version(),
    description="Dense, metric, identified and smooth 3D face meshes from a camera, with or without ROS 2",
    long_description=readme(),
    long_description_content_type="text/markdown",
    keywords=[
        "3d face alignment",
        "3dmm",
        "3ddfa",
        "blendshapes",
        "face mesh",
        "face tracking",
        "head pose",
        "onnx",
        "robotics",
        "ros2",
    ],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Graphics :: 3D Modeling",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    project_urls=URLS,
    author="tddfa_ros maintainers",
    author_email="tddfa-ros@users.noreply.github.com",
    url=HOME,
    **{LICENSE_FIELD: "Apache-2.0"},
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed", "avatar/web/*", "morphable/*.json", "attributes/*.json"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (SHARE, ["package.xml"]),
        shared("config", "*.yaml", "*.xml", "*.rviz"),
        shared("config/makeup", "*.yaml", "*.png"),
        shared("config/sros2", "*.xml"),
        shared("config/training", "*.yaml"),
        shared("launch", "*.launch.py"),
        shared("models", "*.yaml", "*.onnx", "*.npz", "*.md"),
    ],
    python_requires=">=3.10",
    # No ONNX Runtime: its builds for the CPU and for a GPU are two distributions that write the same files, and an extra
    # can add to this list but take nothing from it. The extras [cpu] and [gpu] bring one each.
    install_requires=[
        "click>=8.0",
        "numpy>=1.21.6",
        "onnx>=1.15",
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
        "eval": ["matplotlib>=3.5"],
        "export": ["pillow>=9", "pygltflib>=1.16", "trimesh>=4.0"],
        "fast": ["numba>=0.56"],
        "gpu": ["onnxruntime-gpu>=1.16"],
        "model": ["anny>=0.6.2,<0.7", "fast-simplification>=0.1.7", "torch>=2.13,<3"],
        "video": ["av>=15"],
        "training": ["onnxscript>=0.1", "tensorboard>=2.10", "torch>=2.13,<3"],
        "dev": [
            "import-linter>=2.1,<3",
            "mypy>=2.4,<3",
            "pre-commit>=3.0",
            "pytest>=7.0",
            "pytest-cov>=5.0",
            "rosbags-image>=0.9",
            "ruff>=0.17.6,<0.18",
        ],
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
            f"process_bag = {NAME}.nodes.main:process_bag",
        ],
    },
)
