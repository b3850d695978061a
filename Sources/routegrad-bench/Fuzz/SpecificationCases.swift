import FileFormats
import RouteGrad

/// Router specifications, golden vectors, and answers to these.
enum SpecificationCases {
  static func make(_ format: FuzzFormat, _ damage: Damage, _ router: [String], _ dice: inout Dice) -> FuzzCase {
    var fuzzCase = FuzzCase(format)
    switch format {
    case .specification: makeSpecification(&fuzzCase, damage, router, &dice)
    default: makeAnswers(&fuzzCase, damage, &dice)
    }
    return fuzzCase
  }

  // MARK: - Specifications

  /// The catalogue's, with few experts.
  private static let specifications: [RouterSpecification] =
    (try? RouterCatalogue.shipped())?.entries.compactMap { entry in
      [8, 16, 32].lazy.compactMap { try? entry.specification.with(experts: $0) }.first
    } ?? []

  private static func makeSpecification(
    _ fuzzCase: inout FuzzCase, _ damage: Damage, _ router: [String], _ dice: inout Dice
  ) {
    var tree = FuzzTree(dice.one(of: specifications).json)
    // A stage of another specification can be a right one here.
    if dice.percent(40), case .object(let others) = FuzzTree(dice.one(of: specifications).json) {
      let other = dice.one(of: others)
      if !["schema", "experts"].contains(other.key) { tree[other.key] = other.value }
    }
    // Most numbers are whole and small: another one is mostly refused.
    if dice.percent(30) { tree.mutate(&dice, keepsShape: true) }
    if damage == .bent { for _ in 0..<dice.among(1...2) { tree.mutate(&dice) } }
    var bytes = tree.bytes
    if damage == .broken { for _ in 0..<dice.among(1...3) { ByteMutation.apply(to: &bytes, &dice) } }
    let isPiped = dice.percent(10)
    if isPiped { fuzzCase.input = bytes } else { fuzzCase.files = [.init("router.json", bytes)] }
    let name = isPiped ? "-" : "router.json"
    switch dice.below(10) {
    case 0...2: fuzzCase += ["routers", "show", name]
    case 3...5: fuzzCase += ["routers", "explain", name]
    case 6, 7:
      fuzzCase += ["vectors", name, "--threads", dice.percent(85) ? "1" : "2"]
      if dice.percent(30) { fuzzCase += ["--forward"] }
      if dice.percent(70) { fuzzCase.result = .jsonLines } else { fuzzCase += ["--format", "npz"] }
    default:
      fuzzCase += ["lint", "--timeout", "5", "--spec", name]
      if dice.percent(40) {
        fuzzCase += ["--format", "json"]
        fuzzCase.result = .json
      }
    }
    guard fuzzCase.arguments[0] != Array("routers".utf8) else { return }
    if dice.percent(30) { fuzzCase += ["--experts", dice.one(of: ["2", "3", "8", "24", "1", "1025"])] }
    if fuzzCase.arguments[0] == Array("lint".utf8) { fuzzCase += ["--"] + router + ["--damage", "none"] }
  }

  // MARK: - Vectors and answers

  /// Vectors and the right answers to them, made once.
  private static let exchanges: [(vectors: [UInt8], answers: [UInt8])] =
    ["switch", "mixtral", "deepseek-v3"].compactMap { name in
      guard let specification = specifications.first(where: { $0.name == name }),
        let vectors = try? GoldenVectors(of: specification, pool: 64)
      else { return nil }
      let answers = vectors.vectors.enumerated().map { k, vector in JSONWriter.line(vector.expected.json(number: k + 1))
      }
      return (Array(vectors.jsonLines.utf8), Array(answers.map { $0 + "\n" }.joined().utf8))
    }

  private static func makeAnswers(_ fuzzCase: inout FuzzCase, _ damage: Damage, _ dice: inout Dice) {
    var (vectors, answers) = dice.one(of: exchanges)
    if fuzzCase.format == .vectors { change(&vectors, damage, &dice) } else { change(&answers, damage, &dice) }
    let isPiped = dice.percent(10)
    fuzzCase.files = [.init("vectors.jsonl", vectors)]
    if isPiped { fuzzCase.input = answers } else { fuzzCase.files.append(.init("answers.jsonl", answers)) }
    fuzzCase += ["lint", "--vectors", "vectors.jsonl", "--answers", isPiped ? "-" : "answers.jsonl"]
    if dice.percent(50) {
      fuzzCase += ["--format", "json"]
      fuzzCase.result = .json
    }
  }

  private static func change(_ bytes: inout [UInt8], _ damage: Damage, _ dice: inout Dice) {
    if damage == .broken {
      for _ in 0..<dice.among(1...3) { ByteMutation.apply(to: &bytes, &dice) }
    } else {
      bytes.mutateLine(&dice, keepsShape: damage == .none)
    }
  }
}
