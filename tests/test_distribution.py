"""What is built for package indexes: what is in it, and what it says of itself."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import NamedTuple

import pytest

import gatebridge

pytest.importorskip("build")
pytest.importorskip("hatchling")
pytest.importorskip("twine")

pytestmark = pytest.mark.xdist_group("distribution")

_ROOT = Path(__file__).parents[1]
_PACKAGE = _ROOT / "src" / "gatebridge"
_NAME = f"gatebridge-{gatebridge.__version__}"


class Distributions(NamedTuple):
    folder: Path
    sdist: dict[str, bytes]
    wheel: dict[str, bytes]

    def metadata(self) -> Message:
        return BytesParser().parsebytes(self.wheel[f"{_NAME}.dist-info/METADATA"])


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Build both, the wheel from the sdist, by the backend that is installed: without a network.

    The backend itself refuses classifiers that are not on the list of those that exist.
    """
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(_ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with tarfile.open(folder / f"{_NAME}.tar.gz") as archive:
        sdist = {
            member.name.removeprefix(f"{_NAME}/"): file.read()
            for member in archive
            if (file := archive.extractfile(member))
        }
    with zipfile.ZipFile(folder / f"{_NAME}-py3-none-any.whl") as archive:
        wheel = {name: archive.read(name) for name in archive.namelist()}
    return Distributions(folder, sdist, wheel)


def files_below(*folders: str) -> set[str]:
    """Return the files of the checkout in some folders, but for what tools have left there."""
    return {
        str(path.relative_to(_ROOT))
        for folder in folders
        for path in (_ROOT / folder).rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }


def test_the_sdist_has_all_that_the_project_works_with(distributions: Distributions) -> None:
    folders = (".ci", "benchmarks", "docs", "examples", "src", "tests")
    files = "CHANGELOG.md CONTRIBUTING.md LICENSE Makefile README.md noxfile.py pyproject.toml"
    expected = files_below(*folders) | set(files.split()) | {".gitignore"}
    assert set(distributions.sdist) - {"PKG-INFO"} == expected
    assert distributions.sdist["Makefile"] == (_ROOT / "Makefile").read_bytes()


def test_the_wheel_has_the_package_and_nothing_else(distributions: Distributions) -> None:
    package = {
        str(path.relative_to(_PACKAGE.parent)): path.read_bytes()
        for path in [*_PACKAGE.rglob("*.py"), _PACKAGE / "py.typed"]
    }
    assert {name for name in distributions.wheel if not name.startswith(_NAME)} == set(package)
    assert distributions.wheel.items() >= package.items()
    described = {name.removeprefix(f"{_NAME}.dist-info/") for name in distributions.wheel}
    expected = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    assert described - set(package) == expected
    scripts = distributions.wheel[f"{_NAME}.dist-info/entry_points.txt"].decode().split()
    assert scripts == ["[console_scripts]", "gatebridge", "=", "gatebridge.__main__:run"]


def test_the_metadata_says_what_it_is_and_needs(distributions: Distributions) -> None:
    metadata = distributions.metadata()
    assert metadata["Name"] == "gatebridge"
    assert metadata["Version"] == gatebridge.__version__
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License-Expression"] == "MIT"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert metadata.get_all("Provides-Extra") == ["trio", "websocket"]
    needed = [each for each in metadata.get_all("Requires-Dist", []) if "extra ==" not in each]
    assert sorted(needed) == ["anyio>=4.7", "typing-extensions>=4.10"]
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == (_ROOT / "README.md").read_text("utf-8")


def test_a_package_index_would_take_them(distributions: Distributions) -> None:
    files = sorted(str(path) for path in distributions.folder.iterdir())
    done = subprocess.run(
        [sys.executable, "-m", "twine", "--no-color", "check", "--strict", *files],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout.count("PASSED")) == (0, 2), done.stdout + done.stderr
