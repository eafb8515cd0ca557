"""An application by its name: ``package.module:app``, or ``package.module:create_app()``."""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
from dataclasses import dataclass
from typing import Literal, cast

from gatebridge._adapt import adapt_wsgi
from gatebridge._asgi_to_wsgi import AsgiToWsgi
from gatebridge._interface import Interface, interface, require_asgi3, require_wsgi
from gatebridge.errors import LoadError
from gatebridge.types import ASGIApplication, WSGIApplication

InterfaceChoice = Literal["auto", "asgi", "wsgi"]

_NAME = re.compile(
    r"(?P<module>[\w-]+(?:\.[\w-]+)*):(?P<attributes>\w+(?:\.\w+)*)(?P<factory>\(\))?"
)


@dataclass(frozen=True)
class NamedApplication:
    """An application, and what is known of it.

    Attributes:
        name: By which it was found.
        app: The application itself.
        interface: Which one it has.
        choice: What `load` was told of that.
    """

    name: str
    app: object
    interface: Interface
    choice: InterfaceChoice

    def for_asgi(self, *, multiprocess: bool = True) -> ASGIApplication:
        """Return it as an ASGI server needs it.

        Args:
            multiprocess: As for `WsgiToAsgi`.
        """
        if self.interface == "asgi":
            return cast("ASGIApplication", self.app)
        return adapt_wsgi(cast("WSGIApplication", self.app), multiprocess=multiprocess)

    def for_wsgi(self) -> WSGIApplication:
        """Return it as a WSGI server needs it."""
        if self.interface == "wsgi":
            return cast("WSGIApplication", self.app)
        return AsgiToWsgi(cast("ASGIApplication", self.app))


def load(name: str, choice: InterfaceChoice = "auto") -> NamedApplication:
    """Import an application, or make it by its factory.

    Args:
        name: A module, a colon, and a name in it, which may have dots. With ``()`` at the end it
            is that of a function that returns the application.
        choice: The interface; ``"auto"`` to tell it from the signature.

    Raises:
        LoadError: The name is of another form, what it names is not there, is no application, or
            does not show its interface.
        Exception: Whatever the application's modules or its factory raise.
    """
    parts = _NAME.fullmatch(name)
    if parts is None:
        raise LoadError(name, "not of the form package.module:app or package.module:create_app()")
    app = _find(name, parts["module"], parts["attributes"])
    if parts["factory"]:
        app = _make(name, app)
    return NamedApplication(name, app, _interface_of(name, app, choice), choice)


def _find(name: str, module: str, attributes: str) -> object:
    try:
        found: object = importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if not f"{module}.".startswith(f"{exc.name}."):
            raise  # one that the application wants
        why = exc.msg.partition("; ")[2] or "it is neither installed nor in the working directory"
        raise LoadError(name, f"no module named {exc.name!r:.80}; {why}") from None
    where = f"module {module!r:.80}"
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            near = difflib.get_close_matches(attribute, _callables_of(found), cutoff=0.4)
            hint = f"; is it {' or '.join(map(repr, near))}?" if near else ""
            raise LoadError(name, f"{where} has no {attribute!r:.80}{hint}") from None
        where = repr(attribute)
    return found


def _callables_of(found: object) -> list[str]:
    return [
        name
        for name in dir(found)
        if not name.startswith("_") and callable(getattr(found, name, None))
    ]


def _make(name: str, factory: object) -> object:
    if not callable(factory):
        raise LoadError(name, f"not a factory, for it cannot be called: {factory!r:.80}")
    try:
        inspect.signature(factory).bind()
    except TypeError as exc:
        raise LoadError(name, f"a factory is called without arguments: {exc}") from None
    except ValueError:
        pass  # written in C
    made: object = factory()
    if inspect.iscoroutine(made):
        made.close()
        raise LoadError(name, "a factory may not be a coroutine function")
    return made


def _interface_of(name: str, app: object, choice: InterfaceChoice) -> Interface:
    if not callable(app):
        raise LoadError(name, f"not an application, for it cannot be called: {app!r:.80}")
    try:
        if choice == "auto":
            return interface(app)
        if choice == "asgi":
            require_asgi3(app)
        else:
            require_wsgi(app)
    except TypeError as exc:
        say = "--interface or GATEBRIDGE_INTERFACE may tell; " if choice == "auto" else ""
        reason = str(exc).removeprefix("app: ")
        raise LoadError(name, f"{reason}; {say}the name of a factory ends with ()") from None
    return choice
