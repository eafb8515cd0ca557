"""Ready-made entry points, for servers that are to run an application of either kind.

How to start them::

    GATEBRIDGE_APP=package.module:app uvicorn gatebridge.auto:asgi
    GATEBRIDGE_APP=package.module:app gunicorn gatebridge.auto:wsgi

The application is imported along with this module, so that whatever is wrong shows when the server
starts. An application of the server's own kind is given to it as it is, another one in an adapter
as `to_asgi` and `to_wsgi` make it. ``wsgi.multiprocess`` is False where this module can see that
the server is a single process: Uvicorn without ``--workers`` and ``--reload``, Hypercorn with
``--workers 0``, and Daphne.

A `LoadError` says that a variable is not set as it should be, or that there is no such application.
Whatever the application's modules or its factory raise is raised as it is.

Environment:
    GATEBRIDGE_APP: ``package.module:app``, or ``package.module:create_app()`` for a factory.
    GATEBRIDGE_INTERFACE: ``asgi`` or ``wsgi``, for an application that does not show which it is;
        ``auto``, the default, tells it from the signature.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import NoReturn

from gatebridge._load import InterfaceChoice, NamedApplication, load
from gatebridge.errors import LoadError
from gatebridge.types import ASGIApplication, WSGIApplication

__all__ = ["asgi", "wsgi"]

_CHOICES: dict[str, InterfaceChoice] = {"": "auto", "auto": "auto", "asgi": "asgi", "wsgi": "wsgi"}


def _load_by_environment() -> NamedApplication:
    name = os.environ.get("GATEBRIDGE_APP", "")
    if not name:
        raise LoadError("GATEBRIDGE_APP", "not set; set it to the application: package.module:app")
    choice = os.environ.get("GATEBRIDGE_INTERFACE", "")
    if choice not in _CHOICES:
        raise LoadError(
            "GATEBRIDGE_INTERFACE", f"must be 'auto', 'asgi' or 'wsgi', got {choice!r:.80}"
        )
    return load(name, _CHOICES[choice])


# The modules that import an application for servers which serve it in the same process. A process
# for each worker is a child of the package multiprocessing, also where there is only one worker.
_IMPORTERS = frozenset({"daphne.utils", "hypercorn.utils", "uvicorn.importer"})


def _is_single_process() -> bool:
    """Return whether the server that imports this module is known to be a single process."""
    parent_process = getattr(sys.modules.get("multiprocessing"), "parent_process", None)
    if parent_process is not None and parent_process() is not None:
        return False
    return any(
        frame.f_globals.get("__name__") in _IMPORTERS for frame, _ in traceback.walk_stack(None)
    )


# Names in the module's dictionary, and not made when asked for: uWSGI and Hypercorn look there.
# Neither starts a thread or a loop before its first request.
_application = _load_by_environment()
asgi: ASGIApplication = _application.for_asgi(multiprocess=not _is_single_process())
"""The application for an ASGI server."""
wsgi: WSGIApplication = _application.for_wsgi()
"""The application for a WSGI server."""


def __getattr__(name: str) -> NoReturn:
    if name in ("app", "application"):
        # What servers expect by default. An AttributeError they report in words of their own.
        raise LoadError(
            f"gatebridge.auto:{name}",
            "does not exist; use gatebridge.auto:asgi on an ASGI server, :wsgi on a WSGI server",
        )
    raise AttributeError(f"gatebridge.auto has no {name!r:.80}, but it has asgi and wsgi")
