"""How the site is built: `make docs` writes it to docs/_build/html."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

import django
from django.conf import settings

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent), str(DOCS / "_extensions")]

# Autodoc imports the package, which needs a project around it.
settings.configure(
    SECRET_KEY="only-for-the-documentation",
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django_ai.automation.events",
        "django_ai.automation.workflows",
    ],
)
django.setup()

project = "django_ai"
project_copyright = "the django_ai contributors"
release = installed_version("django-ai")
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "commands",
    "diagrams",
    "names",
    "pictures",
    "tables",
]
exclude_patterns = ["_build", "_extensions", "performance/*"]
myst_fence_as_directive = ["mermaid"]
default_role = "code"

myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

# Types of other projects and of the package's own rooms have no page; exceptions and functions must.
nitpick_ignore_regex = [("py:class", ".*")]

autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "__init__, __new__"}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
add_module_names = False
maximum_signature_line_length = 90
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True

linkcheck_ignore = [r"http://127\.0\.0\.1"]

html_theme = "furo"
html_title = "django_ai"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
