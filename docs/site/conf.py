"""Sphinx's settings for the prose of docs/, which is read as it is: navigation is what docs/README.md links to, under its headings.

Every link is checked. One to a page, a heading or a file within docs is Sphinx's to check; one to something else of the checkout (a source, a
folder) is checked here and stays as its name, since the site does not have it. A page that nothing in docs/README.md links to is an error.
"""

import pathlib
import re

from sphinx.util import logging

logger = logging.getLogger(__name__)
project = "RouteGrad"
author = "the authors of RouteGrad"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "README"
exclude_patterns = ["site/**", "notebooks/**"]
html_theme = "furo"
html_title = "RouteGrad"
html_show_sourcelink = False
# Headings that links name, as GitHub names them.
myst_heading_anchors = 4
# Code that is no program of its own, and diagrams of text, need no colours.
suppress_warnings = ["misc.highlighting_failure"]

DOCS = pathlib.Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<!!)\[((?:[^\]\[]|\[[^\]]*\])*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def links(text):
    """The pages that a text links to."""
    return [match[2].removesuffix(".md") for match in LINK.finditer(text) if match[2].endswith(".md") and ":" not in match[2]]


def has_title(text):
    """Whether a page has one; tables of measurements, which tests write, have none, and are reached by links only."""
    return text.startswith("# ")


def navigation(text):
    """A hidden list of the pages for each heading of docs/README.md."""
    parts = []
    for section in re.split(r"(?m)^## ", text)[1:]:
        title, _, body = section.partition("\n")
        pages = [page for page in dict.fromkeys(links(body)) if has_title((DOCS / f"{page}.md").read_text())]
        parts.append("```{toctree}\n:hidden:\n:caption: " + title.strip() + "\n\n" + "\n".join(pages) + "\n```\n")
    return "\n".join(parts)


def read(app, name, source):
    """Links out of docs become the names of what they lead to, if it is there."""
    here = (DOCS / name).parent

    def checked(match):
        words, target = match[1], match[2]
        path = (here / target).resolve()
        if ":" in target or (path.is_file() and path.is_relative_to(DOCS)):
            return match[0]
        if not path.exists():
            logger.warning("%s: there is no such file", target, location=name)
        return words
    text = LINK.sub(checked, source[0])
    if name == "README":
        text += '\n\n```{raw} html\n<h2>Swift</h2><p><a href="swift/documentation/routegrad/">The Swift API</a>, by DocC</p>\n```\n\n'
        text += navigation(source[0])
    elif not has_title(text):
        text = "---\norphan: true\n---\n" + text
    source[0] = text


def setup(app):
    app.connect("source-read", read)
