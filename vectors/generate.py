"""Writes encoding.json and transactions.json; afterwards: npx biome format --write on these two.

An implementation of ADR 1 of its own, with Python's standard library alone, so that the vectors do not merely repeat
what the TypeScript does. Everything is deterministic: keys and nonces come from fixed texts.
"""

import base64
import hashlib
import hmac
import json
import os

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
HERE = os.path.dirname(os.path.abspath(__file__))
CHAIN = "salus-vectors"
VALID_UNTIL = 1_790_000_000_000


# --- primitives ---------------------------------------------------------------------------------------------------


def sha256(data):
    return hashlib.sha256(data).digest()


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def jcs(value):
    """RFC 8785 for integers, texts, lists and objects with names in the basic plane."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    if a == b:
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P) % P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P) % P
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def multiply(scalar, point=G):
    result = None
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def sign_raw(secret, message, low=True):
    nonce = int.from_bytes(sha256(b"nonce" + secret.to_bytes(32, "big") + message), "big") % (N - 1) + 1
    r = multiply(nonce)[0] % N
    s = pow(nonce, -1, N) * (int.from_bytes(sha256(message), "big") + r * secret) % N
    if (s > N // 2) == low:
        s = N - s
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def hkdf(ikm, salt, info, length):
    prk = hmac.new(salt, ikm, hashlib.sha256).digest()
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.new(prk, block + info + bytes([counter]), hashlib.sha256).digest()
        out += block
        counter += 1
    return out[:length]


def head(major, n):
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 24:
            return bytes([major << 5 | n])
        if n < 1 << 8 * size:
            return bytes([major << 5 | info]) + n.to_bytes(size, "big")
    raise ValueError(n)


def cbor(value):
    if value is None:
        return b"\xf6"
    if value is False or value is True:
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(cbor(item) for item in value)
    pairs = sorted((cbor(name), cbor(item)) for name, item in value.items())
    return head(5, len(pairs)) + b"".join(name + item for name, item in pairs)


# --- keys ---------------------------------------------------------------------------------------------------------


def public_jwk(secret):
    x, y = multiply(secret)
    return {"kty": "EC", "crv": "P-256", "x": b64u(x.to_bytes(32, "big")), "y": b64u(y.to_bytes(32, "big"))}


def thumbprint(jwk):
    return sha256(jcs({name: jwk[name] for name in ("crv", "kty", "x", "y")}).encode())


def did_of(jwk):
    return "did:salus:" + b64u(thumbprint(jwk)[:20])


class Key:
    def __init__(self, label, name="main", did=None):
        self.secret = int.from_bytes(sha256(label.encode()), "big") % (N - 1) + 1
        self.jwk = public_jwk(self.secret)
        self.did = did or did_of(self.jwk)
        self.kid = f"{self.did}#{name}"

    def entry(self):
        return {"kid": self.kid, "publicJwk": self.jwk, "d": b64u(self.secret.to_bytes(32, "big"))}


ALICE, BOB = Key("alice"), Key("bob")
ALICE2 = Key("alice's second key", "spare-2", ALICE.did)
LONG = Key("long", "a23456789-123456")
OTHERS = [Key(f"signer {index}") for index in range(7)]
KEYS = [ALICE, BOB, ALICE2, LONG, *OTHERS]

# --- transactions -------------------------------------------------------------------------------------------------

ID = b64u(sha256(b"transaction id")[:16])
MESSAGE = {"type": "records/anchor", "record": "r-1", "version": 1}


def payload_of(**changes):
    payload = {"v": 1, "id": ID, "validUntil": VALID_UNTIL, "messages": [MESSAGE]}
    payload.update(changes)
    return {name: value for name, value in payload.items() if value is not ...}


def header_of(key, **changes):
    header = {"alg": "ES256", "typ": "salus-tx+jws", "kid": key.kid, "chain": CHAIN}
    header.update(changes)
    return {name: value for name, value in header.items() if value is not ...}


def encode(part):
    if isinstance(part, dict | list):
        part = compact(part)
    return b64u(part if isinstance(part, bytes) else part.encode())


def signature_of(key, payload, header=None, low=True, signature=None):
    protected = encode(header_of(key) if header is None else header)
    raw = sign_raw(key.secret, f"{protected}.{payload}".encode(), low) if signature is None else signature
    return {"protected": protected, "signature": raw if isinstance(raw, str) else b64u(raw)}


def envelope(payload=None, keys=(ALICE,), header=None, **options):
    encoded = encode(payload_of() if payload is None else payload)
    signatures = [signature_of(key, encoded, header, **options) for key in keys]
    if len(signatures) == 1:
        return {"payload": encoded, **signatures[0]}
    return {"payload": encoded, "signatures": signatures}


def transaction(*args, **options):
    return compact(envelope(*args, **options))


def text_payload(messages):
    """A payload whose messages are given as text, for what no JSON library writes."""
    return f'{{"v":1,"id":"{ID}","validUntil":{VALID_UNTIL},"messages":{messages}}}'


def message_with(member):
    return transaction(text_payload(f'[{{"type":"records/anchor",{member}}}]'))


def nested(levels):
    """A payload of that many levels: the payload, the messages and the message are three."""
    return message_with('"deep":' + "[" * (levels - 3) + "]" * (levels - 3))


ACCEPT = []
REJECT = []


def accept(name, text, pad_to=None):
    data = text.encode() if pad_to is None else text.encode().ljust(pad_to)
    parsed = json.loads(text)
    signatures = parsed.get("signatures", [parsed])
    headers = [json.loads(base64.urlsafe_b64decode(part["protected"] + "==")) for part in signatures]
    case = {"name": name, "text": text}
    if pad_to is not None:
        case["padSpacesTo"] = pad_to
    payload = json.loads(base64.urlsafe_b64decode(parsed["payload"] + "=="))
    case.update(
        hash=sha256(data).hex(), chain=headers[0]["chain"], signers=[header["kid"] for header in headers], payload=payload
    )
    ACCEPT.append(case)


def reject(error, name, reason, text, pad_to=None):
    case = {"name": name, "error": error, "code": CODES[error], "reason": reason}
    if isinstance(text, bytes):
        case["base64url"] = b64u(text)
    else:
        case["text"] = text
    if pad_to is not None:
        case["padSpacesTo"] = pad_to
    REJECT.append(case)


CODES = {
    "transactionTooLarge": 1, "utf8Invalid": 2, "byteOrderMark": 3, "jsonSyntax": 4, "jsonDuplicateMember": 5,
    "loneSurrogate": 6, "jsonNumber": 7, "jsonTooDeep": 8, "jsonTooLarge": 9, "envelopeMembers": 10,
    "unprotectedHeader": 11, "headerMembers": 12, "headerAlgorithm": 13, "headerType": 14, "headerCritical": 15,
    "kidInvalid": 16, "chainInvalid": 17, "chainsDiffer": 18, "signedTwice": 19, "signaturesMissing": 20,
    "signaturesTooMany": 21, "signatureLength": 22, "signatureHighS": 23, "signatureRange": 24,
    "generalWithOneSignature": 25, "base64urlInvalid": 26, "payloadMembers": 30, "payloadVersion": 31, "payloadId": 32,
    "payloadValidUntil": 33, "messagesMissing": 34, "messagesTooMany": 35, "messageInvalid": 36, "messageType": 37,
    "signatureInvalid": 40, "jsonValue": 50, "cborValue": 51, "cborSyntax": 52, "cborNotDeterministic": 53,
    "cborTooDeep": 54, "cborTooLarge": 55, "hexInvalid": 56, "keyInvalid": 60, "didInvalid": 61,
    "rootSecretInvalid": 70, "contextInvalid": 71, "saltInvalid": 75, "blindInvalid": 76,
}  # fmt: skip


def accepted_transactions():
    accept("one signature", transaction())
    accept("two signatures", transaction(keys=(ALICE, BOB)))
    accept("eight signatures", transaction(keys=(ALICE, *OTHERS)))
    accept("64 messages", transaction(payload_of(messages=[MESSAGE] * 64)))
    accept("16 levels", nested(16))
    accept("exactly 1 MiB", transaction(), 1024 * 1024)
    accept("white space and another order of members", json.dumps(dict(reversed(envelope().items())), indent=2))
    accept("white space in payload and header", transaction(json.dumps(payload_of(), indent=1), header=json.dumps(header_of(ALICE))))
    accept("escapes that a serialiser need not make", transaction(text_payload('[{"type":"records\\/anchor","\\u0061":"\\u00E9\\n"}]')))
    accept("surrogate pair as an escape", message_with('"note":"\\ud83d\\ude00"'))
    accept("surrogate pair as UTF-8", message_with('"note":"😀"'))
    accept("escaped backslash before ud800", message_with('"note":"\\\\ud800"'))
    accept("largest and smallest integer", message_with('"a":9007199254740991,"b":-9007199254740991,"c":0'))
    accept("member names that are digits", message_with('"b":1,"2":2,"1":1'))
    accept("a member called __proto__", message_with('"__proto__":{"type":"x"}'))
    accept("an empty member name, null and empty containers", message_with('"":null,"a":[],"o":{}'))
    accept("the same member name in different objects", message_with('"a":{"a":[{"a":1},{"a":2}]}'))
    accept("longest names", transaction(keys=(LONG,), header=header_of(LONG, chain="a" * 50)))


def rejected_text():
    good = transaction()
    reject("transactionTooLarge", "1 MiB and a byte", "limit of a transaction", good, 1024 * 1024 + 1)
    reject("utf8Invalid", "byte 0xff in the envelope", "JSON is UTF-8", good.encode() + b"\xff")
    marked = compact(payload_of(messages=[{**MESSAGE, "a": "#"}])).encode()
    reject("utf8Invalid", "overlong encoding in the payload", "UTF-8 has one form", transaction(marked.replace(b"#", b"\xc0\xaf")))
    reject("utf8Invalid", "surrogate encoded as UTF-8", "CESU-8 is not UTF-8", transaction(marked.replace(b"#", b"\xed\xa0\x80")))
    reject("byteOrderMark", "byte order mark before the envelope", "RFC 8259 §8.1", "\ufeff" + good)
    reject("byteOrderMark", "byte order mark before the payload", "RFC 8259 §8.1", transaction("\ufeff" + compact(payload_of())))
    for name, text in (
        ("no bytes", ""), ("truncated", good[:-1]), ("text behind", good + "x"), ("trailing comma", good[:-1] + ",}"),
        ("single quotes", good.replace('"', "'")), ("compact serialisation", "e30.e30.AA"), ("a comment", "/**/" + good),
    ):  # fmt: skip
        reject("jsonSyntax", name, "RFC 8259", text)
    reject("jsonSyntax", "payload is no JSON", "RFC 8259", transaction("hello"))
    reject("jsonSyntax", "number with a leading zero", "RFC 8259 §6", message_with('"a":01'))
    reject("jsonSyntax", "control character in a text", "RFC 8259 §7", message_with('"a":"\t"'))
    reject("jsonDuplicateMember", "payload twice", "which one counts is undefined", good[:-1] + "," + good[1:good.index(",")] + "}")
    reject("jsonDuplicateMember", "a payload member twice", "which one counts is undefined", transaction(compact(payload_of())[:-1] + f',"id":"{ID}"}}'))
    reject("jsonDuplicateMember", "a message member twice, equal values", "which one counts is undefined", message_with('"a":1,"a":1'))
    reject("jsonDuplicateMember", "a message member twice, once escaped", "names are compared unescaped", message_with('"a":1,"\\u0061":2'))
    reject("jsonDuplicateMember", "duplicate deep inside", "which one counts is undefined", message_with('"x":[{"y":{"a":1,"b":2,"a":3}}]'))
    reject("jsonDuplicateMember", "alg twice", "which one counts is undefined", transaction(header='{"alg":"none",' + compact(header_of(ALICE))[1:]))
    reject("jsonDuplicateMember", "__proto__ twice", "which one counts is undefined", message_with('"__proto__":1,"__proto__":1'))
    for name, text in (("high half", "\\ud800"), ("high half, upper case", "\\uD800"), ("low half", "\\udc00"), ("halves reversed", "\\ude00\\ud83d"), ("high half before a letter", "\\udbffa")):  # fmt: skip
        reject("loneSurrogate", f"{name} in a value", "it has no UTF-8", message_with(f'"a":"{text}"'))
    reject("loneSurrogate", "in a member name", "it has no UTF-8", message_with('"\\udfff":1'))
    reject("loneSurrogate", "in an envelope text", "it has no UTF-8", good.replace('"payload":"', '"payload":"\\ud800'))
    for number in ("1.5", "1.0", "1e3", "1E3", "-0", "-0.0", "9007199254740992", "-9007199254740992", "9007199254740991.1", "1e400", "123456789012345678901234567890"):  # fmt: skip
        reject("jsonNumber", f"number {number}", "plain integers within ±(2^53−1)", message_with(f'"a":[{number}]'))
    reject("jsonNumber", "validUntil as 1.79e12", "plain integers within ±(2^53−1)", transaction(compact(payload_of()).replace(str(VALID_UNTIL), "1.79e12")))
    reject("jsonTooDeep", "17 levels", "16 levels at most", nested(17))
    reject("jsonTooDeep", "10,000 levels", "16 levels at most", nested(10_000))
    reject("jsonTooDeep", "nesting in the envelope", "an envelope has no use for it", good.replace('"payload"', '"x":[[[[[]]]]],"payload"'))
    reject("jsonTooDeep", "nesting in the header", "a header has no use for it", transaction(header=header_of(ALICE, x=[[[]]])))


def rejected_envelopes():
    good = envelope()
    two = envelope(keys=(ALICE, BOB))
    first, second = two["signatures"]
    for name, value in (
        ("a list", [good]), ("a text", "x"), ("null", None), ("a number", 1), ("no members", {}),
        ("an unknown member", {**good, "note": "x"}), ("no payload", {**good, "payload": None}),
        ("payload is a number", {**good, "payload": 1}), ("signature is null", {**good, "signature": None}),
        ("protected is an object", {**good, "protected": {}}),
        ("no signature", {name: value for name, value in good.items() if name != "signature"}),
        ("no protected", {name: value for name, value in good.items() if name != "protected"}),
        ("Flattened and General at once", {**good, "signatures": [first, second]}),
        ("General with an unknown member", {**two, "note": "x"}),
        ("signatures is an object", {**two, "signatures": {}}),
        ("signatures of null", {**two, "signatures": [None, None]}),
        ("signatures of texts", {**two, "signatures": ["a", "b"]}),
        ("a signature with an unknown member", {**two, "signatures": [first, {**second, "x": ""}]}),
        ("a signature without protected", {**two, "signatures": [first, {"signature": second["signature"]}]}),
        ("a signature that is a number", {**two, "signatures": [first, {**second, "signature": 1}]}),
    ):  # fmt: skip
        reject("envelopeMembers", name, "RFC 7515 §7.2, exactly", compact(value))
    reject("unprotectedHeader", "unprotected header", "what is not signed must not count", compact({**good, "header": {"kid": BOB.kid}}))
    reject("unprotectedHeader", "empty unprotected header", "what is not signed must not count", compact({**good, "header": {}}))
    reject("unprotectedHeader", "unprotected header in General", "what is not signed must not count", compact({**two, "signatures": [first, {**second, "header": {}}]}))
    reject("signaturesMissing", "no signatures", "somebody must sign", compact({**two, "signatures": []}))
    reject("generalWithOneSignature", "General with one signature", "Flattened is the form for one", compact({**two, "signatures": [first]}))
    nine = envelope(keys=(ALICE, BOB, *OTHERS))
    reject("signaturesTooMany", "nine signatures", "8 at most", compact(nine))
    payload = encode(payload_of())
    other = signature_of(BOB, payload, header_of(BOB, chain="another"))
    reject("chainsDiffer", "signatures for two chains", "all sign for one chain", compact({**two, "signatures": [first, other]}))
    reject("signedTwice", "the same signature twice", "one signature for each participant", compact({**two, "signatures": [first, first]}))
    reject("signedTwice", "two keys of one participant", "one signature for each participant", transaction(keys=(ALICE, BOB, ALICE2)))
    tail = good["signature"][:-1]
    for name, value in (
        ("padded payload", {**good, "payload": good["payload"] + "="}),
        ("padded signature", {**good, "signature": good["signature"] + "=="}),
        ("+ in the signature", {**good, "signature": "+" + good["signature"][1:]}),
        ("line break in the payload", {**good, "payload": good["payload"][:4] + "\n" + good["payload"][4:]}),
        ("letter beyond ASCII", {**good, "protected": good["protected"][:-1] + "é"}),
        ("unused bits of the signature", {**good, "signature": tail + chr(ord(good["signature"][-1]) + 1)}),
        ("signature of 85 characters", {**good, "signature": tail}),
        ("payload of 4n+1 characters", {**good, "payload": "A"}),
        ("unused bits of the payload", {**good, "payload": "e31"}),
    ):  # fmt: skip
        reject("base64urlInvalid", name, "RFC 7515 §2, one text for the same bytes", compact(value))


def rejected_headers():
    def with_header(**changes):
        return transaction(header=header_of(ALICE, **changes))

    reject("headerMembers", "no kid", "exactly alg, typ, kid, chain", with_header(kid=...))
    reject("headerMembers", "no chain", "exactly alg, typ, kid, chain", with_header(chain=...))
    reject("headerMembers", "kid is a number", "exactly alg, typ, kid, chain", with_header(kid=1))
    reject("headerMembers", "chain is null", "exactly alg, typ, kid, chain", with_header(chain=None))
    reject("headerMembers", "an unknown member", "exactly alg, typ, kid, chain", with_header(nonce="x"))
    reject("headerMembers", "unencoded payload option", "exactly alg, typ, kid, chain", with_header(b64=True))
    reject("headerMembers", "the key itself", "exactly alg, typ, kid, chain", with_header(jwk=ALICE.jwk))
    reject("headerMembers", "a list", "exactly alg, typ, kid, chain", transaction(header=[]))
    reject("jsonTooLarge", "header of 600 bytes", "512 bytes at most", transaction(header=compact(header_of(ALICE)).ljust(600)))
    reject("jsonSyntax", "no JSON", "RFC 8259", transaction(header="x"))
    for alg in ("none", "HS256", "ES384", "es256", "RS256", "", 256, ...):
        name = "no alg" if alg is ... else f"alg {compact(alg)}"
        reject("headerAlgorithm", name, "ES256 only", with_header(alg=alg))
    for typ in ("JWT", "application/salus-tx+jws", "SALUS-TX+JWS", None, ...):
        name = "no typ" if typ is ... else f"typ {compact(typ)}"
        reject("headerType", name, "tells a transaction from other signed things", with_header(typ=typ))
    reject("headerCritical", "crit", "unknown extensions are refused (RFC 7515 §4.1.11)", transaction(header={"crit": ["exp"], "exp": 1, **header_of(ALICE)}))
    unused_bits = ALICE.did[:-1] + chr(ord(ALICE.did[-1]) + 1)
    for name, kid in (
        ("no key name", ALICE.did), ("empty key name", f"{ALICE.did}#"), ("upper-case key name", f"{ALICE.did}#Main"),
        ("key name of 17 characters", f"{ALICE.did}#{'a' * 17}"), ("two key names", f"{ALICE.kid}#x"),
        ("another method", ALICE.kid.replace("salus", "key")), ("26 characters", f"{ALICE.did[:-1]}#main"),
        ("28 characters", f"{ALICE.did}A#main"), ("unused bits", f"{unused_bits}#main"),
        ("line break behind", f"{ALICE.kid}\n"), ("empty", ""),
    ):  # fmt: skip
        reject("kidInvalid", f"kid: {name}", "one text for one key", with_header(kid=kid))
    for name, chain in (("empty", ""), ("51 characters", "a" * 51), ("slash", "a/b"), ("first a dot", ".a"), ("white space", "a b"), ("letter beyond ASCII", "é"), ("line break behind", "a\n")):  # fmt: skip
        reject("chainInvalid", f"chain: {name}", "names of chains appear in paths and headers", with_header(chain=chain))


def rejected_signatures():
    good = sign_raw(ALICE.secret, b"x")
    zero, order = bytes(32), N.to_bytes(32, "big")
    der = b"\x30\x44\x02\x20" + good[:32] + b"\x02\x20" + good[32:]
    for name, raw in (("empty", b""), ("63 bytes", good[:63]), ("65 bytes", good + b"\0"), ("DER", der)):
        reject("signatureLength", f"signature: {name}", "r‖s (RFC 7518 §3.4)", transaction(signature=raw))
    reject("signatureHighS", "s > n/2", "a second signature for the same message", transaction(low=False))
    smallest_high = (N // 2 + 1).to_bytes(32, "big")
    reject("signatureHighS", "s = (n+1)/2", "the smallest s that is too high", transaction(signature=good[:32] + smallest_high))
    for name, raw in (
        ("r = 0", zero + good[32:]), ("s = 0", good[:32] + zero), ("r = n", order + good[32:]), ("s = n", good[:32] + order),
        ("all bits set", b"\xff" * 64),
    ):  # fmt: skip
        reject("signatureRange", f"signature: {name}", "r and s are in 1 … n−1", transaction(signature=raw))
    bob = envelope(keys=(BOB,), header=header_of(ALICE))
    reject("signatureInvalid", "signed with another key", "the kid's key must have signed", compact(bob))
    other = envelope(payload_of(messages=[{**MESSAGE, "version": 2}]))
    reject("signatureInvalid", "payload of another transaction", "the payload is signed", compact({**envelope(), "payload": other["payload"]}))
    foreign = envelope(header=header_of(ALICE, chain="another"))
    reject("signatureInvalid", "chain changed", "the header is signed", compact({**foreign, "protected": envelope()["protected"]}))
    two = envelope(keys=(ALICE, BOB))
    swapped = [{**mine, "signature": theirs["signature"]} for mine, theirs in zip(two["signatures"], reversed(two["signatures"]))]
    reject("signatureInvalid", "signatures swapped", "each under its own header", compact({**two, "signatures": swapped}))
    half = (N // 2).to_bytes(32, "big")
    reject("signatureInvalid", "s = (n−1)/2, well formed", "the largest s allowed, but no signature", transaction(signature=good[:32] + half))


def rejected_payloads():
    def with_payload(**changes):
        return transaction(payload_of(**changes))

    for name, payload in (("a list", []), ("null", "null"), ("a text", '"x"'), ("no members", {})):
        reject("payloadMembers", f"payload: {name}", "exactly v, id, validUntil, messages", transaction(payload))
    for member in ("v", "id", "validUntil", "messages"):
        reject("payloadMembers", f"no {member}", "exactly v, id, validUntil, messages", with_payload(**{member: ...}))
    reject("payloadMembers", "an unknown member", "exactly v, id, validUntil, messages", with_payload(memo="x"))
    reject("payloadMembers", "an unknown member instead of id", "exactly v, id, validUntil, messages", with_payload(id=..., memo="x"))
    for version in (0, 2, "1", None, True):
        reject("payloadVersion", f"v {compact(version)}", "another version means another meaning", with_payload(v=version))
    for name, value in (
        ("15 bytes", b64u(bytes(15))), ("17 bytes", b64u(bytes(17))), ("padded", ID + "=="), ("unused bits", "A" * 21 + "B"),
        ("a number", 1), ("null", None), ("empty", ""), ("+", "+" + ID[1:]),
    ):  # fmt: skip
        reject("payloadId", f"id: {name}", "16 bytes, one text for the same bytes", with_payload(id=value))
    for value in (0, -1, "1790000000000", None, True):
        reject("payloadValidUntil", f"validUntil {compact(value)}", "milliseconds since 1970", with_payload(validUntil=value))
    for name, value in (("empty", []), ("an object", {}), ("null", None), ("a text", "x")):
        reject("messagesMissing", f"messages: {name}", "a list of at least one", with_payload(messages=value))
    reject("messagesTooMany", "65 messages", "64 at most", with_payload(messages=[MESSAGE] * 65))
    for name, value in (("null", None), ("a text", "x"), ("a list", []), ("no type", {}), ("type is a number", {"type": 1})):
        reject("messageInvalid", f"message: {name}", "an object with a type", with_payload(messages=[MESSAGE, value]))
    for value in ("", "anchor", "records/", "/anchor", "Records/anchor", "records/anchor/x", "records/a b", "records/anchor\n", "1records/x", f"{'a' * 33}/x", f"a/{'x' * 65}"):  # fmt: skip
        reject("messageType", f"type {compact(value)}", "contract/message", with_payload(messages=[{"type": value}]))


# --- encodings ----------------------------------------------------------------------------------------------------


def tagged(value):
    """JSON of a CBOR value; bytes are {"$bytes": hex}."""
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, list):
        return [tagged(item) for item in value]
    if isinstance(value, dict):
        return {name: tagged(item) for name, item in value.items()}
    return value


def cbor_cases():
    limit = 2**53 - 1
    values = [
        None, True, False, 0, 1, 10, 23, 24, 25, 100, 255, 256, 1000, 65535, 65536, 1_000_000, 2**32 - 1, 2**32,
        1_000_000_000_000, limit, -1, -10, -24, -25, -100, -256, -257, -1000, -65536, -65537, -(2**32), -(2**32) - 1, -limit,
        b"", b"\x01\x02\x03\x04", bytes(23), bytes(24), bytes(256), "", "a", "IETF", '"\\', "ü", "水", "😀",
        "a" * 23, "a" * 24, "a" * 64, "a" * 65, "é" * 12, "a" * 300, "\0", [], [1, 2, 3], [1, [2, 3], [4, 5]], list(range(25)),
        {}, {"a": 1, "b": [2, 3]}, ["a", {"b": "c"}], {"b": 1, "a": 2, "aa": 3, "": 4}, {"é": 1, "zz": 2, "z": 3, "zzz": 4},
        {"\uffff": 1, "😀": 2, "éé": 3, "aaaa": 4}, {"a" * 24: 1, "b" * 23: 2, "c" * 256: 3}, {"__proto__": 1, "constructor": 2},
        {"10": 1, "9": 2, "1": 3}, {"hash": sha256(b"x"), "status": "current", "version": 3},
    ]  # fmt: skip
    deep = None
    for _ in range(32):
        deep = [deep]
    accepted = [{"value": tagged(value), "hex": cbor(value).hex()} for value in [*values, deep]]
    rejected = []
    for error, reason, codes in (
        ("cborSyntax", "nothing", ""), ("cborSyntax", "truncated head", "18"), ("cborSyntax", "truncated text", "6261"),
        ("cborSyntax", "truncated bytes", "4401"), ("cborSyntax", "truncated list", "8201"), ("cborSyntax", "map without its value", "a16161"),
        ("cborSyntax", "length beyond the end", "5affffffff"), ("cborSyntax", "64-bit length", "5bffffffffffffffff"),
        ("cborSyntax", "list of 2^32 items", "9affffffff"), ("cborSyntax", "something behind", "0000"),
        ("cborSyntax", "tag", "c11a514b67b0"), ("cborSyntax", "half float", "f90000"), ("cborSyntax", "single float", "fa47c35000"),
        ("cborSyntax", "double float", "fb3ff199999999999a"), ("cborSyntax", "undefined", "f7"), ("cborSyntax", "simple value 16", "f0"),
        ("cborSyntax", "simple value in two bytes", "f820"), ("cborSyntax", "break alone", "ff"),
        ("cborSyntax", "indefinite text", "7f6161ff"), ("cborSyntax", "indefinite bytes", "5f4101ff"),
        ("cborSyntax", "indefinite list", "9f01ff"), ("cborSyntax", "indefinite map", "bf616101ff"), ("cborSyntax", "reserved head 28", "1c"),
        ("cborSyntax", "integer beyond 2^53−1", "1b0020000000000000"), ("cborSyntax", "integer below −(2^53−1)", "3b001fffffffffffff"),
        ("cborSyntax", "2^64−1", "1bffffffffffffffff"), ("cborSyntax", "integer as a key", "a10102"), ("cborSyntax", "bytes as a key", "a1416102"),
        ("cborNotDeterministic", "23 in two bytes", "1817"), ("cborNotDeterministic", "255 in three bytes", "1900ff"),
        ("cborNotDeterministic", "65535 in five bytes", "1a0000ffff"), ("cborNotDeterministic", "2^32−1 in nine bytes", "1b00000000ffffffff"),
        ("cborNotDeterministic", "−1 in two bytes", "3800"), ("cborNotDeterministic", "long length of a text", "780161"),
        ("cborNotDeterministic", "long length of bytes", "580101"), ("cborNotDeterministic", "long length of a list", "980101"),
        ("cborNotDeterministic", "long length of a map", "b801616101"), ("cborNotDeterministic", "keys unsorted", "a2616201616102"),
        ("cborNotDeterministic", "longer key first", "a262616101616202"), ("cborNotDeterministic", "key twice", "a2616101616101"),
        ("cborNotDeterministic", "empty key last", "a26161016002"), ("cborNotDeterministic", "key beyond ASCII twice", "a262c3a90162c3a902"),
        ("utf8Invalid", "byte 0xff in a text", "61ff"), ("utf8Invalid", "truncated character", "61c3"), ("utf8Invalid", "overlong character", "62c0af"),
        ("utf8Invalid", "surrogate", "63eda080"), ("cborTooDeep", "33 levels", "81" * 33 + "f6"), ("cborTooDeep", "10,000 levels", "81" * 10_000),
    ):  # fmt: skip
        rejected.append({"hex": codes, "error": error, "code": CODES[error], "reason": reason})
    return {"accept": accepted, "reject": rejected}


def base64url_cases():
    datas = [b"", b"\0", b"\0\0", b"\0\0\0", b"\xff\xff\xff", b"\xfb\xef\xbe", b"hello", bytes(range(64)), bytes(20)]
    texts = [("padding", "AA=="), ("padding", "AAA="), ("one character", "A"), ("five characters", "AAAAA"), ("unused bits", "AB"),
             ("unused bits", "AAB"), ("other alphabet", "+/+/"), ("white space", "AA AA"), ("line break", "AAAA\n"), ("beyond ASCII", "AAAé"),
             ("beyond one byte", "AAAĀ"), ("NUL", "AAA\0")]  # fmt: skip
    return {
        "accept": [{"hex": data.hex(), "text": b64u(data)} for data in datas],
        "reject": [{"text": text, "error": "base64urlInvalid", "code": CODES["base64urlInvalid"], "reason": reason} for reason, text in texts],
    }


def canonical_json_cases():
    values = [None, True, 0, -5, "", "é", "\u0000\u001f\"\\/\b\f\n\r\t\u007f\u2028", [], {}, {"b": 1, "a": {"d": [1, {"y": 2, "x": 1}], "c": None}},
              {"é": 1, "z": 2, "Z": 3, "10": 4, "9": 5, "": 6}, {"__proto__": 1, "a": 2}]  # fmt: skip
    cases = [{"input": json.dumps(value, ensure_ascii=True, indent=1), "canonical": jcs(value)} for value in values]
    # RFC 8785 §3.2.3 sorts by UTF-16 code units: U+1F600 (D83D DE00) stands before U+FB33.
    cases.append({"input": '{"\\ufb33":1,"\\ud83d\\ude00":2,"\\u20ac":3,"\\r":4,"1":5,"\\u0080":6,"\\u00f6":7}',
                  "canonical": '{"\\r":4,"1":5,"\u0080":6,"ö":7,"€":3,"😀":2,"\ufb33":1}'})  # fmt: skip
    return cases


def context_case(root, context):
    def derive(purpose, length):
        return hkdf(root, b"salus-pseudonym-v1", purpose + b"\0" + context.encode(), length)

    def pair(purpose):
        secret = int.from_bytes(derive(purpose, 48), "big") % (N - 1) + 1
        return {**public_jwk(secret), "d": b64u(secret.to_bytes(32, "big"))}

    signing = pair(b"signing")
    return {"root": root.hex(), "contextId": context, "did": did_of(signing), "signing": signing,
            "sealing": pair(b"sealing"), "blinding": derive(b"blinding", 32).hex()}  # fmt: skip


def other_cases():
    contexts = [context_case(root, name) for root in (bytes(range(32)), sha256(b"root")) for name in (ALICE.did, BOB.did, "study:é", "a" * 200)]
    salt, content = sha256(b"salt"), "Köln, 24. März".encode()
    blinding = sha256(b"blinding")
    blinds = [("grantee", BOB.did), ("category", "labs"), ("a/b", ""), ("category", "é")]
    high = sign_raw(ALICE.secret, b"x", low=False)
    low = sign_raw(ALICE.secret, b"x", low=True)
    transaction_hash, state_key = sha256(b"transaction"), "records/version/r-1/3"
    stored = {"hash": sha256(b"x"), "status": "current", "version": 3}
    value_salt = sha256(b"salus-salt-v1" + transaction_hash + state_key.encode())[:16]
    return {
        "keys": [{"publicJwk": key.jwk, "thumbprint": b64u(thumbprint(key.jwk)), "did": did_of(key.jwk)} for key in (ALICE, BOB)],
        "rejectedKeys": rejected_keys(),
        "lowS": [{"signature": high.hex(), "normalized": low.hex()}, {"signature": low.hex(), "normalized": low.hex()}],
        "contexts": contexts,
        "commitments": [{"content": data.hex(), "salt": b64u(salt), "commitment": b64u(sha256(salt + data))} for data in (b"", content)],
        "blinds": [{"key": blinding.hex(), "label": label, "value": value, "blind": b64u(hmac.new(blinding, f"{label}\0{value}".encode(), hashlib.sha256).digest()[:16])} for label, value in blinds],
        "recoveryCommitments": [{"publicJwk": BOB.jwk, "commitment": b64u(sha256(b"salus-recovery-v1" + thumbprint(BOB.jwk)))}],
        "storedValues": [{"transactionHash": transaction_hash.hex(), "stateKey": state_key, "version": 1, "value": tagged(stored),
                          "salt": value_salt.hex(), "stored": (value_salt + b"\x01" + cbor(stored)).hex(),
                          "proofKey": sha256(state_key.encode()).hex(),
                          "proofValue": sha256(value_salt + b"\x01" + cbor(stored)).hex(),
                          "path": sha256(sha256(state_key.encode())).hex()}],
    }  # fmt: skip


def rejected_keys():
    x, y = multiply(ALICE.secret)
    off_curve = {**ALICE.jwk, "y": b64u((y ^ 1).to_bytes(32, "big"))}
    assert (pow(y ^ 1, 2, P) - pow(x, 3, P) + 3 * x - B) % P
    cases = [
        ("not on the curve", off_curve), ("x is not below p", {**ALICE.jwk, "x": b64u(P.to_bytes(32, "big"))}),
        ("zero", {**ALICE.jwk, "x": b64u(bytes(32)), "y": b64u(bytes(32))}), ("31 bytes", {**ALICE.jwk, "x": b64u(bytes(31))}),
        ("33 bytes", {**ALICE.jwk, "x": b64u(bytes(33))}), ("another curve", {**ALICE.jwk, "crv": "P-384"}),
        ("another type", {**ALICE.jwk, "kty": "OKP"}), ("no y", {name: value for name, value in ALICE.jwk.items() if name != "y"}),
        ("private part", ALICE.entry()["publicJwk"] | {"d": "AA"}), ("text", "x"), ("null", None), ("list", []),
        ("x is a number", {**ALICE.jwk, "x": 1}), ("unused bits", {**ALICE.jwk, "x": ALICE.jwk["x"][:-1] + chr(ord(ALICE.jwk["x"][-1]) + 1)}),
    ]  # fmt: skip
    return [{"publicJwk": jwk, "error": "keyInvalid", "code": CODES["keyInvalid"], "reason": reason} for reason, jwk in cases]


def write(name, value):
    with open(os.path.join(HERE, name), "w", encoding="utf-8", newline="\n") as file:
        json.dump(value, file, ensure_ascii=True, indent=2)
        file.write("\n")


def main():
    accepted_transactions()
    rejected_text()
    rejected_envelopes()
    rejected_headers()
    rejected_signatures()
    rejected_payloads()
    about = "Transactions of ADR 1. A text, as UTF-8, is padded with spaces to padSpacesTo bytes where that is given."
    write("transactions.json", {"about": about, "keys": [key.entry() for key in KEYS], "accept": ACCEPT, "reject": REJECT})
    encodings = {"about": 'Encodings of ADR 1. Bytes inside CBOR values are {"$bytes": hex}.', "base64url": base64url_cases(), "cbor": cbor_cases(), "canonicalJson": canonical_json_cases(), **other_cases()}
    write("encoding.json", encodings)


main()
