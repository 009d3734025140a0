"""What stands in single backticks in a docstring: a link where there is a target, else code.

numpydoc has parameters in single backticks as well as functions. Sphinx's own roles complain of the
former, or take one for a module of that name.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.roles import XRefRole
from sphinx.util.nodes import make_refnode

__all__ = ["setup"]

PACKAGE = "intake_futu_short"


class _QuietRole(XRefRole):  # type: ignore[misc]  # types of Sphinx are not looked at
    def process_link(
        self, env: Any, refnode: Any, has_explicit_title: bool, title: str, target: str
    ) -> tuple[str, str]:
        refnode["reftype"] = "obj"
        refnode["refdomain"] = "py"
        refnode["py:module"] = env.ref_context.get("py:module")
        refnode["py:class"] = env.ref_context.get("py:class")
        refnode["is_quiet"] = True
        return title, target.strip("()~. ")


def _resolve(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Look for what has no target where it stands in the package; if that is none it is code."""
    if not node.get("is_quiet"):
        return None
    objects = env.domains["py"].objects
    for place in (PACKAGE, f"{PACKAGE}.accessor.ShortVolumeAccessor"):
        name = f"{place}.{node['reftarget']}"
        if name in objects:
            found = objects[name]
            return make_refnode(
                app.builder, node["refdoc"], found.docname, found.node_id, content, name
            )
    return content


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_role("quiet", _QuietRole(nodeclass=None, innernodeclass=nodes.literal))
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
