"""The notebooks of docs/notebooks run from beginning to end, as Jupyter would run them, and are kept without what they print."""

import nbclient
import nbformat
import pytest

from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) >= 3 and not any(cell.outputs or cell.execution_count for cell in code)
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    assert sum(bool(cell.outputs) for cell in code) >= 3


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 3
