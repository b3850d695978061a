"""transformers' Switch top-1 router: the conventional gate gradient at the largest logit."""

import numpy as np
import routegrad
import torch
import transformers
from setting import LOGITS, OUTPUTS, SCALES, TARGETS, Finding, combine, gradient, log_cosh, mixture
from transformers import SwitchTransformersConfig
from transformers.models.switch_transformers.modeling_switch_transformers import SwitchTransformersTop1Router

NAME = f"transformers {transformers.__version__} Switch top-1 router"


def router(jitter):
    """With the identity as its weight, so that its input is its logits."""
    made = SwitchTransformersTop1Router(SwitchTransformersConfig(
        d_model=4, num_experts=4, expert_capacity=64, router_jitter_noise=jitter))
    made.classifier.weight.data = torch.eye(4)
    return made.train()


def findings():
    torch.manual_seed(0)
    logits = torch.tensor([[LOGITS]], requires_grad=True)
    mask, probability, _ = router(0.0)(logits * 1.0)
    choice = mask[0].argmax(-1, keepdim=True)
    found = gradient(log_cosh(combine(probability[0], choice)), logits)[0, 0].double().numpy()
    expected = routegrad.outcomes(mixture, "conventional")[int(choice)].gradient
    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    yield Finding(NAME, "given its choice the gradient is `conventional`'s", "proved" if error < 1e-5 else "refuted",
                  f"largest deviation {error:.2g} of the largest entry")

    linear = {"weight": np.eye(4), "input": LOGITS}
    token = routegrad.mixture(LOGITS, OUTPUTS, {"type": "log-cosh", "scales": SCALES, "targets": TARGETS}, router=linear)
    for r in (0.01, 0.1, 0.3):
        bias = routegrad.assess(token, f"switch:r={r},kind=input").relative_bias
        yield Finding(NAME, f"unbiased for its own expected loss, jitter {r} on the input", "measured",
                      "no two experts can change places: relative bias 0" if not bias else f"relative bias {bias:.3g}")

    for jitter in (0.0, 0.01):
        found = lint(router(jitter), jitter)
        refuted = found.checks("refuted")
        yield Finding(NAME, f"the lint, `router_jitter_noise` {jitter:g}", found.verdict,
                      ", ".join(refuted) or f"{len(found.checks('proved'))} checks proved")


def lint(module, jitter):
    def route(hidden):
        mask, probability, logits = module(hidden[None])
        choice = torch.where(mask[0].any(-1, keepdim=True), mask[0].argmax(-1, keepdim=True), -1)
        return {"multipliers": probability[0], "choice": choice, "gradient_of": logits, "dispatch": mask[0],
                "expert_inputs": hidden[:, None]}

    def switch(hidden, training):
        module.train(training)
        return route(hidden)

    return routegrad.lint(
        switch, framework="torch", experts=4, takes="input", uniforms=4 if jitter else 0, capacity=64,
        jitter=("input", jitter) if jitter else None)
