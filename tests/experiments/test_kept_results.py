"""Tables and manifests in results/, and what there is where they are not."""

from alutils.base import manifest
from alutils.experiments import kept_results


def test_a_table_and_its_manifest_are_read_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))
    assert kept_results.table("some") is None
    assert kept_results.about("some") == {}
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "some.csv").write_text("arm,value\nmargin,0.5\n")
    manifest.write_json(tmp_path / "results" / "some.manifest.json", {"status": "complete"})
    assert kept_results.table("some").to_dict("records") == [{"arm": "margin", "value": 0.5}]
    assert kept_results.about("some") == {"status": "complete"}
