"""How Sphinx builds this documentation: without a network, and with every warning an error."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import _pictures  # noqa: E402

from hypersocket._version import __version__  # noqa: E402

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "hypersocket"
author = "The hypersocket authors"
copyright = "The hypersocket authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
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
    (r"py:.*", r"(trio|click|rich|nacl|pamqp)(\..*)?"),
    # Type variables, which autodoc prints by their bare names.
    (r"py:(class|obj|data)", r"_?[A-Z]T?(_co|_contra)?"),
    # Standard names that are imported for the type checker alone, printed as they stand.
    (r"py:(class|obj)", rf"({'|'.join(_STANDARD_NAMES)})"),
]

html_theme = "furo"
html_title = f"hypersocket {release}"
html_copy_source = False
html_show_sphinx = False


def _draw(app: Sphinx) -> None:
    """Draw the pictures before any page is read."""
    _pictures.write_all(Path(app.srcdir) / "pictures")


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", _draw)
