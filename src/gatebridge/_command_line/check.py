"""Print what would cause problems: ``gatebridge check``."""

from __future__ import annotations

import platform
import subprocess
import sys

from gatebridge._load import InterfaceChoice, NamedApplication
from gatebridge.checks import CHECKS, check_application, check_host, check_import

# In an interpreter that has imported gatebridge, gevent's patches always come too late.
_APPLICATION_FIRST = """\
import contextlib, importlib, sys
with contextlib.suppress(Exception):  # the command reports it
    importlib.import_module(sys.argv[1].partition(":")[0])
from gatebridge.__main__ import main
sys.exit(main(["check", "--imported", *sys.argv[1:]]))
"""


def check_in_new_interpreter(name: str, choice: InterfaceChoice) -> int:
    """Run the command in an interpreter that imports the application first; return its status."""
    command = [sys.executable, "-c", _APPLICATION_FIRST, name, f"--interface={choice}"]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - this very interpreter


def check(application: NamedApplication | None) -> int:
    """Print the findings in this interpreter and in an application; return the exit status."""
    print(f"interpreter: {platform.python_implementation()} {platform.python_version()}")
    not_made: set[str] = {"body-length"}
    if application is None:
        print("application: none; give one to check what its import changes")
        findings = check_host()
    else:
        print(f"application: {application.name}, {application.interface.upper()}")
        findings = check_import()
        if application.interface == "wsgi":
            findings += check_application(application.app)
            not_made = set()
    not_passed = not_made.union(finding.name for finding in findings)
    print(f"passed: {', '.join(name for name in CHECKS if name not in not_passed)}")
    for finding in findings:
        print(f"{finding.severity}: {finding.name}: {finding.problem}\n    {finding.remedy}")
    if any(finding.severity == "error" for finding in findings):
        return 1
    print("No errors found." if findings else "No problems found.")
    return 0
