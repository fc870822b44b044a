"""Print the part of a lock file that requirement files need, for ``pip install --no-deps --require-hashes -r``.

    python scripts/locked.py requirements/lock/kilted-3.11.txt requirements/base.txt requirements/dev.txt
    python scripts/locked.py --versions requirements/lock/kilted-3.11.txt      # name==version lines of the whole file

A lock file (scripts/lock.sh) covers all requirement files and lists the dependents of each package (``# via``). pip ignores
hashes in constraints files, so setup installs exactly the packages that its own requirement files depend on. Needs only the
standard library.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

UNLOCKED = {"torch"}
"""Packages whose build (CPU, CUDA) depends on the machine: see requirements/lock/torch.txt."""

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==(\S+)")
_VIA = re.compile(r"^ +#(?: via)? *(.*)$")


@dataclass
class Package:
    """One pinned package of a lock file: its lines and its dependents (``via``)."""

    version: str
    lines: list[str] = field(default_factory=list)
    via: set[str] = field(default_factory=set)


def normalized(name: str) -> str:
    """Normalize the name of a distribution (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(path: Path) -> dict[str, Package]:
    """Read a lock file of ``uv pip compile --generate-hashes``.

    Returns:
        The packages by normalized name. ``via`` holds normalized names, and requirement files as ``-r FILE``.
    """
    packages: dict[str, Package] = {}
    current = None
    for line in path.read_text(encoding="utf-8").splitlines():
        pin, via = _PIN.match(line), _VIA.match(line)
        if pin:
            current = packages.setdefault(normalized(pin[1]), Package(pin[2]))
        if current is None:
            continue
        if via and via[1]:
            dependent = via[1].strip()
            current.via.add(dependent if dependent.startswith("-r ") else normalized(dependent))
        elif not via:
            current.lines.append(line)
    return packages


def required_names(path: Path) -> set[str]:
    """Return the normalized names of the distributions that a requirement file lists."""
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return {normalized(re.match(r"[\w.-]+", line)[0]) for line in lines if line}  # type: ignore[index]


def needed(packages: dict[str, Package], files: Iterable[str]) -> list[str]:
    """Return the direct and indirect requirements of ``files``, in the order of the lock file."""
    wanted = {f"-r {file}" for file in files}
    while True:
        more = {name for name, package in packages.items() if package.via & wanted} - wanted
        if not more:
            return [name for name in packages if name in wanted]
        wanted |= more


def main() -> int:
    """Print the selected part; exit status 2 with one sentence if the lock file lacks a requirement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--versions", action="store_true", help="name==version lines, no hashes")
    parser.add_argument("lock", type=Path)
    parser.add_argument(
        "requirements", nargs="*", help="paths as in the lock file: requirements/base.txt"
    )
    arguments = parser.parse_args()
    packages = read_lock(arguments.lock)
    for file in arguments.requirements:
        for name in sorted(required_names(Path(file)) - UNLOCKED - packages.keys()):
            print(
                f"error: {file} requires {name}, which {arguments.lock} does not contain; run scripts/lock.sh.",
                file=sys.stderr,
            )
            return 2
    for name in needed(packages, arguments.requirements) if arguments.requirements else packages:
        package = packages[name]
        print(f"{name}=={package.version}" if arguments.versions else "\n".join(package.lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
