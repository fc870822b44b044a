"""Print the part of a lock that some requirement files need, for ``pip install --no-deps --require-hashes -r``.

    python scripts/locked.py requirements/lock/kilted-3.11.txt requirements/base.txt requirements/dev.txt
    python scripts/locked.py --versions requirements/lock/kilted-3.11.txt      # name==version lines of all of it

A lock (scripts/lock.sh) holds every requirement file, and notes below each package who asks for it (``# via``). pip
takes hashes from no constraints file, so a set-up installs exactly the packages that lead to its own requirement files.
Runs with any Python that set-up accepts and nothing installed.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

UNLOCKED = {"torch"}
"""Packages whose build (CPU, CUDA) is a choice of the machine: see requirements/lock/torch.txt."""

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==(\S+)")
_VIA = re.compile(r"^ +#(?: via)? *(.*)$")


@dataclass
class Package:
    """One pinned package of a lock: its lines as they stand there, and who asks for it."""

    version: str
    lines: list[str] = field(default_factory=list)
    via: set[str] = field(default_factory=set)


def normalized(name: str) -> str:
    """The name of a distribution as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(path: Path) -> dict[str, Package]:
    """Read a lock that ``uv pip compile --generate-hashes`` wrote.

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
            asker = via[1].strip()
            current.via.add(asker if asker.startswith("-r ") else normalized(asker))
        elif not via:
            current.lines.append(line)
    return packages


def required_names(path: Path) -> set[str]:
    """Normalized names of the distributions that a requirement file lists."""
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return {normalized(re.match(r"[\w.-]+", line)[0]) for line in lines if line}  # type: ignore[index]


def needed(packages: dict[str, Package], files: Iterable[str]) -> list[str]:
    """Names of the packages that lead to one of ``files`` by whoever asks for them, in the lock's order."""
    wanted = {f"-r {file}" for file in files}
    while True:
        more = {name for name, package in packages.items() if package.via & wanted} - wanted
        if not more:
            return [name for name in packages if name in wanted]
        wanted |= more


def main() -> int:
    """Print the chosen part; 2 with one sentence where the lock is older than the requirement files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--versions", action="store_true", help="name==version lines, no hashes")
    parser.add_argument("lock", type=Path)
    parser.add_argument(
        "requirements", nargs="*", help="as the lock names them: requirements/base.txt"
    )
    arguments = parser.parse_args()
    packages = read_lock(arguments.lock)
    for file in arguments.requirements:
        for name in sorted(required_names(Path(file)) - UNLOCKED - packages.keys()):
            print(
                f"error: {file} asks for {name}, which {arguments.lock} does not have; run scripts/lock.sh.",
                file=sys.stderr,
            )
            return 2
    for name in needed(packages, arguments.requirements) if arguments.requirements else packages:
        package = packages[name]
        print(f"{name}=={package.version}" if arguments.versions else "\n".join(package.lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
