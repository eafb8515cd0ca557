"""Sphinx's configuration; ``make docs`` builds the site."""

from __future__ import annotations

import inspect
import os
import pkgutil
import re
import sys
from types import UnionType

from docutils.nodes import TextElement
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.typing import restify
from typing_extensions import is_protocol, is_typeddict

import gatebridge
from gatebridge import __version__, types

project = "gatebridge"
author = "The gatebridge developers"
project_copyright = "The gatebridge developers"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]

# Sphinx looks for the source of a class or function in the module that it names as its own. The
# package names itself there, so for Sphinx the module that has the definition takes its place.
for _name in gatebridge.__all__:
    for _module in [each for name, each in sys.modules.items() if name.startswith("gatebridge.")]:
        _value = getattr(_module, _name, None)
        if callable(_value) and re.search(
            rf"(?m)^(class|def) {_name}\b", inspect.getsource(_module)
        ):
            _value.__module__ = _module.__name__

# Nothing may point nowhere: `make docs` turns warnings into errors.
nitpicky = True

myst_enable_extensions = ["attrs_inline", "colon_fence"]
myst_heading_anchors = 3

# Docstrings say `WsgiToAsgi`, which is a link wherever it can be one.
default_role = "py:obj"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
# A signature says `WSGIEnvironment` as its author did, and not what that stands for.
autodoc_type_aliases = {
    name: f"gatebridge.types.{name}"
    for name in ("Message", "OptExcInfo", "Scope", "Write", "WSGIEnvironment")
} | {"View": "gatebridge.integrations.django.View"}
# One line for each parameter where they do not fit into one line together.
maximum_signature_line_length = 80
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Attributes", "params_style"), ("Environment", "params_style")]
python_use_unqualified_type_names = True

# What autodoc imports: this module makes the application that is named here.
os.environ["GATEBRIDGE_APP"] = "wsgiref.simple_server:demo_app"

html_theme = "furo"
html_title = "gatebridge"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
# Commands and files are there to be copied, what they print is not.
copybutton_selector = "div:not(.highlight-text) > div.highlight > pre"
pygments_style = "default"
pygments_dark_style = "github-dark"

# Where a name without its module is looked for, after the module of the docstring that says it.
_HOMES = ("gatebridge", "gatebridge.errors", "gatebridge.types")


def _resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: TextElement
) -> TextElement | None:
    """Link a short name to what it names; let pass what another package really has.

    The latter are no links, for which the build would need the network.
    """
    if node.get("refdomain") != "py":
        return None
    target: str = node["reftarget"]
    domain = env.domains.python_domain
    for home in _HOMES:
        name = f"{home}.{target}"
        if name in domain.objects:
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, text)
    if target.split(".", maxsplit=1)[0] == "gatebridge":
        return None
    for name in (target, f"{node.get('py:module')}.{target}"):
        try:
            pkgutil.resolve_name(name)
        except (ImportError, AttributeError, ValueError):
            continue
        return text
    return None


def _shorten(
    _app: Sphinx,
    _kind: str,
    _name: str,
    value: object,
    _options: object,
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    """Give this library's types their short names, which `_resolve` finds."""
    if is_protocol(value):  # which nobody calls
        return "", None
    # Sphinx does not see what an alias within another type stands for.
    name = re.compile(r"(?:TypeAliasForwardRef\(')?~?gatebridge\.[\w.]*?(\w+)\b(?!\.)(?:'\))?")
    return signature and name.sub(r"\1", signature), returned and name.sub(r"\1", returned)


def _add_contents(
    _app: Sphinx, _kind: str, _name: str, value: object, _options: object, lines: list[str]
) -> None:
    """Add the keys of a TypedDict, and the alternatives of a union, to their docstrings."""
    if isinstance(value, UnionType):
        lines += [f"One of {restify(value, 'smart')}.", ""]
    if not is_typeddict(value):
        return
    lines.append(":Keys:")
    for key, hint in inspect.get_annotations(value).items():
        written = getattr(hint, "__forward_arg__", None) or inspect.formatannotation(hint)
        written = re.sub(r"(?:\w+\.)+(?=[A-Z])", "", written)  # a module's name
        given = re.fullmatch(r"NotRequired\[(.*)\]", written)
        type_ = given[1] if given else written
        parts = type_.split(" | ") if "[" not in type_ else [type_]
        marked = [f"`{part}`" if part in types.__all__ else f"``{part}``" for part in parts]
        optional = given or not value.__total__
        lines.append(f"    * **{key}** -- {' | '.join(marked)}{', optional' if optional else ''}")
    lines.append("")


def setup(app: Sphinx) -> None:
    """Connect to Sphinx."""
    app.connect("missing-reference", _resolve)
    app.connect("autodoc-process-signature", _shorten)
    app.connect("autodoc-process-docstring", _add_contents)
