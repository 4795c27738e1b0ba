"""What must be refused: by its documented number, with the state as it was."""

import base64
import json
import os
import pathlib
import time

import pytest

from conftest import import_patient
from salus_foreign.encoding import b64u, random_id
from salus_foreign.keys import Signer, Wallet, envelope
from salus_foreign.proofs import verify_receipt
from salus_foreign.sealed import seal

VECTORS = pathlib.Path(os.environ["SALUS_ROOT"]) / "vectors"
SIGNATURE_INVALID = 40
MINUTE_MS = 60_000
PROMPT_SECONDS = 4


@pytest.fixture(scope="module")
def patient(node, system_token):
    linked = import_patient(node, system_token, "Refusals")
    linked.link(system_token)
    node.settle()
    return linked


def stamp() -> dict:
    return {"type": "kernel/stamp", "digest": b64u(os.urandom(32))}


def signed_text(signer: Signer, payload_text: str, **header) -> bytes:
    """A correct signature over a payload of any text."""
    return json.dumps(envelope(payload_text.encode(), signer.header(**header), signer.key)).encode()


def refused(node, data: bytes, code: int, status: int = 400) -> dict:
    """Refused with this number, and the application hash stays."""
    before = node.app_hash()
    answer = node.submit(data)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert problem["type"] == f"urn:salus:error:{code}" and problem["advice"] and problem["requestId"]
    assert "transaction" not in problem, "it is in no block"
    assert node.app_hash() == before
    return problem


def test_a_transaction_passes_that_python_wrote(node, patient):
    """The other tests change one thing about it."""
    answer = node.submit(patient.signer.sign([stamp()]))
    assert answer.status_code == 200 and answer.json()["code"] == 0, answer.text


def test_replay(node, patient):
    data = patient.signer.sign([stamp()])
    first = node.submit(data)
    assert first.status_code == 200
    before = node.app_hash()
    # The same bytes are the same transaction: the answer is the one that was given, and nothing happens twice.
    again = node.submit(data)
    assert (again.status_code, again.json()) == (200, first.json())
    assert node.app_hash() == before
    # Other bytes of the same payload are a replay.
    value = json.loads(data)
    started = time.monotonic()
    refused(node, json.dumps(value, indent=3).encode(), 1004, 422)
    assert time.monotonic() - started < PROMPT_SECONDS


def test_expired_window(node, patient):
    late = int(time.time() * 1000) - MINUTE_MS
    refused(node, patient.signer.sign([stamp()], validUntil=late), 1002, 422)


def test_window_too_long(node, patient):
    late = int(time.time() * 1000) + 12 * MINUTE_MS
    refused(node, patient.signer.sign([stamp()], validUntil=late), 1003, 422)


def test_wrong_chain(node, patient):
    other = Signer(patient.signer.kid, patient.signing, "sandbox-0000000000ff")
    refused(node, other.sign([stamp()]), 1001, 422)


@pytest.mark.parametrize("kid", ["did:salus:AAAAAAAAAAAAAAAAAAAAAAAAAAA#sign-1", "{did}#sign-9"])
def test_unknown_key(node, patient, kid):
    stranger = Signer(kid.format(did=patient.did), Wallet().signing("x"), node.chain)
    refused(node, stranger.sign([stamp()]), 1008, 422)


def test_key_of_another_purpose(node, patient):
    sealing = Signer(f"{patient.did}#seal-1", patient.sealing, node.chain)
    refused(node, sealing.sign([stamp()]), 1009, 422)


def test_wrong_signature(node, patient):
    refused(node, Signer(patient.signer.kid, Wallet().signing("x"), node.chain).sign([stamp()]), SIGNATURE_INVALID)
    value = json.loads(patient.signer.sign([stamp()]))
    other = json.loads(patient.signer.sign([stamp()]))
    value["payload"] = other["payload"]
    refused(node, json.dumps(value).encode(), SIGNATURE_INVALID)


def test_high_s(node, patient):
    payload = json.dumps(patient.signer.payload([stamp()])).encode()
    data = envelope(payload, patient.signer.header(), patient.signing, high=True)
    assert "n − s" in refused(node, json.dumps(data).encode(), 23)["advice"]
    low = envelope(payload, patient.signer.header(), patient.signing)
    assert node.submit(json.dumps(low).encode()).status_code == 200


def test_duplicate_members(node, patient):
    payload = patient.signer.payload([stamp()])
    text = json.dumps(payload)
    for twice in ('{"v": 1, ' + text[1:], text.replace('"type": ', '"type": "kernel/stamp", "\\u0074ype": ')):
        refused(node, signed_text(patient.signer, twice), 5)


@pytest.mark.parametrize("half", ["\\ud83d", "\\udc00", "\\uDC00\\uD83D"])
def test_lone_surrogate(node, patient, half):
    text = json.dumps(patient.signer.payload([{**stamp(), "note": "HALF"}])).replace("HALF", half)
    refused(node, signed_text(patient.signer, text), 6)


@pytest.mark.parametrize("number", ["1.0", "1e3", "-0", "9007199254740993", "NaN"])
def test_numbers(node, patient, number):
    text = json.dumps(patient.signer.payload([{**stamp(), "note": "NUMBER"}])).replace('"NUMBER"', number)
    refused(node, signed_text(patient.signer, text), 4 if number == "NaN" else 7)


@pytest.mark.parametrize("levels", [17, 20_000])
def test_deep_nesting(node, patient, levels):
    text = json.dumps(patient.signer.payload([{**stamp(), "note": "DEEP"}]))
    refused(node, signed_text(patient.signer, text.replace('"DEEP"', "[" * levels + "]" * levels)), 8)


def test_oversized(node, patient):
    data = patient.signer.sign([stamp()])
    answer = node.submit(data + b" " * (1_048_577 - len(data)))
    assert (answer.status_code, answer.json()["code"]) == (413, 605), answer.text
    assert node.submit(data + b" " * (1_048_576 - len(data))).status_code == 200


def test_unknown_members(node, patient):
    signer = patient.signer
    refused(node, signer.sign([stamp()], extra=1), 30)
    refused(node, signer.sign([{**stamp(), "extra": 1}]), 1007, 422)
    value = json.loads(signer.sign([stamp()]))
    refused(node, json.dumps({**value, "extra": 1}).encode(), 10)
    refused(node, json.dumps({**value, "header": {}}).encode(), 11)
    payload = json.dumps(signer.payload([stamp()]))
    refused(node, signed_text(signer, payload, jku="https://example.org"), 12)


def test_unknown_and_reserved_messages(node, patient):
    refused(node, patient.signer.sign([{"type": "kernel/nothing"}]), 1005, 422)
    refused(node, patient.signer.sign([{"type": "identity/setGuardians"}]), 1006, 422)


def test_other_algorithms_and_types(node, patient):
    signer = patient.signer
    value = json.loads(signer.sign([stamp()]))
    for change, code in (({"alg": "none"}, 13), ({"alg": "HS256"}, 13), ({"typ": "JWT"}, 14)):
        header = b64u(json.dumps(signer.header(**change)).encode())
        refused(node, json.dumps({**value, "protected": header}).encode(), code)


def test_a_rule_refuses_in_a_block_and_says_where(node, patient):
    message = {"type": "access/decide", "request": random_id(), "decision": "deny", "untilMs": 0}
    message |= {"commitment": b64u(os.urandom(32)), "hosted": False}
    answer = node.submit(patient.signer.sign([message]))
    problem = answer.json()
    assert answer.status_code == 422 and 6000 < problem["code"] < 7000
    receipt = node.get(f"/api/transactions/{problem['transaction']['hash']}/receipt").content
    report = verify_receipt(receipt, node.anchor)
    assert report["result"]["code"] == problem["code"] and report["result"]["events"] == []


def test_one_patient_cannot_answer_for_another(node, doctor, system_token, patient):
    other = import_patient(node, system_token, "Other")
    other.link(system_token)
    asked = {"custodian": "hospital", "patient": other.did, "purpose": "TREAT", "what": {"all": True}}
    request = node.post("/org/clinic/access-requests", doctor["token"], json=asked).json()["id"]
    message = patient.decide_message(request, "permit", int(time.time() * 1000) + MINUTE_MS)
    answer = node.submit(patient.signer.sign([message]))
    assert answer.status_code == 422 and 6000 < answer.json()["code"] < 7000
    assert node.get(f"/org/clinic/access-requests/{request}", doctor["token"]).json()["status"] == "pending"


def malformed_vectors() -> list[dict]:
    """What is refused by its form alone; a wrong signature needs keys that this node does not have."""
    cases = json.loads((VECTORS / "transactions.json").read_text())["reject"]
    return [case for case in cases if case["code"] != SIGNATURE_INVALID]


def test_every_malformed_transaction_of_the_vectors(node):
    before, wrong = node.settle(), []
    cases = malformed_vectors()
    for case in cases:
        if "base64url" in case:
            data = base64.urlsafe_b64decode(case["base64url"] + "===")
        else:
            data = case["text"].encode().ljust(case.get("padSpacesTo", 0))
        answer = node.submit(data)
        accepted = [case["code"]] + ([605] if case["code"] == 1 else []) + ([602] if not data else [])
        if answer.status_code not in (400, 413) or answer.json()["code"] not in accepted:
            wrong.append((case["name"], case["code"], answer.status_code, answer.json().get("code")))
    assert wrong == [] and len(cases) > 150
    assert node.app_hash() == before


def test_wallet_tokens_are_bound(node, patient):
    """To method, path, chain, time and key."""
    path, signer = "/org/hospital/accounting", patient.signer
    now = int(time.time())
    stranger = Signer(signer.kid, Wallet().signing("x"), node.chain)
    good = signer.token("GET", path)
    assert node.get(path, good).status_code == 200
    for token, status, code in (
        (signer.token("POST", path), 401, 627),
        (signer.token("GET", "/org/hospital/wallet/requests"), 401, 627),
        (signer.token("GET", path, aud="sandbox-other"), 401, 623),
        (signer.token("GET", path, iat=now - 400, exp=now - 200), 401, 622),
        (signer.token("GET", path, exp=now + 4000), 401, 621),
        (stranger.token("GET", path), 401, 625),
        (Signer("did:salus:AAAAAAAAAAAAAAAAAAAAAAAAAAA#x", signer.key, node.chain).token("GET", path), 401, 624),
        (good[:-4] + "AAAA", 401, 625),
        ("x.y.z", 401, 621),
        (None, 401, 620),
    ):
        answer = node.get(path, token)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_a_token_that_impersonates_a_patient_reads_but_never_decides(node, system_token, patient):
    token = node.token("hospital", f"patient:{patient.fhir_id}")
    assert node.get("/org/hospital/wallet/requests", token).status_code == 403
    assert node.post("/org/hospital/linking-codes", token, json={"patient": patient.fhir_id}).status_code == 403


def test_malformed_envelopes(node, patient):
    """240: the vault's number for what is no envelope, with the vault's advice."""
    headers = {"Content-Type": "application/json"}
    data, _ = seal(b"x", [patient.sealing.public_key()], "c")
    whole = json.loads(data)
    for body in ("{}", "[]", "x", json.dumps({**whole, "extra": 1}), json.dumps({**whole, "suite": "none"})):
        answer = patient.call("POST", "/api/sealed", data=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, 240), answer.text
        assert "salus-sealed/1" in answer.json()["advice"] or "sealed" in answer.json()["title"]
