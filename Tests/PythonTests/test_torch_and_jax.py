"""The lint on routers of PyTorch and JAX, where these are installed; CI does without. Imports within: other tests assert that
nothing of theirs was imported before."""

import numpy as np
import pytest
import routegrad


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def jax():
    return pytest.importorskip("jax")


def test_pytorch_modules(torch):
    class SoftmaxFirst(torch.nn.Module):
        def forward(self, logits):
            return torch.softmax(logits, -1).topk(1, dim=-1)

    class SoftmaxLast(torch.nn.Module):
        def forward(self, logits):
            values, choice = logits.topk(1, dim=-1)
            return torch.softmax(values, -1), choice

    sound = routegrad.lint(SoftmaxFirst())
    assert sound.verdict == "proved" and sound.findings["router"]["precision"] == "float32"
    assert routegrad.lint(SoftmaxLast()).checks("refuted") == ["router-gradient", "gate-order", "gate-gradient"]


def test_pytorch_draws_are_forced(torch):
    def sampled(logits, training):
        noise = -torch.empty_like(logits).exponential_().log() if training else 0.0
        choice = (logits + noise).argmax(-1, keepdim=True)
        return torch.softmax(logits, -1).gather(-1, choice), choice

    found = routegrad.lint(sampled, framework="torch", experts=4, uniforms=4)
    assert {"repeatability", "gate-gradient", "evaluation-mode"} <= set(found.checks("proved")), found
    with pytest.raises(routegrad.RouteGradError, match="more than its 0 draws"):
        routegrad.lint(sampled, framework="torch", experts=4)


def test_pytorch_tensors_are_arrays(torch):
    logits, outputs = torch.tensor([0.5, -1.0], requires_grad=True), torch.eye(2)
    loss = {"type": "linear", "coefficients": torch.tensor([1.0, 2.0])}
    problem = routegrad.mixture(logits, outputs, loss)
    assert np.array_equal(routegrad.target(problem), routegrad.target(
        routegrad.mixture([0.5, -1.0], np.eye(2), {"type": "linear", "coefficients": [1.0, 2.0]})))
    samples = torch.tensor(routegrad.sample(problem, "midpoint", 20_000))
    assert routegrad.verify(samples, problem, "midpoint").verdict == "consistent"


def test_jax_functions(jax):
    def sound(logits):
        return jax.lax.top_k(jax.nn.softmax(logits, -1), 1)

    assert routegrad.lint(jax.jit(sound)).verdict == "proved"
    assert routegrad.lint(sound, framework="jax").verdict == "proved"

    def stopped(logits):
        multipliers, choice = sound(logits)
        return jax.lax.stop_gradient(multipliers), choice

    assert "router-gradient" in routegrad.lint(stopped, framework="jax").checks("refuted")


def test_jax_draws_are_an_argument(jax):
    def sampled(logits, uniforms):
        p = jax.nn.softmax(logits, -1)
        choice = jax.numpy.minimum((uniforms >= p.cumsum(-1)).sum(-1), p.shape[1] - 1)[:, None]
        return jax.numpy.take_along_axis(p, choice, -1), choice

    found = routegrad.lint(sampled, framework="jax", experts=4, uniforms=1)
    assert {"repeatability", "gate-gradient"} <= set(found.checks("proved")), found


def test_pytorch_normal_bernoulli_and_multinomial_draws_are_forced(torch):
    spec = {"experts": 6, "noise": {"kind": "learned-normal"}, "key": "logits", "selection": {"kind": "top-k", "count": 2},
            "gate": {"of": "softmax-over-chosen"}, "auxiliaryLosses": [{"kind": "cv-squared", "coefficient": 0.1}]}

    def noisy(logits, noise_logits=None, training=True):
        z = logits + torch.nn.functional.softplus(noise_logits) * torch.randn_like(logits) if training else logits
        values, choice = z.topk(2, dim=-1)
        importance = torch.softmax(z, -1).sum(0)
        loss = 0.1 * importance.var(unbiased=False) / importance.mean() ** 2
        return {"multipliers": torch.softmax(values, -1), "choice": choice, "auxiliary_loss": loss}

    found = routegrad.lint(noisy, framework="torch", spec=spec, precision="float64")
    assert found.verdict == "proved", found
    assert {"noise-gradient", "auxiliary-gradient"} <= set(found.checks("proved"))

    def deviation(logits, noise_logits=None, training=True):
        result = noisy(logits, noise_logits, training)
        z = logits if not training else logits + 0 * result["multipliers"].sum()
        importance = torch.softmax(z, -1).sum(0)
        return {**result, "auxiliary_loss": 0.1 * (importance.std(unbiased=False) / importance.mean()) ** 2}

    assert "auxiliary-gradient" in routegrad.lint(deviation, framework="torch", spec=spec, precision="float64").checks("refuted")

    def drawn(logits, training=True):
        p = torch.softmax(logits, -1)
        choice = torch.multinomial(p.detach(), 2) if training else p.topk(2, dim=-1).indices
        return p.gather(-1, choice), choice

    sampled = {"experts": 6, "selection": {"kind": "sampled", "count": 2}}
    found = routegrad.lint(drawn, framework="torch", spec=sampled, uniforms=6, precision="float64")
    assert found.verdict == "proved", found
