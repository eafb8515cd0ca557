"""The tests on every supported interpreter that is there: ``nox``, or ``nox -s tests-3.12``."""

from __future__ import annotations

import nox

nox.options.error_on_missing_interpreters = False
nox.needs_version = ">=2025.2.9"

# What does not depend on the interpreter, or takes servers that the group `test` has not.
ONCE = [
    *("benchmarks", "conformance", "pages", "peers"),
    *("servers/test_matrix.py", "servers/test_gives.py"),
]


@nox.session(python=nox.project.python_versions(nox.project.load_toml()))
def tests(session: nox.Session) -> None:
    """Run the tests against the installed package; coverage is the business of `make coverage`."""
    session.install("--quiet", "--upgrade", "pip>=25.1")
    session.install("--quiet", ".", "--group", "test")
    ignored = [f"--ignore=tests/{path}" for path in ONCE]
    session.run(
        "python", "-m", "pytest", "-n", "3", "--dist", "loadgroup", *ignored, *session.posargs
    )
