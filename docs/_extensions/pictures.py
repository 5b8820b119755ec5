"""Shows the picture that fits the reader's colours: beside `name.png` there may be a `name-dark.png`."""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


class DarkTwin(SphinxTransform):
    """Puts the dark twin of a picture beside it; furo hides the one that does not fit."""

    default_priority = 200  # before Sphinx collects the pictures

    def apply(self) -> None:
        folder = Path(self.env.doc2path(self.env.docname)).parent
        for picture in list(self.document.findall(nodes.image)):
            path = Path(picture["uri"])
            twin = path.with_stem(f"{path.stem}-dark")
            if not (folder / twin).exists():
                continue
            dark = picture.deepcopy()
            dark["uri"] = twin.as_posix()
            picture["classes"].append("only-light")
            dark["classes"].append("only-dark")
            picture.parent.insert(picture.parent.index(picture) + 1, dark)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the transform."""
    app.add_transform(DarkTwin)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
