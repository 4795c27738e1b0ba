"""The node that `run` started, and a client of it."""

import json
import os
import pathlib
import subprocess
import time
import uuid

import pytest
import requests

from salus_foreign.encoding import unb64u
from salus_foreign.keys import Signer, Wallet, did_of, key_from_jwk, public_jwk
from salus_foreign.sealed import context_of, open_sealed, public_of_jwk, seal

TIMEOUT_SECONDS = 20
CLI_TIMEOUT_SECONDS = 30
QUIET_SECONDS = 3


class Node:
    def __init__(self, url: str, data: str, root: str):
        self.url, self.data, self.root = url, pathlib.Path(data), pathlib.Path(root)
        self.session = requests.Session()
        self.status = self.get("/api/status").json()
        self.chain = self.status["chain"]
        self.organizations = {one["slug"]: one["did"] for one in self.status["organizations"]}
        self.anchor = self.get("/api/anchor").json()

    def call(self, method: str, path: str, token: str | None = None, **options) -> requests.Response:
        headers = options.pop("headers", {})
        if token:
            headers["Authorization"] = f"Bearer {token}"
        options.setdefault("timeout", TIMEOUT_SECONDS)
        return self.session.request(method, self.url + path, headers=headers, **options)

    def get(self, path: str, token: str | None = None, **options) -> requests.Response:
        return self.call("GET", path, token, **options)

    def post(self, path: str, token: str | None = None, **options) -> requests.Response:
        return self.call("POST", path, token, **options)

    def app_hash(self) -> str:
        return self.get("/api/status").json()["appHash"]

    def settle(self) -> str:
        """Waits until accesses made before are anchored (every 2 s); the application hash that stands then."""
        known, since = self.app_hash(), time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            time.sleep(0.2)
            if (now := self.app_hash()) != known:
                known, since = now, time.monotonic()
        return known

    def salus(self, *arguments: str, stdin: str | None = None) -> str:
        """The organisation's own command on the node's machine; used for what only an organisation can do."""
        command = [str(self.root / "node_modules/.bin/salus"), "--data", str(self.data), *arguments]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=CLI_TIMEOUT_SECONDS, check=True
        )
        return done.stdout.strip()

    def token(self, slug: str, subject: str, *options: str) -> str:
        return self.salus("token", "--org", slug, "--as", subject, *options)

    def submit(self, data: bytes | str) -> requests.Response:
        return self.post("/api/transactions", data=data, headers={"Content-Type": "application/jose+json"})

    def submit_as(self, slug: str, *messages: dict) -> dict:
        signed = self.salus("tx", "sign", "-", "--org", slug, stdin=json.dumps(list(messages)))
        answer = self.submit(signed)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def state(self, key: str, proof: bool = False) -> dict:
        answer = self.get(f"/api/state/{key}", params={"proof": "true"} if proof else {})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def key_of(self, did: str, name: str) -> dict:
        return self.state(f"identity/key/{did}/{name}")["content"]["jwk"]

    def fhir(self, slug: str, path: str, token: str) -> requests.Response:
        return self.get(f"/org/{slug}/fhir/R4/{path}", token)


class Patient:
    """A person's wallet in the context of one custodian."""

    def __init__(self, node: Node, slug: str, fhir_id: str):
        self.node, self.slug, self.fhir_id = node, slug, fhir_id
        self.custodian = node.organizations[slug]
        context = f"{node.chain} {self.custodian}"
        wallet = Wallet()
        self.signing, self.sealing = wallet.signing(context), wallet.sealing(context)
        self.did = ""

    @property
    def signer(self) -> Signer:
        return Signer(f"{self.did}#sign-1", self.signing, self.node.chain)

    def bind_message(self) -> dict:
        keys = [
            {"name": "sign-1", "purpose": "sign", "suite": "ES256", "jwk": public_jwk(self.signing)},
            {"name": "seal-1", "purpose": "encrypt", "suite": "HPKE-P256", "jwk": public_jwk(self.sealing)},
        ]
        return {"type": "identity/bindPatient", "patient": self.did, "keys": keys}

    def link(self, system_token: str) -> dict:
        node, slug = self.node, self.slug
        code = node.post(f"/org/{slug}/linking-codes", system_token, json={"patient": self.fhir_id})
        assert code.status_code == 201, code.text
        self.code = code.json()["code"]
        opened = node.post(f"/org/{slug}/links", json={"code": self.code}).json()
        assert opened["chain"] == node.chain and opened["custodian"]["did"] == self.custodian
        self.did = opened["patient"]
        body = {"code": self.code, "transaction": self.signer.sign([self.bind_message()]).decode()}
        confirmed = node.post(f"/org/{slug}/links/confirm", json=body)
        assert confirmed.status_code == 200, confirmed.text
        return confirmed.json()

    def call(self, method: str, path: str, **options) -> requests.Response:
        return self.node.call(method, path, self.signer.token(method, path.split("?")[0]), **options)

    def open_request(self, request: dict) -> dict:
        answer = self.call("GET", f"/api/sealed/{request['commitment']}")
        assert answer.status_code == 200, answer.text
        context = context_of(self.node.chain, "access/request", request["id"])
        for envelope in answer.json()["envelopes"]:
            try:
                return json.loads(open_sealed(envelope, self.sealing, context, request["commitment"]))
            except ValueError:
                continue
        raise AssertionError("no envelope opens")

    def decide_message(self, request: str, decision: str, until_ms: int) -> dict:
        content = {"format": "salus-decision/1", "request": request, "decision": decision}
        recipients = [public_of_jwk(self.node.key_of(self.custodian, "encrypt-1")), self.sealing.public_key()]
        envelope, commitment = seal(
            json.dumps(content).encode(), recipients, context_of(self.node.chain, "access/decide", request)
        )
        headers = {"Content-Type": "application/json"}
        stored = self.call("POST", "/api/sealed", data=envelope, headers=headers)
        assert stored.status_code == 201 and stored.json()["commitment"] == commitment, stored.text
        return {
            "type": "access/decide",
            "request": request,
            "decision": decision,
            "untilMs": until_ms,
            "commitment": commitment,
            "hosted": False,
        }


def bundle(name: str) -> dict:
    """A FHIR R4 transaction whose entries refer to each other by urn:uuid."""
    patient, encounter, condition, observation = (uuid.uuid4().urn for _ in range(4))
    code = {"coding": [{"system": "http://snomed.info/sct", "code": "44054006", "display": "Diabetes type 2"}]}
    sugar = {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]}
    percent = {"value": 7.10, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}
    subject = {"reference": patient}
    clinical = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}
    ambulatory = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
    resources = [
        (patient, {"resourceType": "Patient", "name": [{"family": name, "given": ["Ada"]}], "birthDate": "1961-04-05"}),
        (encounter, {"resourceType": "Encounter", "status": "finished", "class": ambulatory, "subject": subject}),
        (
            condition,
            {
                "resourceType": "Condition",
                "clinicalStatus": clinical,
                "code": code,
                "subject": subject,
                "encounter": {"reference": encounter},
            },
        ),
        (
            observation,
            {
                "resourceType": "Observation",
                "status": "final",
                "code": sugar,
                "subject": subject,
                "effectiveDateTime": "2026-05-06",
                "valueQuantity": percent,
            },
        ),
    ]
    entry = [
        {"fullUrl": url, "resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}}
        for url, resource in resources
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entry}


@pytest.fixture(scope="session")
def node() -> Node:
    return Node(os.environ["SALUS_URL"], os.environ["SALUS_DATA"], os.environ["SALUS_ROOT"])


@pytest.fixture(scope="session")
def system_token(node) -> str:
    return node.token("hospital", "system")


def import_patient(node: Node, token: str, name: str) -> Patient:
    headers = {"Content-Type": "application/fhir+json"}
    answer = node.post("/org/hospital/fhir/R4", token, data=json.dumps(bundle(name)), headers=headers)
    assert answer.status_code == 200, answer.text
    entries = answer.json()["entry"]
    assert [one["response"]["status"][:3] for one in entries] == ["201"] * 4
    kind, fhir_id, *_ = entries[0]["response"]["location"].split("/")
    assert kind == "Patient"
    return Patient(node, "hospital", fhir_id)


@pytest.fixture(scope="session")
def doctor(node) -> dict:
    """A doctor of the clinic, whom the clinic registers and the regulator licenses."""
    did = did_of(public_jwk(Wallet().signing("a doctor")))
    node.submit_as("clinic", {"type": "identity/registerPractitioner", "did": did, "roles": ["doctor"]})
    until = 4_102_444_800_000
    licence = {"practitioner": did, "profession": "doctor", "status": "active", "untilMs": until}
    node.submit_as("regulator", {"type": "identity/setLicence", **licence})
    token = node.token("clinic", f"practitioner:{did}", "--purpose", "TREAT", "--role", "doctor")
    return {"did": did, "token": token}


def held_keys(node: Node) -> list[tuple[str, str, object]]:
    """Every P-256 key in the node's data directory: organisation, name, key."""
    found = []
    for path in sorted(node.data.glob("orgs/*/keys/*.json")):
        private = json.loads(path.read_text()).get("privateJwk", {})
        if private.get("crv") == "P-256":
            found.append((path.parts[-3], path.stem, key_from_jwk(private)))
    return found


__all__ = ["Node", "Patient", "bundle", "held_keys", "import_patient", "unb64u"]
