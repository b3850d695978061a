/// Commands on inputs that are right, with options that need not be.
enum OptionCases {
  /// What an option takes.
  private enum Kind {
    /// What may be large at once, and is then refused.
    case size
    /// What may be large at length.
    case count
    case number
    case word
    case path
    case flag
  }

  private typealias Options = [(name: String, kind: Kind)]

  static func make(_ damage: Damage, _ runs: RunSamples, _ dice: inout Dice) -> FuzzCase {
    var fuzzCase = FuzzCase(.options)
    var options = common
    switch dice.below(11) {
    case 0, 1, 2:
      problem(&fuzzCase)
      fuzzCase += ["report", "problem.json", "--format", "json"]
      options += [
        ("--estimators", .word), ("--mask", .word), ("--threshold", .number), ("--target", .word),
        ("--covariance", .flag),
        ("--method", .word), ("--samples", .count), ("--seed", .size), ("--tolerance", .number), ("--format", .word),
        ("--output", .path),
      ]
    case 3:
      problem(&fuzzCase)
      fuzzCase += [dice.one(of: ["outcomes", "order"]), "problem.json"]
      options += [
        ("--estimator", .word), ("--problem", .word), ("--mask", .word), ("--threshold", .number), ("--format", .word),
      ]
    case 4, 5:
      problem(&fuzzCase)
      fuzzCase.files.append(.init("samples.csv", Array("0.1,-0.3,0.2\n0.2,-0.3,0.1\n".utf8)))
      fuzzCase += ["verify", "samples.csv", "--problem", "problem.json"]
      if dice.percent(50) { fuzzCase += ["--estimator", "sparsemixer"] }
      options += [
        ("--estimator", .word), ("--target", .word), ("--false-fail-rate", .number), ("--false-pass-rate", .number),
        ("--detectable-bias", .number), ("--tolerance", .number), ("--bounds", .word), ("--max-samples", .size),
        ("--mask", .word), ("--threshold", .number), ("--format", .word), ("--problem-name", .word),
        ("--problem", .path),
      ]
    case 6:
      fuzzCase += ["train", dice.one(of: ["mixture-regression", "mixture-classification"])]
      fuzzCase += ["--steps", "2", "--batch", "4", "--experts", "3", "--output", "out"]
      options +=
        training + [("--shared", .number), ("--batch", .size), ("--experts", .size), ("--load-balance", .number)]
    case 7:
      fuzzCase.files = [.init("text.txt", RunSamples.text)]
      fuzzCase += ["train", "language-model", "--text", "text.txt", "--batch", "2", "--context", "4"]
      fuzzCase += TextCases.sizes(&dice)
      options +=
        training + transformer + [("--text", .path), ("--tokens", .word), ("--held-out", .size), ("--batch", .size)]
    case 8:
      fuzzCase.files = [.init("source.txt", RunSamples.source), .init("target.txt", RunSamples.target)]
      fuzzCase += ["train", "translation", "--source", "source.txt", "--target", "target.txt"]
      fuzzCase += ["--batch-tokens", "32", "--context", "8"]
      fuzzCase += TextCases.sizes(&dice)
      options +=
        training + transformer + [
          ("--batch-tokens", .size), ("--label-smoothing", .number), ("--bleu-sentences", .size), ("--beam", .size),
          ("--length-penalty", .number), ("--source", .path), ("--valid-source", .path),
        ]
    case 9:
      fuzzCase.files = [.init("text.txt", RunSamples.text)]
      fuzzCase += ["compare", "--task", "language-model", "--text", "text.txt", "--batch", "2", "--context", "4"]
      fuzzCase += ["--steps", "2", "--seeds", "1", "--routers", "switch,none", "--learning-rate", "0.01"]
      fuzzCase += ["--width", "4", "--heads", "2", "--layers", "2", "--hidden", "4", "--experts", "2"]
      options +=
        transformer + [
          ("--text", .path), ("--tokens", .word), ("--held-out", .size), ("--batch", .size), ("--seeds", .size),
          ("--first-seed", .size), ("--routers", .word), ("--learning-rate", .number), ("--z-loss", .number),
          ("--tune-z-loss", .word), ("--shard", .word), ("--runs", .path), ("--status", .path), ("--warm-up", .size),
          ("--evaluate-every", .size), ("--audit-every", .size), ("--task", .word), ("--source", .path),
        ]
    default:
      fuzzCase.files = runs.comparison.map { file in
        var file = file
        file.name = Array("runs/".utf8) + file.name
        return file
      }
      fuzzCase += ["compare", "--from", "runs"]
      options += [("--baseline", .word), ("--format", .word), ("--output", .path), ("--from", .path)]
    }
    for _ in 0..<dice.weighted([(70, 1), (25, 2), (5, 3)]) {
      let option = dice.one(of: options)
      fuzzCase += [option.name]
      if option.kind != .flag { fuzzCase.arguments.append(value(option.kind, damage, &dice)) }
    }
    if damage == .broken {
      let extra: [[UInt8]] = Hostile.arguments + ["--nonsense", "-x", "--threads"].map { Array($0.utf8) }
      switch dice.below(3) {
      case 0: fuzzCase.arguments.insert(dice.one(of: extra), at: dice.below(fuzzCase.arguments.count + 1))
      case 1: fuzzCase.arguments.remove(at: dice.below(fuzzCase.arguments.count))
      default: fuzzCase.arguments.swapAt(dice.below(fuzzCase.arguments.count), dice.below(fuzzCase.arguments.count))
      }
    }
    shorten(&fuzzCase)
    return fuzzCase
  }

  /// A million steps or audited tokens are no fault, but take their time: two instead, however they came about.
  private static func shorten(_ fuzzCase: inout FuzzCase) {
    for k in fuzzCase.arguments.indices.dropFirst() {
      let name = String(decoding: fuzzCase.arguments[k - 1], as: UTF8.self)
      let value = String(decoding: fuzzCase.arguments[k], as: UTF8.self)
      guard ["--steps", "--samples", "--audit-tokens", "--seeds"].contains(name), let number = Double(value),
        number > 50,
        number < 9.2e18
      else { continue }
      fuzzCase.arguments[k] = [UInt8(ascii: "2")]
    }
  }

  // `--help` and `--version` are answered with text whatever else is asked for.
  private static let common: Options = [("--threads", .size), ("--quiet", .flag)]

  private static let training: Options = [
    ("--router", .word), ("--seed", .size), ("--steps", .count), ("--learning-rate", .number), ("--schedule", .word),
    ("--warm-up", .size), ("--clip", .number), ("--evaluate-every", .size), ("--patience", .size),
    ("--audit-every", .size),
    ("--checkpoint-every", .size), ("--output", .path),
  ]

  private static let transformer: Options = [
    ("--width", .size), ("--heads", .size), ("--layers", .size), ("--hidden", .size), ("--experts", .size),
    ("--experts-every", .size), ("--load-balance", .number), ("--capacity-factor", .number), ("--dropout", .number),
    ("--vocabulary", .size), ("--context", .size), ("--audit-tokens", .count),
  ]

  private static let words = [
    "sparsemixer", "exact", "all", "switch", "reinmax:tau=nan", "reinmax:tau=1e400", "reinmax:tau=0", "reinmax:tau=",
    "reinmax:",
    "reinmax:tau=1,tau=2", "gumbel-rao:K=0", "gumbel-rao:K=1000001", "gumbel-rao:K=9223372036854775808", "switch:r=inf",
    "switch:r=-1", "switch:jitter=none", "switch:scale=maybe", "default-moe:k=9223372036854775807", "default-moe:k=0",
    "quadrature:points=65", "quadrature:rule=none,points=3", "reinforce:samples=3",
    "reinforce:baseline=leave-one-out,samples=1000001",
    "exact,exact", "exact,,exact", ",exact", "paper", "none", "reference-code", "routing-term", "expected-loss", "json",
    "csv",
    "monte-carlo", "constant", "inverse-square-root", "bytes", "words", "whitespace", "-1,1", "1,-1", "nan,nan",
    "0,1e400",
  ]

  private static func value(_ kind: Kind, _ damage: Damage, _ dice: inout Dice) -> [UInt8] {
    if damage != .none, dice.percent(40) {
      return dice.one(of: Hostile.arguments)
    }
    let text =
      switch kind {
      case .size: dice.one(of: Hostile.sizes)
      case .count: dice.one(of: Hostile.counts)
      case .number: dice.one(of: Hostile.numbers)
      case .word: dice.percent(80) ? dice.one(of: words) : dice.one(of: Hostile.texts)
      case .path:
        dice.one(of: [
          "", ".", "/dev/full", "missing/file", "problem.json", "text.txt", "new", "é", "a\nb", "/dev/null",
        ])
      case .flag: ""
      }
    // An argument ends at its first zero byte.
    return text.utf8.filter { $0 != 0 }
  }

  private static func problem(_ fuzzCase: inout FuzzCase) {
    let problem: FuzzTree = [
      "schema": "routegrad.problem/1", "name": "case", "kind": "mixture", "logits": FuzzTree([0.3, -1.2, 0.8]),
      "expertOutputs": FuzzTree([[0.1, 0.2], [1, -0.4], [0, 0.3]]),
      "loss": ["type": "log-cosh", "scales": FuzzTree([1.0, 2]), "targets": FuzzTree([0.5, -0.5])],
    ]
    fuzzCase.files = [.init("problem.json", problem.bytes)]
  }
}
