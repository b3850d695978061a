import RouteGrad

/// Problem files, for `report`, `outcomes` and `order`.
enum ProblemCases {
  /// Numbers of one size, of which a field is made.
  enum Scale: CaseIterable {
    case ordinary, whole, equal, zero, tiny, apart, large, huge, wide, mixed

    func number(_ dice: inout Dice) -> Double {
      let x = dice.between(-2, 2)
      switch self {
      case .ordinary: return x
      case .whole: return x.rounded()
      case .equal: return 0.25
      case .zero: return dice.percent(50) ? 0 : -0.0
      case .tiny: return x * dice.one(of: [1e-17, 1e-150, 1e-300, 0x1p-1074])
      case .apart: return x * dice.one(of: [10, 50, 200, 400, 800])
      case .large: return x * dice.one(of: [1e3, 1e10, 1e50, 1e90])
      case .huge: return x * dice.one(of: [1e150, 1e154, 1e200, 1e300, 8e307])
      case .wide: return x * dice.one(of: [1e-150, 1e-120, 1e-90, 1e-60, 1e-30, 1, 1e30, 1e60, 1e90, 1e120, 1e150])
      case .mixed: return dice.percent(50) ? x : dice.one(of: Hostile.doubles)
      }
    }

    func numbers(_ count: Int, _ dice: inout Dice) -> [Double] { (0..<count).map { _ in number(&dice) } }

    func rows(_ count: Int, _ width: Int, _ dice: inout Dice) -> [[Double]] {
      (0..<count).map { _ in numbers(width, &dice) }
    }
  }

  /// The scale of logits: far apart more often than elsewhere, for that is where softmaxes go wrong.
  private static func logitScale(_ scales: inout Scales, _ dice: inout Dice) -> Scale {
    dice.percent(30) ? dice.one(of: [Scale.apart, .apart, .large, .equal, .huge]) : scales.next(&dice)
  }

  /// Which scale each field has: in one problem of four all are ordinary, in half of them one is not.
  struct Scales {
    private let one: Int?
    private let areAny: Bool
    private var field = 0

    init(_ dice: inout Dice) {
      let kind = dice.below(4)
      one = kind == 0 ? nil : dice.below(4)
      areAny = kind == 3
    }

    mutating func next(_ dice: inout Dice) -> Scale {
      defer { field += 1 }
      return areAny || field == one ? dice.one(of: Scale.allCases) : .ordinary
    }
  }

  static func make(_ format: FuzzFormat, _ damage: Damage, _ dice: inout Dice) -> FuzzCase {
    var fuzzCase = FuzzCase(format)
    var tree = problem(isTabulated: format == .tabulated, &dice)
    let isSet = format == .problems
    if isSet {
      tree = [
        "schema": "routegrad.problems/1",
        "problems": .list((0..<dice.among(1...4)).map { _ in problem(isTabulated: dice.percent(15), &dice) }),
      ]
    }
    if damage == .none, dice.percent(30) { tree.mutate(&dice, keepsShape: true) }
    if damage == .bent { for _ in 0..<dice.among(1...2) { tree.mutate(&dice) } }
    var bytes = tree.bytes
    if damage == .broken { ByteMutation.apply(to: &bytes, &dice) }
    let isPiped = dice.percent(10)
    if isPiped { fuzzCase.input = bytes } else { fuzzCase.files = [.init("problem.json", bytes)] }
    command(&fuzzCase, file: isPiped ? "-" : "problem.json", tree, &dice)
    return fuzzCase
  }

  // MARK: - Problems

  /// A problem that is valid, whatever its numbers.
  static func problem(
    isTabulated: Bool, isMixture: Bool? = nil, experts: Int? = nil, _ dice: inout Dice
  ) -> FuzzTree {
    var scales = Scales(&dice)
    let count = experts ?? dice.weighted([(4, 1), (25, 2), (30, 3), (20, 4), (15, 6), (4, 9), (2, 33)])
    var tree: FuzzTree = ["schema": "routegrad.problem/1", "name": "case"]
    let isMixture = isMixture ?? dice.percent(60)
    tree["kind"] = .text(isMixture ? "mixture" : "categorical")
    tree["logits"] = FuzzTree(logitScale(&scales, &dice).numbers(count, &dice))
    guard isMixture else {
      tree["objective"] =
        isTabulated
        ? [
          "type": "tabulated", "values": FuzzTree(scales.next(&dice).numbers(count, &dice)),
          "gradients": FuzzTree(scales.next(&dice).rows(count, count, &dice)),
        ] : objective(width: count, &scales, &dice)
      return tree
    }
    let width = dice.among(1...3)
    if !isTabulated || dice.percent(70) {
      tree["expertOutputs"] = FuzzTree(scales.next(&dice).rows(count, width, &dice))
      if dice.percent(20) { tree["scale"] = FuzzTree(scales.next(&dice).numbers(width, &dice)) }
      if dice.percent(20) { tree["defaultOutputs"] = FuzzTree(scales.next(&dice).rows(count, width, &dice)) }
    }
    tree["loss"] =
      isTabulated ? table(experts: count, &scales, &dice) : objective(width: width, &scales, &dice)
    return tree
  }

  private static func table(experts: Int, _ scales: inout Scales, _ dice: inout Dice) -> FuzzTree {
    let nodes = Array([0.5, 1, 0.25, 0, 2].prefix(dice.among(1...5)))
    let rule = dice.one(of: ["none", "paper", "reference-code"])
    return [
      "type": "tabulated", "nodes": FuzzTree(nodes),
      "values": FuzzTree(scales.next(&dice).rows(experts, nodes.count, &dice)),
      "slopes": FuzzTree(scales.next(&dice).rows(experts, nodes.count, &dice)),
      "valueAtZero": FuzzTree(scales.next(&dice).number(&dice)),
      "mask": [
        "rule": .text(rule), "threshold": rule == "none" ? .raw("null") : .raw(dice.one(of: ["0", "0.1", "1e308"])),
      ],
    ]
  }

  static func objective(width: Int, _ scales: inout Scales, _ dice: inout Dice) -> FuzzTree {
    func numbers(_ count: Int, _ scales: inout Scales, _ dice: inout Dice) -> FuzzTree {
      FuzzTree(scales.next(&dice).numbers(count, &dice))
    }
    switch dice.below(6) {
    case 0: return ["type": "linear", "coefficients": numbers(width, &scales, &dice)]
    case 1:
      let scale = scales.next(&dice)
      var matrix = scale.rows(width, width, &dice)
      for i in 0..<width { for j in 0..<i { matrix[i][j] = matrix[j][i] } }
      return ["type": "quadratic", "matrix": FuzzTree(matrix), "linear": numbers(width, &scales, &dice)]
    case 2:
      let exponent =
        dice.percent(60) ? dice.one(of: [2, 3, 1.5, 4]) : dice.one(of: [1.0000000001, 1.01, 7.5, 100, 1e3, 1e308])
      var tree: FuzzTree = [
        "type": "separable-power", "exponent": FuzzTree(exponent), "targets": numbers(width, &scales, &dice),
      ]
      if dice.percent(60) { tree["weights"] = FuzzTree(scales.next(&dice).numbers(width, &dice).map(\.magnitude)) }
      return tree
    case 3:
      return ["type": "log-cosh", "scales": numbers(width, &scales, &dice), "targets": numbers(width, &scales, &dice)]
    case 4:
      let labels = dice.among(1...4)
      return [
        "type": "softmax-cross-entropy", "weights": FuzzTree(scales.next(&dice).rows(labels, width, &dice)),
        "biases": numbers(labels, &scales, &dice), "label": FuzzTree(dice.below(labels)),
      ]
    default:
      return [
        "type": "polynomial", "coefficients": numbers(dice.among(1...6), &scales, &dice),
        "direction": numbers(width, &scales, &dice),
      ]
    }
  }

  // MARK: - Commands

  private static let finite = [
    "reinforce", "reinforce:baseline=optimal", "reinforce:baseline=uniform-mean",
    "reinforce:baseline=leave-one-out,samples=2",
    "reinforce:baseline=leave-one-out,samples=4", "reinforce:baseline=constant,value=1e308", "straight-through",
    "straight-through:tau=1e-300", "reinmax", "reinmax:tau=1.3", "reinmax:tau=1e300", "reinmax:tau=5e-324",
    "conventional",
    "first-order", "midpoint", "sparsemixer", "sparsemixer-v2", "sparsemixer-v2:reference-constants=true",
    "sparsemixer-v2-top2", "quadrature", "quadrature:rule=simpson", "quadrature:points=2,evaluation=one-node",
    "quadrature:points=64", "dense-backward", "default-moe", "default-moe:k=2", "exact",
  ]

  private static let noisy = [
    "gumbel-softmax", "gumbel-softmax:tau=0.01", "gumbel-softmax:tau=1e300", "gumbel-softmax-st",
    "gumbel-softmax-st:tau=0.5", "gumbel-softmax-st:tau=1e-300", "gumbel-rao", "gumbel-rao:K=1",
    "gumbel-rao:tau=0.1,K=100", "reinmax-rao", "reinmax-rao:tau=1e-300,K=1", "darn", "zgr",
    "straight-through:draw-tau=1e-300", "straight-through:tau=1e300,draw-tau=0.5",
    "rebar", "rebar:tau=1e-300", "rebar:tau=0.1,eta=1e300,coupled=true", "relax", "relax:tau=1e300",
    "switch", "switch:r=0", "switch:r=1", "switch:r=1e-300", "switch:kind=input", "switch:r=0.9",
  ]

  static let targets = ["expected-loss", "routing-term", "gating-term", "dense-mixture", "dense-backward"]

  /// Adds `report`, `outcomes` or `order` with options that exist.
  private static func command(_ fuzzCase: inout FuzzCase, file: String, _ tree: FuzzTree, _ dice: inout Dice) {
    let command = dice.weighted([(70, "report"), (15, "outcomes"), (15, "order")])
    fuzzCase += [command, file, "--threads", dice.percent(85) ? "1" : "2"]
    if fuzzCase.format != .tabulated, dice.percent(25) { fuzzCase += mask(&dice) }
    if command == "outcomes" {
      fuzzCase += ["--estimator", dice.one(of: finite)]
      if tree["problems"] != nil { fuzzCase += ["--problem", "case"] }
      fuzzCase.result = .jsonLines
      return
    }
    let format = dice.weighted([(50, "json"), (25, "table"), (15, "csv"), (10, "markdown")])
    fuzzCase += ["--format", format]
    if format == "json" { fuzzCase.result = .json }
    guard command == "report" else { return }
    switch dice.below(10) {
    case 0, 1, 2: break
    case 3, 4, 5:
      fuzzCase += ["--estimators", (0..<dice.among(1...3)).map { _ in dice.one(of: finite) }.joined(separator: ",")]
    case 6, 7, 8: fuzzCase += ["--estimators", dice.one(of: noisy)]
    default: fuzzCase += ["--estimators", "all"]
    }
    if dice.percent(20) { fuzzCase += ["--target", dice.one(of: targets)] }
    if format == "json", dice.percent(30) { fuzzCase += ["--covariance"] }
    if dice.percent(15) { fuzzCase += ["--method", "monte-carlo", "--samples", dice.one(of: ["2", "3", "50"])] }
    if dice.percent(15) {
      fuzzCase += ["--tolerance", dice.one(of: ["1e-10", "1e-3", "1e-15", "1", "1e-300", "5e-324", "1e308"])]
    }
  }

  static func mask(_ dice: inout Dice) -> [String] {
    let rule = dice.one(of: ["none", "paper", "reference-code"])
    let thresholds = ["0", "0.1", "0.5", "1e-300", "1", "1e308"]
    return ["--mask", rule] + (rule != "none" && dice.percent(70) ? ["--threshold", dice.one(of: thresholds)] : [])
  }
}
