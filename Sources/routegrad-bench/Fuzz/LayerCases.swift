/// Layer files, for `audit-layer`.
enum LayerCases {
  static func make(_ damage: Damage, _ dice: inout Dice) -> FuzzCase {
    var fuzzCase = FuzzCase(.layer)
    var file = layer(&dice)
    var length: UInt64?
    if damage == .bent {
      if dice.percent(15) {
        length = dice.one(of: [0, 1, 8, 1 << 32, 1 << 62, 1 << 63, .max])
      } else {
        for _ in 0..<dice.among(1...2) { file.header.mutate(&dice) }
      }
    }
    var bytes = file.bytes(length: length)
    if damage == .broken { for _ in 0..<dice.among(1...3) { ByteMutation.apply(to: &bytes, &dice) } }
    let isPiped = dice.percent(10)
    if isPiped { fuzzCase.input = bytes } else { fuzzCase.files = [.init("layer.safetensors", bytes)] }
    fuzzCase += ["audit-layer", isPiped ? "-" : "layer.safetensors", "--threads", dice.percent(80) ? "1" : "2"]
    let format = dice.weighted([(50, "json"), (25, "table"), (15, "csv"), (10, "markdown")])
    fuzzCase += ["--format", format]
    if format == "json" { fuzzCase.result = .json }
    if dice.percent(30) { fuzzCase += ProblemCases.mask(&dice) }
    if dice.percent(30) { fuzzCase += ["--target", dice.one(of: ProblemCases.targets)] }
    if dice.percent(30) { fuzzCase += ["--gradients", "means.safetensors"] }
    if dice.percent(40) {
      let estimators = [
        "switch", "sparsemixer", "reinmax", "exact", "conventional", "gumbel-softmax-st", "dense-backward",
        "dense-mixer", "dense-mixer:branch=softmax",
        "default-moe", "default-moe:k=2", "straight-through:tau=0.5", "all",
      ]
      fuzzCase += ["--estimators", dice.one(of: estimators)]
    }
    return fuzzCase
  }

  /// Routers of layers: those of a layer of so many experts, few of which are refused.
  private static func router(experts: Int, _ dice: inout Dice) -> (text: String, hasBias: Bool, hasScales: Bool) {
    if dice.percent(20) {
      return (dice.one(of: ["mixtral", "olmoe", "gpt-oss", "llama-4", "switch", "phi-3.5-moe", "none"]), false, false)
    }
    let (hasBias, hasScales) = (dice.percent(30), dice.percent(20))
    let count = dice.percent(95) ? dice.among(1...max(1, experts)) : experts + 1
    let selection = dice.weighted([
      (70, #"{"kind": "top-k", "count": \#(count)}"#), (10, #"{"kind": "top-p", "mass": 0.6, "count": \#(count)}"#),
      (5, #"{"kind": "threshold", "above": 0.1, "count": \#(count)}"#), (5, #"{"kind": "expert-choice", "count": 2}"#),
      (5, #"{"kind": "sampled", "count": 1}"#), (5, #"{"kind": "forced", "count": 1}"#),
    ])
    let score = dice.one(of: ["softmax", "sigmoid", "relu", "exp", "identity", "softplus-sqrt"])
    let of = dice.weighted([
      (70, "score"), (10, "softmax-over-chosen"), (10, "sigmoid-of-logit"), (5, "one"), (5, "subset-marginal"),
    ])
    let extent = dice.percent(95) ? experts : experts + 1
    return (
      #"{"schema": "routegrad.router-spec/1", "name": "fuzz", "experts": \#(extent), "score": "\#(score)", "#
        + #""selectionBias": \#(hasBias), "selection": \#(selection), "gate": {"of": "\#(of)", "#
        + #""normalized": \#(dice.percent(50)), "perExpertScale": \#(hasScales)}}"#, hasBias, hasScales
    )
  }

  /// A small layer that is valid but for the size of its numbers.
  private static func layer(_ dice: inout Dice) -> SafeTensorsBytes {
    var scales = ProblemCases.Scales(&dice)
    let type = dice.weighted([(50, "F64"), (30, "F32"), (10, "BF16"), (10, "F16")])
    let (tokens, experts, width, hidden) = (dice.among(1...5), dice.among(1...4), dice.among(1...3), dice.among(1...3))
    let residual = dice.percent(50)
    let isSecond = dice.percent(60)
    let isGated = isSecond && dice.percent(60)
    let router = isSecond && dice.percent(70) && experts > 1 ? Self.router(experts: experts, &dice) : nil
    let outputs = residual ? width : dice.among(1...3)
    var tensors: [(name: String, type: String, shape: [Int], bytes: [UInt8])] = []
    func add(_ name: String, _ shape: [Int], isOptional: Bool = false) {
      if isOptional, dice.percent(50) { return }
      // In Float32 and shorter types, what is too large is infinite, and refused: less of that.
      let limit = type == "F64" || dice.percent(10) ? Double.infinity : type == "F16" ? 6e4 : 3e38
      let numbers = scales.next(&dice).numbers(shape.reduce(1, *), &dice).map { max(-limit, min($0, limit)) }
      tensors.append((name, type, shape, SafeTensorsBytes.bytes(numbers, as: type)))
    }
    add("input", [tokens, width])
    add("router.weight", [experts, width])
    add("router.bias", [experts], isOptional: true)
    add("experts.w1", [experts, hidden, width])
    let hasBias = dice.percent(50)
    if hasBias { add("experts.b1", [experts, hidden]) }
    if isGated {
      add("experts.w3", [experts, hidden, width])
      if hasBias { add("experts.b3", [experts, hidden]) }
    }
    if router?.hasBias == true { add("router.selection_bias", [experts], isOptional: dice.percent(10)) }
    if router?.hasScales == true { add("router.expert_scales", [experts]) }
    if isSecond {
      add("experts.stand_ins", [experts, outputs], isOptional: true)
      if dice.percent(40) {
        let count = dice.among(1...2)
        add("shared.w1", [count, hidden, width])
        if isGated { add("shared.w3", [count, hidden, width]) }
        add("shared.w2", [count, outputs, hidden])
        add("shared.b2", [count, outputs], isOptional: true)
        add("shared.gate", [count, width], isOptional: true)
      }
    }
    add("experts.w2", [experts, outputs, hidden])
    add("experts.b2", [experts, outputs], isOptional: true)
    add("scale", [outputs], isOptional: true)
    if isSecond, dice.percent(40) {
      add("upstream", [tokens, outputs])
    } else if dice.percent(50) {
      add("target", [tokens, outputs])
    } else {
      let labels = dice.among(1...4)
      add("unembedding", [labels, outputs])
      tensors.append(
        (
          "labels", "I64", [tokens],
          SafeTensorsBytes.bytes((0..<tokens).map { _ in Double(dice.below(labels)) }, as: "I64")
        ))
    }
    let activations = ["relu", "gelu", "silu"] + (isSecond ? ["gelu-tanh", "clamped-swiglu"] : [])
    return SafeTensorsBytes(
      metadata: [
        ("schema", isSecond ? "routegrad.layer/2" : "routegrad.layer/1"), ("activation", dice.one(of: activations)),
        ("residual", residual ? "add" : "none"),
      ] + (router.map { [("router", $0.text)] } ?? []), tensors)
  }
}
