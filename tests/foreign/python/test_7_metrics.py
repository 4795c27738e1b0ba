"""The node's metrics, read by Prometheus' own client library."""

import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

LABELS = {
    "method", "route", "status", "outcome", "code", "result", "phase", "le", "version", "engine", "chain",
    "organization", "queue", "purpose", "certificate", "kind", "space", "type", "major", "minor", "patch",
}  # fmt: skip
UNITS = ("_seconds", "_bytes", "_total", "_info")
DIMENSIONLESS = re.compile(
    r"_(height|ready|up|round|peers|catching_up|validators?|snapshots|open|fds|power|transactions|entries|streams_open"
    r"|requests|handles|resources|validators_power|validator_power|max_fds|open_fds)$"
)


@pytest.fixture(scope="module")
def families(node):
    answer = node.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def samples(families):
    return [sample for family in families.values() for sample in family.samples]


def test_every_family_is_typed_and_described(families):
    own = [family for family in families.values() if family.name.startswith("salus_")]
    assert len(own) > 15
    assert [f.name for f in own if f.type == "unknown" or not f.documentation] == []


def test_names_and_units_follow_the_conventions(families):
    for family in families.values():
        if not family.name.startswith("salus_"):
            continue
        assert re.fullmatch(r"[a-z][a-z0-9_]*", family.name), family.name
        assert not re.search(r"_(ms|millis|milliseconds|kb|mb|minutes|hours|days)(_|$)", family.name), family.name
        if family.type == "counter":
            assert all(s.name.endswith(("_total", "_created")) for s in family.samples), family.name
        else:
            assert family.name.endswith(UNITS) or DIMENSIONLESS.search(family.name), family.name


def test_histograms_are_cumulative(families):
    for family in families.values():
        if family.type != "histogram":
            continue
        series = {}
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                key = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
                series.setdefault(key, []).append((float(sample.labels["le"]), sample.value))
        for buckets in series.values():
            counts = [count for _, count in sorted(buckets)]
            assert counts == sorted(counts) and max(buckets)[0] == float("inf"), family.name


def test_labels_hold_no_identities_and_no_text(node, families):
    words = set()
    for path in node.data.glob("orgs/*/keys/*.json"):
        words.update(str(one) for one in json.loads(path.read_text()).get("privateJwk", {}).values() if len(str(one)) > 6)
    for sample in samples(families):
        assert set(sample.labels) <= LABELS, sample
        for name, value in sample.labels.items():
            assert len(value) <= 100 and " " not in value and "did:" not in value and "?" not in value, sample
            if name == "route":
                assert re.fullmatch(r"unknown|[A-Za-z0-9/:.$*_-]+", value), sample
            assert value not in words


def test_what_happened_is_counted(node, families):
    before = {s.labels["result"]: s.value for s in families["salus_ledger_transactions"].samples if "result" in s.labels}
    node.submit_as("hospital", {"type": "kernel/stamp", "digest": "A" * 43})
    after = node.get("/metrics").text
    now = {
        s.labels["result"]: s.value
        for family in text_string_to_metric_families(after)
        if family.name == "salus_ledger_transactions"
        for s in family.samples
        if "result" in s.labels
    }
    assert now["ok"] >= before["ok"] + 1
