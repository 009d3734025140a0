"""Settings of Sphinx for the documentation: ``sphinx-build -W --keep-going docs docs/_build/html``.

The build fetches nothing: no inventories of other projects, fonts or scripts.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from intake_futu_short import __version__

# What runs at build time asks the built-in sample.
os.environ["FUTU_OPEND"] = "sample://"

project = "intake-futu-short"
author = "intake-futu-short developers"
copyright = author  # noqa: A001 - the name is Sphinx's
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "generated",
    "quiet_links",
    "signatures",
]
exclude_patterns = ["_build", "_generated", "jupyter_execute"]
nitpicky = True
default_role = "quiet"

# -- pages in Markdown, and the notebook that the build executes

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
# Progress bars of a slow machine.
nb_output_stderr = "remove"

# -- the reference

autodoc_member_order = "bysource"
# The sections of numpydoc name the types.
autodoc_typehints = "none"
autosummary_generate = False
numpydoc_show_class_members = False
numpydoc_validation_checks = {
    "GL06",  # a section that is none
    "GL07",  # sections in another order
    "GL08",  # no docstring
    "PR02",  # a parameter that there is not
    "PR03",  # parameters in another order
    "PR10",  # a colon without a space before it
    "RT02",
    "SS01",  # no summary
    "YD01",
}
toc_object_entries_show_parents = "hide"
add_module_names = False

# -- HTML

html_theme = "pydata_sphinx_theme"
html_title = "intake-futu-short"
html_static_path = ["_static"]
templates_path = ["_templates"]
# All pages stand at the side, on every page but the first, which has its own list.
html_sidebars = {"**": ["all-pages"]}
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
# Light or dark, as the reader's system is.
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_center": [],
    "show_prev_next": True,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": ["version"],
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
}
copybutton_exclude = ".linenos, .gp, .go"
