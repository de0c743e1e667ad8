"""How Sphinx builds the docs (``make docs``)."""

import importlib
import inspect
import re
import sys
import urllib.error
import urllib.request
import warnings
from pathlib import Path

import sk_ils
from sk_ils._net.sklearn_net import _HIDDEN as HIDDEN

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))  # for gallery_order
SOURCE = "https://github.com/sk-ils/sk-ils"

project = "sk-ils"
author = "The sk-ils developers"
copyright = f"2026, {author}"
release = version = sk_ils.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.linkcode",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "figures", "sg_execution_times.rst", "auto_examples/sg_execution_times.rst"]
templates_path = ["_templates"]
default_role = "literal"
toc_object_entries_show_parents = "hide"

myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"
# Our classes and their own bases; what skorch and scikit-learn add is in their docs.
autodoc_default_options = {
    "inherited-members": "NeuralNetClassifier,BaseEstimator,ClassifierMixin,Module,tuple,Exception",
    "exclude-members": "get_metadata_routing,set_fit_request,set_partial_fit_request,set_score_request",
}
numpydoc_show_class_members = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def reachable(url):
    """Whether the inventory of another project's docs can be read; a build without a network is silent."""
    try:
        with urllib.request.urlopen(f"{url}objects.inv", timeout=3) as reply:
            return reply.status == 200
    except (urllib.error.URLError, TimeoutError, OSError):
        return False


_OTHERS = {
    "python": "https://docs.python.org/3/",
    "numpy": "https://numpy.org/doc/stable/",
    "sklearn": "https://scikit-learn.org/stable/",
    "skorch": "https://skorch.readthedocs.io/en/stable/",
    "torch": "https://docs.pytorch.org/docs/stable/",
    "matplotlib": "https://matplotlib.org/stable/",
    "pandas": "https://pandas.pydata.org/docs/",
    "joblib": "https://joblib.readthedocs.io/en/latest/",
}
intersphinx_mapping = {name: (url, None) for name, url in _OTHERS.items() if reachable(url)}
if "sklearn" not in intersphinx_mapping:
    suppress_warnings = ["ref.term"]  # scikit-learn's glossary, in docstrings that are inherited from it


def linkcode_resolve(domain, info):
    """Return where the source of a public object stands."""
    if domain != "py" or not info["module"]:
        return None
    found = importlib.import_module(info["module"])
    for name in info["fullname"].split("."):
        found = getattr(found, name, None)
    found = found.fget if isinstance(found, property) else inspect.unwrap(found) if callable(found) else found
    try:
        lines, first = inspect.getsourcelines(found)
        file = Path(inspect.getsourcefile(found)).resolve().relative_to(ROOT)
    except (TypeError, OSError, ValueError):
        return None
    return f"{SOURCE}/blob/main/{file.as_posix()}#L{first}-L{first + len(lines) - 1}"


def skip_inner_steps(app, what, name, obj, skip, options):
    """Leave out of an estimator's page what its completions leave out: the steps by which skorch fits."""
    return True if name in HIDDEN else None


def link_pages(app, what, name, obj, options, lines):
    """Make a link of each page that a docstring names by its file, as ``help()`` shows it."""
    lines[:] = [re.sub(r"``docs/([\w/]+)\.md``", r":doc:`/\1`", line) for line in lines]


def setup(app):
    """Connect what is changed of docstrings."""
    app.connect("autodoc-skip-member", skip_inner_steps)
    app.connect("autodoc-process-docstring", link_pages)


warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "ignore_pattern": r"demo_digits\.py",
    "within_subsection_order": "gallery_order.GalleryOrder",
    "min_reported_time": 1000,
    "abort_on_example_error": True,
    "parallel": 2,
    "capture_repr": (),
}

html_theme = "pydata_sphinx_theme"
html_title = "sk-ils"
html_static_path = ["_static"]
html_css_files = ["sk_ils.css"]
html_show_sourcelink = False
html_sidebars = {"index": [], "metrics": [], "faq": []}  # pages without sisters
html_theme_options = {
    "icon_links": [{"name": "GitHub", "url": SOURCE, "icon": "fa-brands fa-github"}],
    "logo": {"text": "sk-ils"},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "use_edit_page_button": True,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}
html_context = {
    "github_user": "sk-ils",
    "github_repo": "sk-ils",
    "github_version": "main",
    "doc_path": "docs",
    "default_mode": "auto",
}
