"""Pages of a network's audit: what is in them, without PyTorch."""

import json
import re

import pytest

import routegrad
from made_audit import audit
from routegrad._counterfactuals import Counterfactuals


def test_the_page_holds_the_audit(tmp_path):
    found = audit("<layer {}> & \"quoted\" </script>")
    found.to_html(tmp_path / "audit.html")
    page = (tmp_path / "audit.html").read_text(encoding="utf-8")
    data = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert data and json.loads(data[1]) == found.to_dict()
    assert page.count("<script") == page.count("</script>") == 2 and "<layer" not in page
    # Heat maps of the figures and of the load, and the table.
    assert page.count("<table>") == 3 and "shade7" in page and len(page.encode()) < 1_000_000
    for layer in found.layers:
        assert layer.name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;") in page
    assert "http" not in page.replace('"http', "")


def test_a_page_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(routegrad.RouteGradError, match="cannot be written"):
        audit().to_html(tmp_path / "none" / "audit.html")


def test_counterfactuals_have_a_page(tmp_path):
    table = {"schema": "routegrad.problem/1", "kind": "categorical", "logits": [0.5, -0.25],
             "objective": {"type": "tabulated", "values": [1.5, 1.25], "gradients": [[0, 0], [0, 0]]}}
    found = Counterfactuals("moe <0>", "categorical", (7,), ((2, 1),), ((1, 3),), ((1.5, 1.25),), (table,))
    found.to_html(tmp_path / "losses.html")
    page = (tmp_path / "losses.html").read_text(encoding="utf-8")
    assert "token 7, expert 1, chosen: expert 1, loss 1.50" in page and "moe &lt;0&gt;" in page and ">1*<" in page
    data = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert data and json.loads(data[1]) == found.to_dict()
