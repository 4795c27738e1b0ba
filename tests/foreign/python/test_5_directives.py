"""Standing consent, and news as they come: given, used, taken back, by the patient's own client."""

import json
import time

import pytest

from conftest import import_patient
from salus_foreign.encoding import b64u, random_id
from salus_foreign.sealed import context_of, public_of_jwk, seal

DAY_MS = 86_400_000
STEP_MS = 30 * DAY_MS
NEWS_SECONDS = 10


@pytest.fixture(scope="module")
def patient(node, system_token):
    linked = import_patient(node, system_token, "Directives")
    linked.link(system_token)
    return linked


def everything(node, patient, token):
    return node.fhir("hospital", f"Patient/{patient.fhir_id}/$everything", token)


def leave(node, patient, kind: str, object_id: str, content: dict) -> str:
    """Seals for custodian and patient, leaves the envelope, gives the commitment."""
    recipients = [public_of_jwk(node.key_of(patient.custodian, "encrypt-1")), patient.sealing.public_key()]
    data, commitment = seal(json.dumps(content).encode(), recipients, context_of(node.chain, kind, object_id))
    answer = patient.call("POST", "/api/sealed", data=data, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201, answer.text
    return commitment


def test_a_directive_opens_what_it_names_and_closes_when_revoked(node, doctor, patient):
    assert everything(node, patient, doctor["token"]).status_code == 404
    directive, now = random_id(), int(time.time() * 1000)
    content = {
        "format": "salus-directive/1",
        "id": directive,
        "patient": patient.did,
        "custodian": patient.custodian,
        "effect": "permit",
        "grantees": [{"kind": "organization", "id": node.organizations["clinic"]}],
        "what": {"all": True},
        "purposes": ["TREAT"],
        "actions": ["read"],
        "untilMs": now + DAY_MS,
        "issuer": "patient",
    }
    grant = {
        "type": "consent/grant",
        "directive": directive,
        "patient": patient.did,
        "commitment": leave(node, patient, "consent/grant", directive, content),
        "expiresMs": -(-(now + DAY_MS) // STEP_MS) * STEP_MS,
        "uses": 0,
        "endToken": random_id(),
        "hosted": False,
    }
    granted = node.submit(patient.signer.sign([grant]))
    assert granted.status_code == 200, granted.text
    assert len(everything(node, patient, doctor["token"]).json()["entry"]) == 4
    payer = node.token("payer", f"practitioner:{doctor['did']}", "--purpose", "TREAT", "--role", "doctor")
    assert everything(node, patient, payer).status_code == 404
    research = node.token("clinic", f"practitioner:{doctor['did']}", "--purpose", "HRESCH", "--role", "doctor")
    assert everything(node, patient, research).status_code == 404

    notice = leave(node, patient, "consent/revoke", directive, {"format": "salus-revocation/1", "directive": directive})
    revoke = {
        "type": "consent/revoke",
        "patient": patient.did,
        "directives": [directive],
        "notice": notice,
        "hosted": False,
    }
    assert node.submit(patient.signer.sign([revoke])).status_code == 200
    assert everything(node, patient, doctor["token"]).status_code == 404


def test_the_patient_is_told_at_once(node, doctor, patient):
    path = "/org/hospital/notices"
    token = patient.signer.token("GET", path)
    with node.get(path, token, stream=True, timeout=NEWS_SECONDS) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        asked = {"custodian": "hospital", "patient": patient.did, "purpose": "TREAT", "what": {"all": True}}
        # A connection of its own: the stream holds the other one.
        request = node.post("/org/clinic/access-requests", doctor["token"], json=asked).json()["id"]
        kind, deadline = "", time.monotonic() + NEWS_SECONDS
        for line in stream.iter_lines(decode_unicode=True):
            assert time.monotonic() < deadline
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            if line.startswith("data: ") and kind == "access/Requested":
                assert json.loads(line.removeprefix("data: "))["data"]["request"] == request
                return
    raise AssertionError("the stream ended")


def test_digests_are_stamped_once(node, patient):
    message = {"type": "kernel/stamp", "digest": b64u(bytes(32))}
    assert node.submit(patient.signer.sign([message])).status_code == 200
    again = node.submit(patient.signer.sign([message]))
    assert (again.status_code, again.json()["code"]) == (422, 1014)
