"""How Sphinx builds this documentation: without a network, and with every warning an error."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import _options  # noqa: E402
import _pictures  # noqa: E402
import _states  # noqa: E402
import _topologies  # noqa: E402

from hypersocket._options import Option  # noqa: E402
from hypersocket._version import __version__  # noqa: E402

if TYPE_CHECKING:
    from docutils.nodes import Element
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "hypersocket"
author = "The hypersocket authors"
copyright = "The hypersocket authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "benchmarks/results.md", "generated"]
source_suffix = {".md": "markdown"}
nitpicky = True

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_display_short_literal_types = True
python_use_unqualified_type_names = True

_STANDARD_NAMES = (
    *("Any", "Literal", "Self", "TypeAlias"),
    *("AsyncGenerator", "AsyncIterable", "AsyncIterator", "Awaitable", "Callable"),
    *("Collection", "Iterable", "Iterator", "Mapping", "Sequence"),
    *("SSLContext", "TracebackType"),
)

# Inventories of other projects would need a network, so names that are theirs are not looked up.
# Ours always are: a reference into hypersocket that leads nowhere fails the build.
nitpick_ignore_regex = [
    (r"py:.*", rf"({'|'.join(sorted(sys.stdlib_module_names))})(\..*)?"),
    (r"py:.*", r"(trio|click|rich|nacl|pamqp|pydantic)(\..*)?"),
    # What a Literal is made of, where napoleon shows the type of an attribute.
    (r"py:class", r"'[A-Za-z0-9.-]+'|tuple\[str"),
    # Type variables, which autodoc prints by their bare names.
    (r"py:(class|obj|data)", r"_?[A-Z]T?(_co|_contra)?"),
    # Where options are declared; the tables of options show what is there.
    (r"py:class", r"hypersocket\._option_groups\..*"),
    # What the tables of a gateway file describe, and what clients of brokers are made of.
    (r"py:class", r"hypersocket\.amqp\.(_types\.)?(Exchange|Queue|Binding|Declaration|Properties)"),
    (r"py:class", r"hypersocket\.devices\.amqp_gateway\._client\..*"),
    # What sockets of devices and of gateways have in common.
    (r"py:class", r"hypersocket\.devices\.topology\._spec\.SocketLike"),
    # What stream transports are served by; a transport of another kind has no use for it.
    (r"py:class", r"hypersocket\.transports\._poller\..*"),
    # Standard names that are imported for the type checker alone, printed as they stand.
    (r"py:(class|obj)", rf"({'|'.join(_STANDARD_NAMES)})"),
]

html_theme = "furo"
html_title = f"hypersocket {release}"
html_copy_source = False
html_show_sphinx = False


def _generate(app: Sphinx) -> None:
    """Draw the pictures, and write the tables, before any page is read."""
    pictures, generated = Path(app.srcdir) / "pictures", Path(app.srcdir) / "generated"
    _pictures.write_all(pictures)
    _states.write(pictures, generated)
    _options.write(generated)
    _topologies.write(pictures, generated)


def _skip_options(
    _app: Sphinx, _what: str, _name: str, obj: object, skip: bool, _options: object
) -> bool | None:
    """Options have a table of their own."""
    return True if isinstance(obj, Option) else skip or None


def _find_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: Element
) -> Element | None:
    """Resolve `Socket.stats`, as docstrings have it, to `hypersocket.Socket.stats`.

    Likewise `hypersocket.devices._handle.Device`, as annotations have it, to what is public.
    """
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    names = [re.sub(r"\._\w+(?=\.)", "", target)]
    names += [f"hypersocket.{room}{target}" for room in ("", "transports.", "events.", "devices.")]
    for name in names:
        found = env.domains["py"].resolve_xref(
            env, node["refdoc"], app.builder, "obj", name, node, contnode
        )
        if found is not None:
            return found
    return None


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", _generate)
    app.connect("autodoc-skip-member", _skip_options)
    app.connect("missing-reference", _find_public_name)
