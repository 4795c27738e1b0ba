"""Requests that nobody should send: never an error of the node, always an answer that says what it is."""

import json
import os
import random

import requests

from salus_foreign.encoding import random_id

REQUESTS = 300
SEED = int(os.environ.get("SALUS_SEED", random.SystemRandom().randrange(1 << 32)))
PIECES = ["..", "%00", "%ff", "%2f", "%", "__proto__", "0" * 64, "1", "-1", "a" * 300, "hospital", "clinic", "ä", "'", ";"]
BODIES = [b"", b"{}", b"[]", b"null", b"{", b"\xff\xfe", b'"x"', b"\x1f\x8b\x08\x00", b"[" * 5000, b"0" * 70_000]
TYPES = ["application/json", "application/jose+json", "application/fhir+json", "text/plain", "a/b;;", "application/gzip"]
QUERIES = ["", "?limit=-1", "?after=x", "?wait=never", "?proof=maybe", "?state=/", "?_count=x&_sort=&:=", "?patient=did:x"]


def paths(node) -> list[tuple[str, str]]:
    described = node.get("/api/openapi.json").json()["paths"]
    known = [(method.upper(), path) for path, methods in described.items() for method in methods if method != "parameters"]
    streams = ("/api/events", "/org/{slug}/notices")
    fhir = ["Patient", "Patient/x", "Patient/x/$everything", "Nothing/1", "Patient/_search", "", "metadata"]
    known += [(method, f"/org/{{slug}}/fhir/R4/{path}") for path in fhir for method in ("GET", "POST", "PUT")]
    return [one for one in known if one[1] not in streams]


def transactions(node) -> list[dict]:
    found, after = [], {}
    while True:
        page = node.get("/api/transactions", params={"limit": 200, **after}).json()
        found += page["transactions"]
        if "next" not in page:
            return found
        after = {"after": page["next"]}


def body_of(chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return chance.choice(BODIES)
    value = {chance.choice(["code", "patient", "what", "payload", "resourceType", "type", "entry", "format"]): value_of(chance, 3)}
    return json.dumps(value).encode()


def value_of(chance: random.Random, depth: int):
    kind = chance.randrange(8 if depth else 6)
    if kind == 6:
        return [value_of(chance, depth - 1) for _ in range(chance.randrange(4))]
    if kind == 7:
        return {chance.choice("abc"): value_of(chance, depth - 1) for _ in range(chance.randrange(4))}
    return [None, True, -1, 1.5, "Bundle", "\ud800"][kind]


def test_no_request_makes_the_node_fail(node, system_token, doctor):
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    known, before = paths(node), transactions(node)
    tokens = [None, "x", system_token, doctor["token"], system_token[:-3]]
    failures, statuses = [], {}
    for _ in range(REQUESTS):
        method, path = chance.choice(known)
        if chance.random() < 0.2:
            method = chance.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
        while "{" in path:
            at, end = path.index("{"), path.index("}")
            piece = chance.choice(["hospital", "clinic", *PIECES]) if "slug" in path[at:end] else chance.choice(PIECES)
            path = path[:at] + piece + path[end + 1 :]
        path += chance.choice(QUERIES)
        headers = {"Content-Type": chance.choice(TYPES)}
        options = {"data": body_of(chance)} if method != "GET" else {}
        token = chance.choice(tokens)
        try:
            answer = node.call(method, path, token, headers=headers, **options)
        except requests.exceptions.InvalidURL:
            continue
        except requests.exceptions.ConnectionError:
            # A body that was refused while it was still being sent.
            continue
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        kind = answer.headers.get("content-type", "")
        if answer.status_code >= 400 and method != "HEAD":
            described = kind.startswith("application/problem+json") and answer.json()["code"] >= 1
            described = described or (kind.startswith("application/fhir+json") and answer.json()["issue"])
        else:
            described = True
        if answer.status_code >= 500 or not described:
            failures.append((method, path, answer.status_code, kind, answer.text[:200]))
    assert failures == [], f"seed {SEED}"
    assert sum(statuses.values()) > REQUESTS * 0.8, statuses
    assert node.get("/healthz").json() == {"status": "ok"}
    node.settle()
    new = {kind for one in transactions(node)[len(before) :] for kind in one["types"]}
    assert new <= {"access/anchorBatch", "access/release"}, "nothing happened but that accesses were recorded"


def test_broken_bundles_are_refused_whole(node, system_token):
    good = {"fullUrl": f"urn:uuid:{random_id()}", "resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}}
    bad = {"resource": {"resourceType": "Nothing"}, "request": {"method": "POST", "url": "Nothing"}}
    before = node.settle()
    for body in (
        json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [good, bad]}),
        json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [good]})[:-9],
        json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": [good]}),
        '{"resourceType":"Bundle"}',
        "[]",
    ):
        headers = {"Content-Type": "application/fhir+json"}
        answer = node.post("/org/hospital/fhir/R4", system_token, data=body, headers=headers)
        assert 400 <= answer.status_code < 500, answer.text
        assert answer.json()["resourceType"] == "OperationOutcome"
    assert node.app_hash() == before
