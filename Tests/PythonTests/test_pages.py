"""Pages of a network's audit: what is in them, without PyTorch."""

import json
import re

import pytest

import routegrad
from made_audit import audit


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
