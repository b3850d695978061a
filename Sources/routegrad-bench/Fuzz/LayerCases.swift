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
        "switch", "sparsemixer", "reinmax", "exact", "conventional", "gumbel-softmax-st", "dense-backward", "all",
      ]
      fuzzCase += ["--estimators", dice.one(of: estimators)]
    }
    return fuzzCase
  }

  /// A small layer that is valid but for the size of its numbers.
  private static func layer(_ dice: inout Dice) -> SafeTensorsBytes {
    var scales = ProblemCases.Scales(&dice)
    let type = dice.weighted([(50, "F64"), (30, "F32"), (10, "BF16"), (10, "F16")])
    let (tokens, experts, width, hidden) = (dice.among(1...5), dice.among(1...4), dice.among(1...3), dice.among(1...3))
    let residual = dice.percent(50)
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
    add("experts.b1", [experts, hidden], isOptional: true)
    add("experts.w2", [experts, outputs, hidden])
    add("experts.b2", [experts, outputs], isOptional: true)
    add("scale", [outputs], isOptional: true)
    if dice.percent(50) {
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
    return SafeTensorsBytes(
      metadata: [
        ("schema", "routegrad.layer/1"), ("activation", dice.one(of: ["relu", "gelu", "silu"])),
        ("residual", residual ? "add" : "none"),
      ], tensors)
  }
}
