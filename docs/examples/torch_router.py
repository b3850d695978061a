"""PyTorch routers for `routegrad lint`: the exchange of docs/lint-protocol.md, and a few ready routers.

    routegrad lint -- python3 torch_router.py phimoe
    routegrad lint -- python3 torch_router.py mixtral --jitter 0.1

Your own router is a subclass of TorchRouter: say what it is in `profile`, and route a batch in `forward`. Whatever it
draws with torch.rand, rand_like, uniform_ or exponential_ (hence gumbel_softmax) is forced while `forward` runs; what it
draws otherwise, such as with multinomial, is not, and the check "repeatability" says so. Needs torch; the routers from
transformers need that, too.
"""

import argparse
import json
import math
import sys
from contextlib import ExitStack
from unittest import mock

import torch


class Draws:
    """Hands out each token's forced uniform draws, in the order in which the router asks for them."""

    def __init__(self, uniforms, dtype):
        self.uniforms = torch.tensor(uniforms, dtype=torch.float64)
        self.dtype = dtype
        self.taken = 0

    def take(self, shape):
        """Draws for a tensor whose first axes are the tokens and whose last axis belongs to one token."""
        tokens = self.uniforms.shape[0]
        width = math.prod(shape) // tokens
        block = self.uniforms[:, self.taken:self.taken + width]
        if block.shape[1] < width:
            raise ValueError(f"the router takes more than its {self.uniforms.shape[1]} draws per token")
        self.taken += width
        return block.reshape(shape).to(self.dtype)

    def forced(self):
        """While this lasts, torch draws from here."""
        stack = ExitStack()
        self.given_away = None

        def rand_like(tensor, **_):
            self.given_away = self.take(tensor.shape)
            return self.given_away

        def uniform_(tensor, low=0.0, high=1.0, **_):
            if self.given_away is tensor:  # rand_like(x).uniform_() is one draw, not two
                return tensor
            return tensor.copy_(low + (high - low) * self.take(tensor.shape))

        def exponential_(tensor, rate=1.0, **_):
            # -log1p(-u), and never 0: torch shuts 0 out, too
            noise = -torch.log1p(-self.take(tensor.shape)) / rate
            return tensor.copy_(noise.clamp(min=torch.finfo(tensor.dtype).tiny))

        stack.enter_context(mock.patch.object(torch.Tensor, "uniform_", uniform_))
        stack.enter_context(mock.patch.object(torch.Tensor, "exponential_", exponential_))
        stack.enter_context(mock.patch("torch.rand_like", rand_like))
        stack.enter_context(mock.patch("torch.rand", lambda *shape, **_: self.take(
            shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)))
        return stack


class TorchRouter:
    """A router: `profile` says what it is, `forward` routes a batch."""

    dtype = torch.float32

    def __init__(self, experts, top_k, options):
        self.experts, self.options = experts, options
        self.profile = {"name": type(self).__name__, "experts": experts, "topK": top_k or 1}

    def forward(self, logits, training):
        """From `logits` [tokens, experts] (or the layer's input, with "takes": "input") to a dict of

        choice        list of the experts of each token, in order
        multipliers   tensor [tokens, chosen], which must carry the gradient
        and, where the router has them: expert_inputs [tokens, chosen, experts], auxiliary_loss, dispatch, and
        gradient_of, the tensor whose gradient is asked for if it is not `logits` itself.
        """
        raise NotImplementedError

    def answer(self, call):
        tokens = len(call["logits"])
        values = [[-math.inf if x is None else x for x in row] for row in call["logits"]]
        logits = torch.tensor(values, dtype=self.dtype, requires_grad=True)
        outputs = torch.tensor(call["expertOutputs"], dtype=self.dtype)
        upstream = torch.tensor(call["upstream"], dtype=self.dtype)
        # The router gets a copy, as a layer in the middle of a network would: what it changes in place shows in it.
        handed = logits * 1.0
        with Draws(call["uniforms"], self.dtype).forced():
            result = self.forward(handed, call["mode"] == "train")
        choice, multipliers = result["choice"], result["multipliers"]
        rows = []
        for t in range(tokens):
            row = torch.zeros(upstream.shape[1], dtype=self.dtype)
            for place, expert in enumerate(choice[t]):
                row = row + multipliers[t][place] * outputs[t, expert]
            rows.append(row)
        output = torch.stack(rows)
        source = result.get("gradient_of", logits)
        loss = (upstream * output).sum()
        gradient = torch.zeros_like(logits)
        if loss.requires_grad:
            found, = torch.autograd.grad(loss, source, allow_unused=True)
            gradient = gradient if found is None else found.reshape(logits.shape)
        answer = {
            "call": call["call"], "choice": choice,
            "multipliers": [[plain(multipliers[t][k]) for k in range(len(choice[t]))] for t in range(tokens)],
            "gradient": plain(gradient), "output": plain(output), "logitsAfter": plain(handed.reshape(logits.shape)),
        }
        for key, name in (("expert_inputs", "expertInputs"), ("auxiliary_loss", "auxiliaryLoss"), ("dispatch", "dispatch")):
            if key in result:
                answer[name] = plain(result[key])
        return answer


def plain(tensor):
    """Nested lists; what is not finite becomes null."""
    values = tensor.detach().tolist() if isinstance(tensor, torch.Tensor) else tensor
    if isinstance(values, list):
        return [plain(x) for x in values]
    return values if math.isfinite(values) else None


# Routers that are ready to be judged.


class Phimoe(TorchRouter):
    """transformers' Phi-MoE `sparsemixer` (GRIN, top-2), the function itself."""

    def __init__(self, experts, top_k, options):
        super().__init__(experts, 2, options)
        from transformers.models.phimoe.modeling_phimoe import sparsemixer
        self.sparsemixer, self.jitter = sparsemixer, 0.1 if options.jitter is None else options.jitter
        self.profile |= {
            "uniforms": 2 * experts + 2, "gates": "sequential", "precision": "float32",
            "mask": {"rule": "reference-code", "threshold": self.jitter},
            "outputScales": [1, float(torch.tensor(0.3333))],
        }

    def forward(self, logits, training):
        multipliers, choice = self.sparsemixer(logits, self.jitter, training)
        return {"choice": choice.tolist(), "multipliers": multipliers}


class PhimoeBlock(TorchRouter):
    """transformers' Phi-MoE block with jitter on its router's input; the weight is the identity."""

    def __init__(self, experts, top_k, options):
        super().__init__(experts, 2, options)
        from transformers.models.phimoe import modeling_phimoe as module
        from transformers import PhimoeConfig
        jitter = options.jitter or 0.1
        self.router = module.PhimoeTopKRouter(PhimoeConfig(
            hidden_size=experts, num_local_experts=experts, num_experts_per_tok=2, router_jitter_noise=0.1,
            input_jitter_noise=jitter))
        self.router.weight.data = torch.eye(experts)
        self.profile |= {
            "uniforms": 3 * experts + 2, "gates": "sequential", "precision": "float32", "takes": "input",
            "mask": {"rule": "reference-code", "threshold": 0.1}, "jitter": {"on": "input", "width": jitter},
            "outputScales": [1, float(torch.tensor(0.3333))],
        }

    def forward(self, hidden, training):
        self.router.train(training)
        logits, multipliers, choice = self.router(hidden)  # as the block does: the experts read `hidden` afterwards
        return {"choice": choice.tolist(), "multipliers": multipliers, "gradient_of": logits,
                "expert_inputs": torch.stack([hidden.detach()] * 2, dim=1)}


class Switch(TorchRouter):
    """transformers' Switch top-1 router; its weight is the identity."""

    def __init__(self, experts, top_k, options):
        super().__init__(experts, 1, options)
        from transformers import SwitchTransformersConfig
        from transformers.models.switch_transformers import modeling_switch_transformers as module
        jitter = options.jitter or 0.0
        self.router = module.SwitchTransformersTop1Router(SwitchTransformersConfig(
            d_model=experts, num_experts=experts, expert_capacity=options.capacity, router_jitter_noise=jitter))
        self.router.classifier.weight.data = torch.eye(experts)
        self.loss = getattr(module, "load_balancing_loss_func", None)
        self.profile |= {
            "uniforms": experts if jitter else 0, "gates": "softmax", "precision": "float32", "takes": "input",
            "jitter": {"on": "input", "width": jitter} if jitter else None, "capacity": options.capacity,
            "auxiliaryLoss": {"coefficient": 1, "counting": "first"} if self.loss else None,
        }

    def forward(self, hidden, training):
        self.router.train(training)
        mask, probabilities, logits = self.router(hidden[None])
        mask, probabilities = mask[0], probabilities[0]
        choice = [row.nonzero().flatten().tolist() for row in mask]
        result = {"choice": choice, "multipliers": probabilities, "gradient_of": logits, "dispatch": mask,
                  "expert_inputs": [[row.detach().tolist()] * len(c) for row, c in zip(hidden, choice)]}
        if self.loss:
            full = torch.softmax(logits, -1)
            result["auxiliary_loss"] = self.loss(full, torch.argmax(full, -1)).item()
        return result


class Mixtral(TorchRouter):
    """transformers' Mixtral top-k gate with its load-balancing loss, and the block's jitter; the weight is the identity."""

    def __init__(self, experts, top_k, options):
        super().__init__(experts, top_k or 2, options)
        from transformers import MixtralConfig
        from transformers.models.mixtral import modeling_mixtral as module
        jitter = options.jitter or 0.0
        self.config = MixtralConfig(
            hidden_size=experts, intermediate_size=2, num_local_experts=experts, router_jitter_noise=jitter,
            num_experts_per_tok=self.profile["topK"])
        self.block = module.MixtralSparseMoeBlock(self.config)
        self.block.gate.weight.data = torch.eye(experts)
        self.loss = module.load_balancing_loss_func
        self.profile |= {
            "uniforms": experts if jitter else 0, "gates": "renormalized", "precision": "float32", "takes": "input",
            "jitter": {"on": "input", "width": jitter} if jitter else None,
            "auxiliaryLoss": {"coefficient": 1, "counting": "all"},
        }

    def forward(self, hidden, training):
        self.block.train(training)
        seen = {}

        def gate(module, arguments, result):
            seen["logits"], seen["weights"], seen["choice"] = result

        def experts(states, choice, weights):
            seen["inputs"] = states.detach().clone()
            return torch.zeros_like(states)

        hook = self.block.gate.register_forward_hook(gate)
        with mock.patch.object(self.block.experts, "forward", experts):
            self.block(hidden[None])
        hook.remove()
        logits, top_k = seen["logits"], self.profile["topK"]
        loss = self.loss((logits,), self.profile["experts"], top_k)
        return {"choice": seen["choice"].tolist(), "multipliers": seen["weights"], "gradient_of": logits,
                "expert_inputs": torch.stack([seen["inputs"]] * top_k, dim=1), "auxiliary_loss": loss.item()}


class TopK(TorchRouter):
    """A plain softmax router, top-k before or after the softmax; start from here."""

    def __init__(self, experts, top_k, options):
        super().__init__(experts, top_k, options)
        self.profile |= {"gates": "softmax", "precision": "float32"}

    def forward(self, logits, training):
        multipliers, choice = torch.softmax(logits, -1).topk(self.profile["topK"], dim=-1)
        return {"choice": choice.tolist(), "multipliers": multipliers}


class SoftmaxAfterTop1(TopK):
    """The same with the softmax after top-k, which for one expert is always 1."""

    def forward(self, logits, training):
        values, choice = logits.topk(self.profile["topK"], dim=-1)
        return {"choice": choice.tolist(), "multipliers": torch.softmax(values, -1)}


ROUTERS = {"phimoe": Phimoe, "phimoe-block": PhimoeBlock, "switch": Switch, "mixtral": Mixtral, "top-k": TopK,
           "softmax-after-top1": SoftmaxAfterTop1}


def serve(make_router):
    """The exchange: a greeting, a profile, and then one answer for each call until standard input ends."""
    torch.set_num_threads(1)
    exchange, sys.stdout = sys.stdout, sys.stderr  # what libraries print must not get between the answers
    greeting = json.loads(sys.stdin.readline())
    torch.manual_seed(int(greeting["seed"]) % 2**63)
    router = make_router(greeting["experts"], greeting["topK"])
    print(json.dumps(router.profile), file=exchange, flush=True)
    for line in sys.stdin:
        print(json.dumps(router.answer(json.loads(line)), allow_nan=False), file=exchange, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("router", choices=ROUTERS)
    parser.add_argument("--jitter", type=float, help="the width of the noise (default: the router's own)")
    parser.add_argument("--capacity", type=int, default=4, help="tokens an expert takes, for switch (default: 4)")
    options = parser.parse_args()
    serve(lambda experts, top_k: ROUTERS[options.router](experts, top_k, options))


if __name__ == "__main__":
    main()
