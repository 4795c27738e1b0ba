"""The OpenAPI document, by a validator that is not ours, and its examples by another reader of JSON Schema."""

import re

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

METHODS = ("get", "put", "post", "delete", "patch")


def operations(document: dict):
    for path, methods in document["paths"].items():
        for method in METHODS:
            if method in methods:
                yield method, path, methods[method]


def bodies(operation: dict):
    yield operation.get("requestBody", {}).get("content", {})
    for response in operation["responses"].values():
        yield response.get("content", {})


def test_the_document_is_valid_openapi(node):
    document = node.get("/api/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_example_has_the_form_that_stands_beside_it(node):
    document = node.get("/api/openapi.json").json()
    checked = 0
    for method, path, operation in operations(document):
        for content in bodies(operation):
            for kind, media in content.items():
                if "example" not in media:
                    continue
                schema = {**media["schema"], "components": document["components"]}
                errors = [error.message for error in Draft202012Validator(schema).iter_errors(media["example"])]
                assert errors == [], f"{method} {path} {kind}"
                checked += 1
    assert checked > 8


def test_every_parameter_of_a_path_is_described_and_every_operation_has_a_name(node):
    document = node.get("/api/openapi.json").json()
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    for method, path, operation in operations(document):
        described = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
        assert described == set(re.findall(r"{(\w+)}", path)), f"{method} {path}"
        assert "default" in operation["responses"], f"{method} {path}"


def test_operations_without_a_token_answer_without_one_and_others_do_not(node):
    document = node.get("/api/openapi.json").json()
    values = {"slug": "hospital", "type": "Patient"}
    for method, path, operation in operations(document):
        if path in ("/api/events",):
            continue
        address = re.sub(r"{(\w+)}", lambda match: values.get(match[1], "x"), path)
        answer = node.call(method.upper(), address)
        assert (answer.status_code == 401) == bool(operation["security"]), f"{method} {path}: {answer.status_code}"
