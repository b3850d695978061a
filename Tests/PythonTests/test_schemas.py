"""Everything that the program writes as JSON, and what it ships with, against docs/schemas by a validator."""

import copy
import json
import os
import pathlib

import jsonschema
import pytest
import referencing
import referencing.jsonschema

from conftest import PROBLEMS, ROOT, program, program_status

SCHEMAS = {
    path.name.removesuffix(".schema.json"): json.loads(path.read_text())
    for path in sorted((ROOT / "docs" / "schemas").glob("*.schema.json"))
}
REGISTRY = referencing.Registry().with_resources(
    (schema["$id"], referencing.jsonschema.DRAFT202012.create_resource(schema)) for schema in SCHEMAS.values())
LAYER = str(ROOT / "Fixtures" / "layers" / "switch-block.safetensors")
MIXTURES = str(ROOT / "Fixtures" / "problems" / "mixtures-8.json")
SMALL = ["--steps", "4", "--evaluate-every", "2"]
MODEL = ["--layers", "2", "--width", "16", "--heads", "2", "--hidden", "16", "--context", "16"]


def judged(*arguments: str):
    """A result that is a verdict."""
    status, output = program_status(*arguments, "--format", "json", "--quiet")
    assert status in (0, 1, 2)
    return json.loads(output)


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(SCHEMAS[name], registry=REGISTRY)


def check(name: str, value) -> None:
    """Holds a value to a schema, and the schema to refusing the value with a field more, or one of its fields less."""
    held = validator(name)
    held.validate(value)
    assert not held.is_valid({**value, "unknown": 1})
    # Of a schema that is one of several, the one that holds.
    branches = [branch for branch in held.schema.get("oneOf", [held.schema]) if held.evolve(schema=branch).is_valid(value)]
    required = branches[0]["required"]
    assert required
    for field in required:
        assert not held.is_valid({key: inner for key, inner in value.items() if key != field}), field
    other = copy.deepcopy(value)
    if "schema" in other:
        other["schema"] = "routegrad.nothing/1"
        assert not held.is_valid(other)


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_schemas(name):
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$id"] == "urn:routegrad:" + name.replace("-1", ":1").replace("-2", ":2")


@pytest.mark.parametrize("path", PROBLEMS, ids=lambda path: path.name)
def test_problems(path):
    value = json.loads(path.read_text())
    check(value["schema"].removeprefix("routegrad.").replace("/", "-"), value)


def test_catalogue():
    check("router-catalogue-1", json.loads((ROOT / "Fixtures" / "routers" / "catalogue.json").read_text()))
    check("routers-1", json.loads(program("routers", "list", "--format", "json")))
    check("router-spec-1", json.loads(program("routers", "show", "deepseek-v3")))


@pytest.mark.parametrize("options", [
    ["--covariance"], ["--estimators", "all"], ["--method", "monte-carlo", "--samples", "20"],
    ["--mask", "reference-code"], ["--target", "gating-term", "--estimators", "sparsemixer,sparsemixer-v2-top2"],
], ids=" ".join)
def test_reports(options):
    paths = [MIXTURES] if "all" in options else [str(path) for path in PROBLEMS]
    for path in paths:
        kinds = {problem["kind"] for problem in json.loads(pathlib.Path(path).read_text())["problems"]}
        if kinds == {"categorical"} and {"--mask", "--target"} & set(options):
            continue
        check("report-1", json.loads(program("report", path, "--format", "json", *options)))


def test_orders_outcomes_and_estimators():
    check("order-1", json.loads(program("order", MIXTURES, "--format", "json")))
    check("estimators-1", json.loads(program("estimators", "--format", "json")))
    lines = program("outcomes", MIXTURES, "--problem", "mixture-8-log-cosh", "--estimator", "sparsemixer")
    assert lines
    for line in lines.splitlines():
        check("outcome", json.loads(line))


@pytest.mark.parametrize("options", [[], ["--target", "routing-term"], ["--mask", "paper", "--estimators", "all"]])
def test_audits(options):
    check("audit-1", json.loads(program("audit-layer", LAYER, "--format", "json", *options)))


@pytest.mark.parametrize("name", ["qwen2-moe-block", "gpt-oss-block"])
def test_audits_of_routers_that_choose(name):
    layer = str(ROOT / "Fixtures" / "layers" / f"{name}.safetensors")
    found = json.loads(program("audit-layer", layer, "--format", "json"))
    check("audit-1", found)
    assert found["swaps"]["tokens"] == found["tokens"]


@pytest.mark.parametrize("estimator", ["sparsemixer", "exact", "reinmax"])
def test_verdicts(tmp_path, estimator):
    claims = ["--problem", MIXTURES, "--problem-name", "mixture-8-log-cosh"]
    outcomes = tmp_path / "outcomes.jsonl"
    outcomes.write_text(program("outcomes", MIXTURES, "--problem", "mixture-8-log-cosh", "--estimator", "sparsemixer"))
    check("verdict-1", judged("verify", str(outcomes), *claims, "--estimator", estimator))
    samples = tmp_path / "samples.csv"
    samples.write_text("".join(f"{','.join(str((i * j) % 7 - 3) for j in range(1, 9))}\n" for i in range(400)))
    check("verdict-1", judged("verify", str(samples), *claims, "--estimator", estimator))
    target = ["--target", "expected-loss", "--bounds=-6,6"]
    check("verdict-1", judged("verify", str(samples), *claims, *target))


@pytest.mark.parametrize("options", [
    [], ["--estimators", "all"], ["--target", "gating-term", "--confidence", "0.9"], ["--max-samples", "2"], ["--mask", "paper"],
], ids=" ".join)
def test_assessments(tmp_path, options):
    about = ["--problem", MIXTURES, "--problem-name", "mixture-8-log-cosh", "--format", "json", "--quiet"]
    outcomes = tmp_path / "outcomes.jsonl"
    outcomes.write_text(program("outcomes", MIXTURES, "--problem", "mixture-8-log-cosh", "--estimator", "sparsemixer"))
    samples = tmp_path / "samples.csv"
    samples.write_text("".join(f"{','.join(str((i * j) % 7 - 3) for j in range(1, 9))}\n" for i in range(100)))
    for path in (outcomes, samples):
        check("assessment-1", json.loads(program("assess", str(path), *about, *options)))


@pytest.mark.parametrize("router", ["switch", "null-contrast"])
def test_lints(router):
    routers = pathlib.Path(os.environ.get("ROUTEGRAD_PROGRAM") or "routegrad").with_name("lint-test-router")
    status, output = program_status("lint", "--format", "json", "--quiet", "--", str(routers), router)
    assert status in (0, 1, 2)
    check("lint-1", json.loads(output))


def test_vectors_and_answers(tmp_path):
    vectors = program("vectors", "deepseek-v3", "--experts", "16", "--quiet")
    lines = [json.loads(line) for line in vectors.splitlines()]
    for line in lines:
        check("vectors-1", line)
    answers = [{"call": line["call"], **line["expected"]} for line in lines[1:]]
    for answer in answers:
        check("router-2", answer)
    answers[0]["multipliers"][0][0] += 0.5
    for name, text in {"vectors": vectors, "answers": "".join(json.dumps(answer) + "\n" for answer in answers)}.items():
        (tmp_path / name).write_text(text)
    files = ["--vectors", str(tmp_path / "vectors"), "--answers", str(tmp_path / "answers")]
    check("answers-1", judged("lint", *files))


@pytest.mark.parametrize("model", ["mixture-regression", "mixture-classification", "language-model", "translation"])
def test_runs(tmp_path, model):
    (tmp_path / "text").write_text("a b\nb a\n" * 40)
    text = str(tmp_path / "text")
    more = {
        "mixture-regression": ["--audit-every", "2", "--clip", "1"], "mixture-classification": [],
        "language-model": ["--text", text, *MODEL, "--audit-every", "2", "--audit-tokens", "1"],
        "translation": ["--source", text, "--target", text, "--valid-source", text, "--valid-target", text,
                        "--bleu-sentences", "2", *MODEL, "--audit-every", "2"],
    }[model]
    program("train", model, "--quiet", *SMALL, *more, "--output", str(tmp_path / "run"))
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    check("run-1", manifest)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 3
    for line in lines:
        check("metrics", json.loads(line))
    compared = json.loads(program("compare", "--from", str(tmp_path), "--format", "json"))
    check("comparison-1", compared)
    assert (compared["routers"][0]["audit"] is None) == (model == "mixture-classification")


def test_sweeps(tmp_path):
    """Tuned networks, weights of auxiliary losses in the grid: reports, rates, manifests, the sweep and how far it is."""
    text, rates, runs = tmp_path / "text", tmp_path / "rates.json", tmp_path / "runs"
    text.write_text("the cat sat on the mat. " * 40)
    compare = ["compare", "--task", "language-model", "--text", str(text), *MODEL, "--batch", "2", "--steps", "4", "--evaluate-every", "2",
               "--routers", "switch,none", "--seeds", "2", "--tune-seeds", "1", "--runs", str(runs), "--rates", str(rates)]
    compared = json.loads(program(*compare, "--tune", "--tune-load-balance", "0,0.5", "--tune-z-loss", "0.01", "--format", "json"))
    check("comparison-1", compared)
    assert json.loads(program("compare", "--from", str(runs), "--format", "json")) == compared
    check("rates-1", json.loads(rates.read_text()))
    check("sweep-1", json.loads((runs / "sweep.json").read_text()))
    manifest = next((runs / "runs").rglob("manifest.json"))
    check("run-1", json.loads(manifest.read_text()))
    assert json.loads(manifest.read_text())["settings"]["shape"]["zLoss"] == 0.01
    status = json.loads(program("compare", "--status", str(runs), "--format", "json"))
    check("sweep-status-1", status)
    assert status["complete"] and [router["runs"]["complete"] for router in status["routers"]] == [2, 2]
    program("compare", "--batch", "4", "--steps", "2", "--seeds", "1", "--routers", "switch", "--z-loss", "0.1", "--audit-every", "0",
            "--runs", str(tmp_path / "mixture"))
    check("sweep-1", json.loads((tmp_path / "mixture" / "sweep.json").read_text()))
    check("run-1", json.loads(next((tmp_path / "mixture" / "runs").rglob("manifest.json")).read_text()))
    check("sweep-status-1", json.loads(program("compare", "--status", str(tmp_path / "mixture"), "--format", "json")))


def test_comparisons(tmp_path):
    rates = tmp_path / "rates.json"
    rates.write_text(json.dumps(
        {"schema": "routegrad.rates/1", "model": "mixture-regression", "shared": 0.75, "rates": {"switch": 0.01, "exact": 0.02}}))
    check("rates-1", json.loads(rates.read_text()))
    options = ["--routers", "switch,exact", "--steps", "20", "--audit-every", "10", "--rates", str(rates)]
    for seeds in ["1", "2"]:
        check("comparison-1", json.loads(program("compare", *options, "--seeds", seeds, "--format", "json")))
