"""Bidirectional WSGI/ASGI adapter: applications of either kind on servers of the other."""

from gatebridge import errors, types
from gatebridge._adapt import to_asgi, to_wsgi
from gatebridge._asgi_on_wsgi.adapter import AsgiToWsgi
from gatebridge._asgi_on_wsgi.messages_from_input import messages_from_input
from gatebridge._concurrency.pool import PoolStatistics
from gatebridge._detect.interface import interface
from gatebridge._lifespan.manager import LifespanManager
from gatebridge._lifespan.shim import LifespanShim
from gatebridge._mounts.asgi import AsgiMounts
from gatebridge._mounts.wsgi import WsgiMounts
from gatebridge._translate.environ import environ_from_scope
from gatebridge._translate.scope import scope_from_environ
from gatebridge._version import __version__
from gatebridge._wsgi_on_asgi.adapter import WsgiToAsgi
from gatebridge._wsgi_on_asgi.departure import disconnect_flag
from gatebridge._wsgi_on_asgi.input_from_receive import input_from_receive

__all__ = [
    "AsgiMounts",
    "AsgiToWsgi",
    "LifespanManager",
    "LifespanShim",
    "PoolStatistics",
    "WsgiMounts",
    "WsgiToAsgi",
    "__version__",
    "disconnect_flag",
    "environ_from_scope",
    "errors",
    "input_from_receive",
    "interface",
    "messages_from_input",
    "scope_from_environ",
    "to_asgi",
    "to_wsgi",
    "types",
]

# `repr`, `help()` and pickles name the module of a class or function: the one to import it from.
# The price is that `inspect.getsource` finds the source of its methods, but not that of such a
# class. From Python 3.13 on, it would show lines of this file if the class knew its line number.
for _public in (globals()[_name] for _name in __all__):
    if callable(_public):
        _public.__module__ = __name__
        if "__firstlineno__" in vars(_public):
            delattr(_public, "__firstlineno__")  # which no type checker knows
del _public  # pyright: ignore[reportPossiblyUnboundVariable]
