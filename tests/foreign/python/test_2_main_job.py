"""The main job, step by step in this order, by HTTP and by what the specifications say."""

import json
import time

import pytest

from conftest import held_keys, import_patient
from salus_foreign.encoding import b64u, canonical, sha256, unb64u
from salus_foreign.keys import Signer, envelope, verify_transaction
from salus_foreign.proofs import Refused, merkle_root, verify_receipt
from salus_foreign.sealed import context_of, open_sealed

WINDOW_MS = 3_600_000
HIGH_S = 23
SIGNATURE_INVALID = 40
STATE_MOVED = 432


@pytest.fixture(scope="module")
def told() -> dict:
    """What one step learnt and the next ones need."""
    return {}


def test_01_status(node):
    assert set(node.organizations) >= {"hospital", "clinic", "payer", "regulator"}
    assert node.status["sandbox"] and node.chain.startswith("sandbox-")
    assert node.anchor["format"] == "salus-anchor/1" and node.anchor["chain"] == node.chain
    document = node.get("/api/openapi.json").json()
    assert "/org/{slug}/access-requests" in document["paths"]
    for message in ("access.decide", "identity.bindPatient", "kernel.stamp"):
        assert document["components"]["schemas"][message]["properties"]["type"]["const"] == message.replace(".", "/")
    statement = node.get("/org/hospital/fhir/R4/metadata").json()
    assert statement["resourceType"] == "CapabilityStatement"


def test_02_import_a_transaction_bundle(node, system_token, told):
    told["patient"] = import_patient(node, system_token, "Foreignclient")
    answer = node.fhir("hospital", f"Patient/{told['patient'].fhir_id}", system_token)
    assert answer.status_code in (200, 404)


def test_03_a_wrong_linking_code_links_nothing(node):
    answer = node.post("/org/hospital/links", json={"code": "AAAA-AAAA-AAAA-AAAA"})
    assert (answer.status_code, answer.json()["code"]) == (404, 780)


def test_04_high_s_is_refused_and_low_s_links_the_wallet(node, system_token, told):
    patient = told["patient"]
    before = node.post("/org/hospital/linking-codes", system_token, json={"patient": patient.fhir_id}).json()
    patient.did = before["patient"]
    payload = json.dumps(patient.signer.payload([patient.bind_message()])).encode()
    high = envelope(payload, patient.signer.header(), patient.signing, high=True)
    body = {"code": before["code"], "transaction": json.dumps(high)}
    refused = node.post("/org/hospital/links/confirm", json=body)
    assert (refused.status_code, refused.json()["code"]) == (400, HIGH_S)
    told["link"] = patient.link(system_token)
    bound = [event["type"] for event in told["link"]["events"]]
    assert "identity/PatientBound" in bound
    again = node.post("/org/hospital/links", json={"code": patient.code})
    assert again.json()["code"] == 780


def test_05_the_clinic_asks(node, doctor, told):
    patient = told["patient"]
    asked = {
        "custodian": "hospital",
        "patient": patient.did,
        "purpose": "TREAT",
        "what": {"all": True},
        "note": "Appointment on Monday – blood sugar",
    }
    answer = node.post("/org/clinic/access-requests", doctor["token"], json=asked)
    assert answer.status_code == 202 and answer.json()["status"] == "pending", answer.text
    told["request"] = answer.json()["id"]
    stranger = {**asked, "patient": "did:salus:AAAAAAAAAAAAAAAAAAAAAAAAAAA"}
    other = node.post("/org/clinic/access-requests", doctor["token"], json=stranger)
    assert (other.status_code, other.json()["status"]) == (202, "pending")


def test_06_nothing_is_learnt_before_the_answer(node, doctor, told):
    answers = []
    for fhir_id in (told["patient"].fhir_id, "nobody"):
        for path in (f"Patient/{fhir_id}", f"Patient/{fhir_id}/$everything", f"Patient/{fhir_id}/_history"):
            answer = node.fhir("hospital", path, doctor["token"])
            text = answer.text.replace(fhir_id, "ID")
            answers.append((path.replace(fhir_id, "ID"), answer.status_code, text))
    real, unknown = answers[:3], answers[3:]
    assert [one[1] for one in real] == [404, 404, 404]
    assert real == unknown
    for search in ("Condition", "Observation", "Patient"):
        of = "_id" if search == "Patient" else "patient"
        found = node.fhir("hospital", f"{search}?{of}={told['patient'].fhir_id}", doctor["token"])
        assert found.status_code == 200 and found.json().get("total", 0) == 0
        assert "entry" not in found.json() or found.json()["entry"] == []


def test_07_the_patient_reads_the_sealed_request(node, doctor, told):
    patient = told["patient"]
    listed = patient.call("GET", "/org/hospital/wallet/requests").json()["requests"]
    [request] = [one for one in listed if one["id"] == told["request"]]
    assert request["organization"]["did"] == node.organizations["clinic"] and request["status"] == "pending"
    content = patient.open_request(request)
    assert content["person"] == doctor["did"] and content["patient"] == patient.did
    assert content["note"].endswith("– blood sugar") and content["purpose"] == "TREAT"
    on_ledger = node.state(f"access/request/{request['id']}")["content"]
    assert on_ledger["commitment"] == request["commitment"]
    envelopes = patient.call("GET", f"/api/sealed/{request['commitment']}").json()["envelopes"]
    with pytest.raises(ValueError):
        open_sealed(envelopes[0], patient.signing, context_of(node.chain, "access/request", request["id"]), request["commitment"])
    told["until"] = int(time.time() * 1000) + WINDOW_MS
    told["decision"] = patient.decide_message(told["request"], "permit", told["until"])


def test_08_an_approval_by_a_key_that_the_node_holds_is_refused(node, told):
    """Under the patient's name: a wrong signature. Under the organisation's own: not for it to decide."""
    patient, message = told["patient"], told["decision"]
    keys = held_keys(node)
    assert len(keys) >= 8, "two P-256 keys of each of four organisations"
    before = node.settle()
    for slug, name, key in keys:
        forged = Signer(patient.signer.kid, key, node.chain).sign([message])
        answer = node.submit(forged)
        assert (answer.status_code, answer.json()["code"]) == (400, SIGNATURE_INVALID), (slug, name, answer.text)
    assert node.app_hash() == before
    for slug, name, key in keys:
        own = Signer(f"{node.organizations[slug]}#{name}", key, node.chain)
        answer = node.submit(own.sign([message]))
        assert answer.status_code in (400, 422) and answer.json()["code"] >= 1000, (slug, name, answer.text)
    state = node.state(f"access/request/{told['request']}")["content"]
    assert "decision" not in state


def test_09_the_custodian_cannot_put_another_key_in_place(node, told):
    patient = told["patient"]
    [(_, name, key)] = [one for one in held_keys(node) if one[0] == "hospital" and one[1].startswith("sign")]
    own = Signer(f"{patient.custodian}#{name}", key, node.chain)
    jwk = patient.bind_message()["keys"][0]["jwk"]
    new = {"name": "sign-2", "purpose": "sign", "suite": "ES256", "jwk": jwk}
    for message in (
        {"type": "identity/bindPatient", "patient": patient.did, "keys": [new]},
        {"type": "identity/addKey", "participant": patient.did, "key": new},
    ):
        answer = node.submit(own.sign([message]))
        assert answer.status_code in (400, 422), answer.text
        assert 1000 <= answer.json()["code"] < 3000


def test_10_the_patient_approves(node, told):
    patient = told["patient"]
    answer = node.submit(patient.signer.sign([told["decision"]]))
    assert answer.status_code == 200 and answer.json()["code"] == 0, answer.text
    told["approval"] = answer.json()
    again = node.submit(patient.signer.sign([told["decision"]]))
    assert again.status_code == 422 and 6000 < again.json()["code"] < 7000


def test_11_the_doctor_reads_everything(node, doctor, told):
    path = f"/org/clinic/access-requests/{told['request']}"
    state = node.get(path, doctor["token"]).json()
    assert (state["status"], state["expiresMs"]) == ("permitted", told["until"])
    answer = node.fhir("hospital", f"Patient/{told['patient'].fhir_id}/$everything", doctor["token"])
    assert answer.status_code == 200, answer.text
    kinds = sorted(one["resource"]["resourceType"] for one in answer.json()["entry"])
    assert kinds == ["Condition", "Encounter", "Observation", "Patient"]
    assert '"value":7.1' in answer.text.replace(" ", "")


def test_12_another_clinic_doctor_and_the_payer_read_nothing(node, told):
    path = f"Patient/{told['patient'].fhir_id}/$everything"
    for slug, role in (("payer", "reviewer"), ("clinic", "nurse")):
        token = node.token(slug, "practitioner:did:salus:AAAAAAAAAAAAAAAAAAAAAAAAAAA", "--role", role)
        assert node.fhir("hospital", path, token).status_code == 404


def test_13_the_patient_sees_who_looked(node, doctor, told):
    answer = told["patient"].call("GET", "/org/hospital/accounting")
    assert answer.status_code == 200, answer.text
    accounting = answer.json()
    anchored = [one for one in accounting["entries"] if one["path"] != "local"]
    assert accounting["complete"] and accounting["anchored"] == len(anchored)
    looked = [one for one in accounting["entries"] if one["disclosure"]["requester"].get("person") == doctor["did"]]
    [entry] = [one for one in looked if one["disclosure"]["outcome"] == "released"]
    assert len(looked) > 1, "what was tried before and denied is shown too"
    disclosure = entry["disclosure"]
    assert disclosure["purpose"] == "TREAT"
    assert disclosure["basis"]["kind"] == "request" and disclosure["basis"]["id"] == told["request"]
    assert b64u(sha256(unb64u(entry["salt"]), canonical(disclosure))) == entry["commitment"]
    told["release"] = entry
    for denied in (one for one in looked if one is not entry):
        # On the ledger it would tell whoever was refused that this person is a patient here.
        assert (denied["disclosure"]["outcome"], denied["path"]) == ("denied", "local")
        assert "transaction" not in denied and denied["disclosure"]["records"] == []
        assert b64u(sha256(unb64u(denied["salt"]), canonical(denied["disclosure"]))) == denied["commitment"]


def test_14_routine_accesses_are_leaves_of_anchored_batches(node, told):
    """Every batch of the custodian is recomputed: nothing can be left out of the patient's numbering."""
    patient, counts, seen = told["patient"], {}, {}
    own = patient.call("GET", f"/org/hospital/fhir/R4/Patient/{patient.fhir_id}/$everything")
    assert own.status_code == 200 and len(own.json()["entry"]) == 4, own.text
    entries = patient.call("GET", "/org/hospital/accounting").json()["entries"]
    routine = [one for one in entries if one["path"] == "batch"]
    query = {"type": "access/anchorBatch", "participant": patient.custodian}
    for one in node.get("/api/transactions", params=query).json()["transactions"]:
        report = verify_receipt(node.get(f"/api/transactions/{one['hash']}/receipt").content, node.anchor)
        [message] = json.loads(unb64u(json.loads(report["transaction"])["payload"]))["messages"]
        leaves = []
        for did, commitment in message["entries"]:
            number = counts.get(did, 0)
            counts[did] = number + 1
            leaves.append(f"{did}|{number}|{commitment}".encode())
            seen[did, commitment] = one["hash"]
        assert report["result"]["outputs"][0]["root"] == b64u(merkle_root(leaves))
    assert routine and counts[patient.did] == len(routine)
    for entry in routine:
        assert b64u(sha256(unb64u(entry["salt"]), canonical(entry["disclosure"]))) == entry["commitment"]
        assert seen[patient.did, entry["commitment"]] == entry["transaction"]
    key = f"access/routine/{patient.custodian}/{patient.did}"
    proven = verify_receipt(canonical(node.state(key, proof=True)["proof"]), node.anchor)
    assert proven["value"] == len(routine)


def test_15_receipts_prove_approval_and_release(node, told):
    patient = told["patient"]
    keys = {
        patient.signer.kid: node.key_of(patient.did, "sign-1"),
        f"{patient.custodian}#sign-1": node.key_of(patient.custodian, "sign-1"),
    }
    for transaction, commitment, kind in (
        (told["link"]["hash"], None, "identity/bindPatient"),
        (told["approval"]["hash"], told["decision"]["commitment"], "access/decide"),
        (told["release"]["transaction"], told["release"]["commitment"], "access/release"),
    ):
        receipt = node.get(f"/api/transactions/{transaction}/receipt").content
        report = verify_receipt(receipt, node.anchor)
        assert report["hash"] == transaction and report["result"]["code"] == 0
        payload = verify_transaction(report["transaction"], keys)
        message = payload["messages"][0]
        assert message["type"] == kind and message.get("commitment") == commitment
        told[kind] = receipt


def test_16_state_proofs_of_presence_and_absence(node, told):
    request = told["request"]
    shown = node.state(f"access/request/{request}", proof=True)
    report = verify_receipt(canonical(shown["proof"]), node.anchor)
    assert report["key"] == f"access/request/{request}" and report["present"]
    assert report["value"]["decision"] == "permit"
    assert shown["content"]["decision"] == "permit" and shown["present"]
    missing = "access/request/" + "A" * 22
    absent = node.state(missing, proof=True)
    report = verify_receipt(canonical(absent["proof"]), node.anchor)
    assert (report["key"], report["present"], absent["present"]) == (missing, False, False)


def test_17_a_receipt_with_a_state_proof(node, told):
    """Value and transaction in one file, as long as the state is still the one after that block (409 later)."""
    patient = told["patient"]
    key = f"identity/key/{patient.did}/sign-1"
    node.settle()
    late = node.get(f"/api/transactions/{told['link']['hash']}/receipt", params={"state": key})
    assert (late.status_code, late.json()["code"]) == (409, STATE_MOVED)
    digest = b64u(sha256(b"a document"))
    stamped = node.submit(patient.signer.sign([{"type": "kernel/stamp", "digest": digest}])).json()
    both = node.get(f"/api/transactions/{stamped['hash']}/receipt", params={"state": key})
    report = verify_receipt(both.content, node.anchor)
    assert report["hash"] == stamped["hash"]
    jwk = report["value"]["jwk"]
    assert jwk == patient.bind_message()["keys"][0]["jwk"]
    assert verify_transaction(report["transaction"], {patient.signer.kid: jwk})["messages"][0]["digest"] == digest


def test_18_every_changed_value_of_a_receipt_is_refused(node, told):
    """One leaf of the JSON after the other, changed so that the file stays well formed."""
    receipt = json.loads(told["access/decide"])
    absent = node.state("access/request/" + "B" * 22, proof=True)["proof"]

    def leaves(value, way=()):
        if isinstance(value, (dict, list)):
            for name in value if isinstance(value, dict) else range(len(value)):
                yield from leaves(value[name], (*way, name))
        else:
            yield way, value

    def changed(value):
        if isinstance(value, int):
            return value + 1
        if value is None:
            return "AA"
        if value == "":
            return "0"
        return value[:-1] + ("0" if value[-1] != "0" else "1") if value[-1] != "Z" else "2020-01-01T00:00:00Z"

    count = 0
    for original in (receipt, absent):
        for way, value in leaves(original):
            copy = json.loads(json.dumps(original))
            place = copy
            for name in way[:-1]:
                place = place[name]
            place[way[-1]] = changed(value)
            if way[-1] == "log":
                continue
            with pytest.raises((Refused, ValueError, KeyError, IndexError)):
                verify_receipt(canonical(copy), node.anchor)
            count += 1
    assert count > 60


def test_19_a_refusal_is_the_end_of_it(node, doctor, system_token, told):
    """A second patient says no: nothing comes out, and the request can be answered no more."""
    patient = import_patient(node, system_token, "Denying")
    patient.link(system_token)
    asked = {"custodian": "hospital", "patient": patient.did, "purpose": "TREAT", "what": {"all": True}}
    request = node.post("/org/clinic/access-requests", doctor["token"], json=asked).json()["id"]
    [listed] = patient.call("GET", "/org/hospital/wallet/requests").json()["requests"]
    assert listed["id"] == request
    denied = node.submit(patient.signer.sign([patient.decide_message(request, "deny", 0)]))
    assert denied.status_code == 200, denied.text
    assert node.get(f"/org/clinic/access-requests/{request}", doctor["token"]).json()["status"] == "denied"
    assert node.fhir("hospital", f"Patient/{patient.fhir_id}/$everything", doctor["token"]).status_code == 404
    other = told["patient"].call("GET", "/org/hospital/wallet/requests").json()["requests"]
    assert request not in [one["id"] for one in other], "one wallet sees nothing of another's"
