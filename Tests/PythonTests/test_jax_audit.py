"""Audits of JAX networks against brute force by jax.grad in float64; where jax is installed."""

import importlib.util
import json

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
import routegrad  # noqa: E402
import routegrad.jax  # noqa: E402

T, N, D, H = 13, 6, 5, 7


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def params(layers=1, seed=0):
    random = np.random.default_rng(seed)
    return [{"router": jnp.asarray(random.normal(size=(N, D))), "bias": jnp.asarray(0.3 * random.normal(size=N)),
             "w1": jnp.asarray(random.normal(size=(N, H, D))), "w2": jnp.asarray(random.normal(size=(N, D, H))),
             "shared": jnp.asarray(0.1 * random.normal(size=(D, D)))} for _ in range(layers)]


def expert(p, i, x):
    return jax.nn.silu(x @ p["w1"][i].T) @ p["w2"][i].T


def softmax_top_k(p, x, k):
    logits = x @ p["router"].T
    scores = jax.nn.softmax(logits, -1)
    gates, choice = jax.lax.top_k(scores, k)
    return logits, choice, gates


def normalised(p, x):
    logits, choice, gates = softmax_top_k(p, x, 3)
    return logits, choice, gates / gates.sum(-1, keepdims=True)


def sigmoid_biased(p, x):
    logits = x @ p["router"].T
    scores = jax.nn.sigmoid(logits)
    choice = jax.lax.top_k(scores + p["bias"], 2)[1]
    gates = jnp.take_along_axis(scores, choice, -1)
    return logits, choice, 2.5 * gates / (gates.sum(-1, keepdims=True) + 1e-20)


def over_chosen(p, x):
    logits = x @ p["router"].T
    values, choice = jax.lax.top_k(logits, 2)
    return logits, choice, jax.nn.softmax(values, -1)


def held(values, k):
    """Gates of all: the chosen's divided by their sum, the others' by it held."""
    def gates(scores, chosen):
        total = (scores * chosen).sum(-1, keepdims=True)
        return values * jnp.where(chosen, scores / total, scores / jax.lax.stop_gradient(total))
    return gates


# What routes, its specification, the scores of all experts, and the dense gates from scores and the chosen.
KINDS = {
    "softmax, top-1": (lambda p, x: softmax_top_k(p, x, 1), {"score": "softmax", "gate": {"of": "score"}}, 1,
                       lambda z: jax.nn.softmax(z, -1), lambda s, chosen: s),
    "softmax, normalised": (normalised, {"score": "softmax", "gate": {"of": "score", "normalized": True}}, 3,
                            lambda z: jax.nn.softmax(z, -1), held(1.0, 3)),
    "sigmoid with bias": (sigmoid_biased, {
        "score": "sigmoid", "bias": True, "gate": {"of": "score", "normalized": True, "epsilon": 1e-20, "scale": 2.5}}, 2,
        jax.nn.sigmoid, held(2.5, 2)),
    "softmax over the chosen": (over_chosen, {"key": "logits", "gate": {"of": "softmax-over-chosen"}}, 2,
                                lambda z: jax.nn.softmax(z, -1), held(1.0, 2)),
}


def specification(kind):
    return {"experts": N, "selection": {"kind": "top-k", "count": KINDS[kind][2]}, **KINDS[kind][1]}


def network(kind, depth):
    """Layers with residuals and a shared expert, and their loss."""
    layers = [routegrad.jax.Layer(
        f"layer {at}", N, lambda p, i, x, at=at: expert(p[at], i, x), specification(kind),
        lambda p, x, at=at: KINDS[kind][0](p[at], x)) for at in range(depth)]

    def loss(p, batch):
        x, goal = batch
        for at, layer in enumerate(layers):
            x = x + layer(p, x) + x @ p[at]["shared"]
        return ((x - goal) ** 2).mean()

    return loss, layers


def batch(seed=1):
    random = np.random.default_rng(seed)
    return jnp.asarray(random.normal(size=(T, D))), jnp.asarray(random.normal(size=(T, D)))


def brute_force(kind, p, given):
    """For each layer: sparse and dense gradients at the logits, and x; by jax.grad of the loss and of u·Σ g_i f_i."""
    route, _, _, scores, dense_gates = KINDS[kind]

    def outputs(offsets):
        x, goal = given
        seen = []
        for at, one in enumerate(p):
            logits, choice, gates = route(one, x)
            f = jnp.stack([expert(one, i, x) for i in range(N)], 1)
            y = (gates[:, :, None] * jnp.take_along_axis(f, choice[:, :, None], 1)).sum(1) + offsets[at]
            seen.append((x, logits, choice, f))
            x = x + y + x @ one["shared"]
        return ((x - goal) ** 2).mean(), seen

    upstream, seen = jax.grad(outputs, has_aux=True)([jnp.zeros((T, D)) for _ in p])
    value = outputs([jnp.zeros((T, D)) for _ in p])[0]
    found = []
    for u, (x, logits, choice, f) in zip(upstream, seen):
        chosen = jax.nn.one_hot(choice, N).sum(1) > 0
        c = jnp.einsum("td,tnd->tn", u, f)

        def total(z, members):
            return (jnp.where(members, dense_gates(scores(z), chosen), 0) * c).sum()

        sparse, dense = (jax.grad(total)(logits, members) for members in (chosen, jnp.ones_like(chosen)))
        found.append((np.asarray(sparse), np.asarray(dense), np.asarray(x)))
    return float(value), found


def difference(sparse, dense):
    bias, norm = sparse - dense, np.linalg.norm
    return {"norm": norm(sparse), "dense_norm": norm(dense), "bias_norm": norm(bias), "relative_bias": norm(bias) / norm(dense),
            "cosine": (sparse * dense).sum() / (norm(sparse) * norm(dense)),
            "unseen": norm(bias) ** 2 / (norm(sparse) ** 2 + norm(bias) ** 2)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compiled", [False, True])
def test_audits_are_those_of_brute_force(kind, compiled):
    p, given = params(2), batch()
    loss, layers = network(kind, 2)
    found = routegrad.jax.audit(jax.jit(loss) if compiled else loss, p, given, layers)
    value, wanted = brute_force(kind, p, given)
    assert found.loss == pytest.approx(value, rel=1e-12) and found.evaluations == 2 * T * N
    for layer, (sparse, dense, x) in zip(found.layers, wanted):
        assert layer.fraction == 1 and layer.logits.bias_norm > 0 and layer.chosen == KINDS[kind][2]
        for part, pair in ((layer.logits, (sparse, dense)), (layer.weight, (sparse.T @ x, dense.T @ x))):
            for key, number in difference(*pair).items():
                assert getattr(part, key) == pytest.approx(number, rel=1e-9, abs=1e-15), (layer.name, key)
        assert layer.gradient_error < 1e-12 and sum(layer.load) == pytest.approx(1)


def test_a_network_that_says_it_itself_with_tokens_turned_away():
    p, (x, goal) = params()[0], batch()

    def loss(p, batch):
        logits, choice, gates = softmax_top_k(p, batch, 2)
        choice = jnp.where(jnp.arange(T)[:, None] < 3, jnp.array([[-1, 2]]), choice)
        choice = choice.at[3].set(-1)
        gates = jnp.where(choice < 0, 0, jnp.take_along_axis(jax.nn.softmax(logits, -1), jnp.maximum(choice, 0), -1))
        gates = routegrad.jax.routed("mine", batch, logits, choice, gates)
        f = jnp.stack([expert(p, i, batch) for i in range(N)], 1)
        y = (gates[:, :, None] * jnp.take_along_axis(f, jnp.maximum(choice, 0)[:, :, None], 1)).sum(1)
        return ((batch + routegrad.jax.combined("mine", y) - goal) ** 2).sum()

    spec = {"score": "softmax", "selection": {"kind": "top-k", "count": 2}, "gate": {"of": "score"}}
    layer, = routegrad.jax.audit(loss, p, x, routegrad.jax.Layer("mine", N, expert, spec)).layers
    assert layer.turned_away == 5 and layer.tokens == T
    assert jax.grad(loss)(p, x)["router"].shape == (N, D)  # outside of an audit it is as it was
    sparse = np.asarray(jax.grad(loss)(p, x)["router"])
    assert layer.weight.norm == pytest.approx(np.linalg.norm(sparse), rel=1e-9)


def test_a_layer_that_is_called_twice_has_the_tokens_of_both_calls():
    p, (x, _) = params(), batch()
    loss, (layer,) = network("softmax, top-1", 1)
    weights = jnp.linspace(0.5, 1.5, T)[:, None]

    def whole(p, x):
        return (weights * layer(p, x) ** 2).sum()

    def halves(p, x):
        return sum((weights[part] * layer(p, x[part]) ** 2).sum() for part in (slice(0, 4), slice(4, T)))

    once, = routegrad.jax.audit(whole, p, x, layer).layers
    twice, = routegrad.jax.audit(halves, p, x, [layer]).layers
    assert once.tokens == twice.tokens == T and once.load == twice.load
    assert twice.weight.bias_norm == pytest.approx(once.weight.bias_norm, rel=1e-12)


def test_tokens_are_taken_by_seed_and_results_are_those_of_torch():
    p, given = params(2), batch()
    loss, layers = network("softmax, normalised", 2)
    lines = []
    few = routegrad.jax.audit(loss, p, given, layers, 4, seed=3, progress=lines.append)
    assert few.layers[0].tokens == 4 and few.layers[0].batch_tokens == T
    assert few.to_json() == routegrad.jax.audit(loss, p, given, layers, 4, seed=3).to_json()
    assert few.to_json() != routegrad.jax.audit(loss, p, given, layers, 4, seed=4).to_json()
    assert lines[0] == "2 layers: two forward passes and a backward pass, then up to 4 tokens through 12 experts (48 evaluations)"
    assert json.loads(few.to_json())["schema"] == "routegrad.network-audit/1" and "layer 1" in few._repr_html_()
    assert max(map(len, str(few).splitlines())) <= 80


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_other_precisions(dtype):
    p, given = jax.tree.map(lambda x: x.astype(dtype), (params(), batch()))
    loss, layers = network("softmax over the chosen", 1)
    one, = routegrad.jax.audit(loss, p, given, layers).layers
    exact, = routegrad.jax.audit(loss, *jax.tree.map(lambda x: x.astype("float64"), (p, given)), layers).layers
    assert one.logits.cosine == pytest.approx(exact.logits.cosine, abs=1e-4 if dtype == "float32" else 0.2)


def test_what_cannot_be_audited_is_said():
    p, given = params(), batch()
    loss, (layer,) = network("softmax, top-1", 1)

    def refused(match, changed=None, of=loss, with_params=p, given=given, **options):
        with pytest.raises(routegrad.RouteGradError, match=match):
            routegrad.jax.audit(of, with_params, given, changed or layer, **options)
        assert routegrad.jax.routed("layer 0", 1, 2, 3, 4) == 4  # nobody listens any more

    def other(**given):
        fields = {name: getattr(layer, name) for name in ("name", "experts", "expert", "specification", "route")}
        return routegrad.jax.Layer(**{**fields, **given})

    refused("tokens: expected at least 1", tokens=0)
    refused("layers: expected a Layer or a list", [3])
    refused("layers: expected each name once", [layer, layer])
    refused(r"specification.gate.of: expected one of", other(specification={"gate": {"of": "nothing"}}))
    refused("layer 1: expected the network to call routed with this name, it has layer 0", other(name="layer 1"))
    refused("expected it to call routegrad.jax.routed", of=lambda p, b: b[0].sum())
    refused(r"loss: expected a number, got shape \[13, 5\]", of=lambda p, b: layer(p, b[0]))
    refused("loss: expected a finite number, got nan", of=lambda p, b: layer(p, b[0]).sum() * jnp.nan)
    refused("gates: expected those of its specification", other(specification=specification("softmax, normalised")))
    refused(r"logits: expected shape \[13, 5\], got \[13, 6\]", other(experts=N - 1))
    refused(r"expert 0: expected an output of shape \[13, 5\], got \[13, 4\]", other(expert=lambda p, i, x: x[:, :4]),
            of=lambda p, b: loss(p, b))
    # Experts that are not the network's: autograd says so.
    refused("expected autograd's gradient at the logits to be that of its specification and its experts",
            other(expert=lambda p, i, x: expert(p[0], (i + 1) % N, x)))
    refused("expected a loss that depends on its output", of=lambda p, b: 0 * layer(p, b[0]).sum())
    refused("expected routed before combined", of=lambda p, b: routegrad.jax.combined("layer 0", b[0]).sum())
    refused("expected combined after routed", of=lambda p, b: routegrad.jax.routed("layer 0", *[b[0]] * 4).sum())
    # Tracers.
    vmapped = lambda p, b: jax.vmap(lambda row: layer(p, row[None])[0])(b[0]).sum()  # noqa: E731
    refused("layer 0: x: expected arrays, got a tracer", of=vmapped)
    refused("expected arrays, got a tracer", of=lambda p, b: jax.checkpoint(layer)(p, b[0]).sum())
    with pytest.raises(routegrad.RouteGradError, match="call the audit outside of jit"):
        jax.jit(lambda p: routegrad.jax.audit(loss, p, given, layer).loss)(p)
    # Numbers.
    broken = [{**p[0], "w2": p[0]["w2"].at[5].set(jnp.nan)}]
    refused("expected a finite number|expected finite numbers", with_params=broken)
    far = jnp.full((N, D), 0.0).at[0].set(100.0)
    unused = [{**broken[0], "router": far}]
    sparse = other(route=None)

    def only_the_chosen(p, b):
        x = jnp.abs(b[0])
        logits, choice, gates = softmax_top_k(p[0], x, 1)
        gates = routegrad.jax.routed("layer 0", x, logits, choice, gates)
        assert set(choice.ravel().tolist()) == {0}
        return (routegrad.jax.combined("layer 0", gates * expert(p[0], 0, x)) ** 2).sum()

    refused("layer 0: expert outputs: expected finite numbers", sparse, of=only_the_chosen, with_params=unused)
    with pytest.raises(KeyError):  # of the caller
        routegrad.jax.audit(lambda p, b: {}["of the caller"], p, given, layer)
    assert routegrad.jax.routed("layer 0", 1, 2, 3, 4) == 4


def test_a_scan_over_layers_is_refused_where_their_experts_differ():
    p, (x, goal) = params(3), batch()
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *p)
    spec = specification("softmax, top-1")
    layer = routegrad.jax.Layer("scanned", N, lambda p, i, x: expert(jax.tree.map(lambda a: a[0], p), i, x), spec)

    def step(x, one):
        logits, choice, gates = softmax_top_k(one, x, 1)
        gates = routegrad.jax.routed("scanned", x, logits, choice, gates)
        f = jnp.stack([expert(one, i, x) for i in range(N)], 1)
        return x + routegrad.jax.combined("scanned", gates * jnp.take_along_axis(f, choice[:, :, None], 1)[:, 0]), None

    with pytest.raises(routegrad.RouteGradError, match="that of its specification and its experts"):
        routegrad.jax.audit(lambda p, x: ((jax.lax.scan(step, x, p)[0] - goal) ** 2).sum(), stacked, x, layer)


def forced(kind, p, given, at, token, choice, gates):
    """The loss with a token's experts and gates at one layer, written out."""
    x, goal = given
    for depth, one in enumerate(p):
        _, own, weights = KINDS[kind][0](one, x)
        if depth == at:
            own, weights = own.at[token].set(jnp.array(choice, own.dtype)), weights.at[token].set(jnp.array(gates))
        f = jnp.stack([expert(one, i, x) for i in range(N)], 1)
        x = x + (weights[:, :, None] * jnp.take_along_axis(f, own[:, :, None], 1)).sum(1) + x @ one["shared"]
    return float(((x - goal) ** 2).mean())


@pytest.mark.parametrize(("together", "compiled"), [(1, True), (4, False), (100, False)])
def test_counterfactuals_of_top_1_are_exact_problems(together, compiled):
    """Of the first of two layers, the second of which routes anew: against differences of the network's loss."""
    kind, p, given, step = "softmax, top-1", params(2), batch(), 1e-5
    loss, layers = network(kind, 2)
    lines = []
    found = routegrad.jax.counterfactuals(
        jax.jit(loss) if compiled else loss, p, given, layers[0], [4, 9], nodes=[1.0, 0.5], together=together, progress=lines.append)
    assert found.kind == "mixture" and lines[0] == "layer 0: 2 tokens, 26 forward and backward passes"
    for token, losses, problem, table in zip(found.tokens, found.losses, found.problems, found.tables):
        theta = np.asarray(given[0][token] @ p[0]["router"].T)
        assert table["logits"] == pytest.approx(theta, rel=1e-12)
        pi = np.asarray(jax.nn.softmax(theta))
        at = lambda i, gate: forced(kind, p, given, 0, token, [i], [gate])  # noqa: B023, E731
        assert losses == pytest.approx([at(i, pi[i]) for i in range(N)], rel=1e-12)
        assert table["loss"]["valueAtZero"] == pytest.approx(at(0, 0.0), rel=1e-12)
        for i, row in enumerate(table["loss"]["slopes"]):
            for node, slope in zip((1.0, 0.5), row):
                # Where the layer above routes as it did on both sides.
                assert slope == pytest.approx((at(i, node * pi[i] + step) - at(i, node * pi[i] - step)) / (2 * step), rel=1e-6, abs=1e-9)
        wanted = []
        for i in range(N):
            sides = [np.asarray(jax.nn.softmax(theta + s * np.eye(N)[i])) for s in (step, -step)]
            values = [sum(q[j] * at(j, q[j]) for j in range(N)) for q in sides]
            wanted.append((values[0] - values[1]) / (2 * step))
        assert np.allclose(routegrad.target(problem), wanted, rtol=1e-6, atol=1e-9)
        assert all(0 < routegrad.assess(problem, name).relative_bias for name in ("midpoint", "conventional"))
    assert len(found.to_dataframe() if importlib.util.find_spec("pandas") else found.losses[0] + found.losses[1]) == 2 * N


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "softmax, top-1"])
def test_counterfactuals_swap_the_last_of_several(kind):
    p, given = params(2), batch()
    loss, layers = network(kind, 2)
    found = routegrad.jax.counterfactuals(loss, p, given, layers[0], [5], together=3)
    one = routegrad.jax.counterfactuals(loss, p, given, layers[0], [5])
    kept, (among,), (losses,) = found.chosen[0][:-1], found.experts, found.losses
    assert found.kind == "categorical" and not set(kept) & set(among) and found.chosen[0][-1] in among
    assert losses == pytest.approx(one.losses[0], rel=1e-12)
    assert losses[among.index(found.chosen[0][-1])] == pytest.approx(float(loss(p, given)), rel=1e-12)
    # The gates of the new choice, as the specification says.
    theta = np.asarray(given[0][5] @ p[0]["router"].T)
    for i, value, row in zip(among, losses, found.tables[0]["objective"]["gradients"]):
        choice = [*kept, i]
        if kind == "sigmoid with bias":
            scores = 1 / (1 + np.exp(-theta[choice]))
            gates = 2.5 * scores / (scores.sum() + 1e-20)
        else:
            gates = np.asarray(jax.nn.softmax(theta[choice]))
        assert value == pytest.approx(forced(kind, p, given, 0, 5, choice, gates), rel=1e-12)
        # Along its own row: the slope by the last gate, times the gate.
        moved = [forced(kind, p, given, 0, 5, choice, [*gates[:-1], gates[-1] + s]) for s in (1e-5, -1e-5)]
        assert row[among.index(i)] == pytest.approx(gates[-1] * (moved[0] - moved[1]) / 2e-5, rel=1e-6, abs=1e-9)


def test_counterfactuals_that_cannot_be_had_are_said():
    p, given = params(2), batch()
    loss, layers = network("softmax, top-1", 2)

    def refused(match, layer=layers[0], tokens=(1,), of=loss, with_params=p, **options):
        with pytest.raises(routegrad.RouteGradError, match=match):
            routegrad.jax.counterfactuals(of, with_params, given, layer, list(tokens), **options)
        assert routegrad.jax.combined("layer 0", 4) == 4  # nobody listens any more

    refused("tokens: expected numbers below 13, got 13", tokens=[13])
    refused("tokens, nodes: expected at least one", tokens=[])
    refused("nodes: expected 1 among them", nodes=[0.5])
    refused("together: expected at least 1", together=0)
    refused("layers: expected a Layer", layer=3)
    twice = lambda p, b: loss(p, b) + loss(p, b)  # noqa: E731
    refused("layer 0: expected a layer that is called once, it is called 2 times", of=twice)
    refused("layer 0: expected a layer that is called once, it is called 0 times", of=lambda p, b: layers[1](p, b[0]).sum())
    refused("gates: expected those of its specification", layer=routegrad.jax.Layer(
        "layer 0", N, layers[0].expert, specification("softmax, normalised")))
    broken = [{**p[0], "w2": p[0]["w2"].at[5].set(jnp.nan)}, p[1]]
    unseen = lambda p, b: sum(layer(q, b[0]).sum() for layer, q in zip(layers, (jax.tree.map(jnp.nan_to_num, p), p)))  # noqa: E731
    refused("layer 0: expert 5: expected finite numbers", of=unseen, with_params=broken)
    with pytest.raises(routegrad.RouteGradError, match="expected arrays, got a tracer"):
        jax.jit(lambda p: routegrad.jax.counterfactuals(loss, p, given, layers[0], [1]).losses[0][0])(p)
