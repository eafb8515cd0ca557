"""Loads an application by its name: ``package.module:app``, ``package.module:create_app()``."""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from types import FunctionType, MethodType, ModuleType
from typing import Literal, cast

from gatebridge._adapt import as_asgi, as_wsgi
from gatebridge._detect.interface import Interface, interface, require_asgi3, require_wsgi
from gatebridge.errors import LoadError
from gatebridge.types import ASGIApplication, WSGIApplication

InterfaceChoice = Literal["auto", "asgi", "wsgi"]

_NAME = re.compile(
    r"(?P<module>[\w-]+(?:\.[\w-]+)*)(?::(?P<attributes>\w+(?:\.\w+)*)(?P<factory>\(\))?)?"
)

_NOTHING = "no application was found there"
_FACTORY = re.compile(r"(create|make|get|build)_(\w+_)?(app|application|api|asgi|wsgi|site)")


@dataclass(frozen=True)
class NamedApplication:
    """An application, and what is known about it.

    Attributes:
        name: The name it was found by.
        app: The application itself.
        interface: Its interface.
        choice: The interface that was passed to `load`.
    """

    name: str
    app: object
    interface: Interface
    choice: InterfaceChoice

    def for_asgi(self, *, multiprocess: bool = True) -> ASGIApplication:
        """Return the application for an ASGI server.

        Args:
            multiprocess: As for `WsgiToAsgi`.
        """
        return as_asgi(self.app, self.interface, multiprocess=multiprocess)

    def for_wsgi(self) -> WSGIApplication:
        """Return the application for a WSGI server."""
        return as_wsgi(self.app, self.interface)


def load(name: str, choice: InterfaceChoice = "auto") -> NamedApplication:
    """Import an application, or call its factory.

    Args:
        name: A module, a colon, and a name in it, which may have dots. With ``()`` at the end, the
            name of a function that returns the application.
        choice: The interface; ``"auto"`` to detect it from the signature.

    Raises:
        LoadError: The name is of another form, or its object does not exist, is not an application,
            or does not show its interface.
        Exception: Whatever the application's modules or its factory raise.
    """
    parts = _NAME.fullmatch(name)
    if parts is None:
        path, _, attribute = name.partition(":")
        if path.endswith(".py"):
            raise LoadError(name, _names_a_file(path, attribute or "app"))
        raise LoadError(name, "not of the form package.module:app or package.module:create_app()")
    module = _import(name, parts["module"])
    if parts["attributes"] is None:
        raise LoadError(name, f"names only a module; {_hint(f'{name}:', module, 'app')}")
    app = _find(name, module, parts["module"], parts["attributes"])
    if parts["factory"]:
        app = _make(name, app)
    return NamedApplication(name, app, _interface_of(name, module, app, choice), choice)


def _names_a_file(path: str, attribute: str) -> str:
    module = re.sub(r"[/\\]+", ".", path.removesuffix(".py")).lstrip(".")
    return f"names a file instead of a module; write {module}:{attribute}"


def _import(name: str, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if not f"{module}.".startswith(f"{exc.name}."):
            raise  # for a module that the application imports
        if module.endswith(".py"):
            raise LoadError(name, _names_a_file(module, name.partition(":")[2] or "app")) from None
        why = exc.msg.partition("; ")[2] or "it is neither installed nor in the working directory"
        raise LoadError(name, f"no module named {exc.name!r:.80}; {why}") from None


def _find(name: str, found: object, module: str, attributes: str) -> object:
    prefix = f"{module}:"
    where = f"module {module!r:.80}"
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            hint = _hint(prefix, found, attribute)
            raise LoadError(name, f"{where} has no {attribute!r:.80}; {hint}") from None
        where = repr(attribute)
        prefix += f"{attribute}."
    return found


def _hint(prefix: str, found: object, missing: str) -> str:
    """Return what to write in place of a prefix and an attribute that does not exist."""
    if isinstance(found, ModuleType) and hasattr(found, "__path__"):
        module = f"{found.__name__}.{missing}"
        if find_spec(module) is not None:
            return f"write {module}:app if the application in that module is called app"

    def likeness(name: str) -> float:
        return difflib.SequenceMatcher(None, missing, name).ratio()

    public = {each: _attribute(found, each) for each in dir(found) if not each.startswith("_")}
    names = [each for each, value in public.items() if _is_application(value)] or [
        f"{each}()"
        for each, value in public.items()
        if _FACTORY.fullmatch(each) and _needs_nothing(value)
    ]
    near = [prefix + each for each in sorted(names, key=likeness, reverse=True)[:3]]
    return f"did you mean {' or '.join(near)}?" if near else _NOTHING


def _attribute(found: object, name: str) -> object:
    try:
        return getattr(found, name)
    except Exception:  # noqa: BLE001 - a property may raise anything
        return None


def _is_application(value: object) -> bool:
    """Return whether this is an application, rather than a view, a class or something else."""
    try:
        if isinstance(value, type):
            return False
        if isinstance(value, (FunctionType, MethodType)):
            first = next(iter(inspect.signature(value).parameters), "")
            if first not in ("environ", "env", "scope"):
                return False
        return bool(interface(value))
    except Exception:  # noqa: BLE001 - not an application, or an unbound proxy
        return False


def _needs_nothing(factory: object) -> bool:
    try:
        inspect.signature(cast("Callable[..., object]", factory)).bind()
    except (TypeError, ValueError):
        return False
    return True


def _make(name: str, factory: object) -> object:
    if not callable(factory):
        raise LoadError(name, f"not callable, so not a factory: {factory!r:.80}")
    try:
        inspect.signature(factory).bind()
    except TypeError as exc:
        if _is_application(factory):
            raise LoadError(name, "an application, not a factory; leave out the ()") from None
        raise LoadError(name, f"a factory must be callable without arguments: {exc}") from None
    except ValueError:
        pass  # written in C
    made: object = factory()
    if inspect.iscoroutine(made):
        made.close()
        raise LoadError(name, "a factory must not be a coroutine function")
    return made


def _interface_of(name: str, module: ModuleType, app: object, choice: InterfaceChoice) -> Interface:
    if isinstance(app, ModuleType):
        raise LoadError(name, f"a module; {_hint(f'{app.__name__}:', app, 'app')}")
    if not callable(app):
        raise LoadError(name, f"not callable, so not an application: {app!r:.80}")
    try:
        if choice == "auto":
            return interface(app)
        if choice == "asgi":
            require_asgi3(app)
        else:
            require_wsgi(app)
    except TypeError as exc:
        reason = str(exc).removeprefix("app ")
        if _passes(require_asgi3, app) and _passes(require_wsgi, app):
            raise LoadError(name, f"{reason}; or use --interface or GATEBRIDGE_INTERFACE") from None
        if name.endswith("()") or choice != "auto":
            raise LoadError(name, reason) from None
        hint = _hint(f"{module.__name__}:", module, "app")
        more = "" if hint == _NOTHING else f"; {hint}"
        if isinstance(app, type) or not _needs_nothing(app):
            raise LoadError(name, f"{reason}{more}") from None
        if _FACTORY.fullmatch(name.rpartition(":")[2]):
            raise LoadError(name, f"a factory, not an application; write {name}()") from None
        raise LoadError(
            name, f"can be called without arguments; if it is a factory, write {name}(){more}"
        ) from None
    return choice


def _passes(require: Callable[[object], object], app: object) -> bool:
    try:
        require(app)
    except TypeError:
        return False
    return True
