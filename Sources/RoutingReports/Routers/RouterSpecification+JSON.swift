import FileFormats
import RouterSpecifications
import RoutingCore

// The form `routegrad.router-spec/1`: what is left out, or null, has the value that docs/router-specifications.md gives as
// "else"; a gate that is null is not stated. Only what differs from that is written.

extension RouterSpecification {
  /// The name of the form.
  package static let schema = "routegrad.router-spec/1"

  private static let fieldNames = [
    "schema", "name", "experts", "noise", "score", "key", "selectionBias", "groups", "mask", "selection", "gate",
    "applied", "functions", "nullExperts", "capacity", "auxiliaryLosses", "biasUpdate", "replays",
  ]

  /// A specification.
  ///
  /// - Throws: `InvalidInput` with the path of the first field that is unknown, missing, of another type or out of range, or
  ///   that does not go together with others.
  package init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "a router specification", only: Self.fieldNames)
    _ = try fields.word("schema", among: [Self.schema])
    let name = try fields.string("name")
    guard !name.isEmpty, name.count <= 60 else {
      throw InvalidInput("name", "expected 1 to 60 characters, got \(name.count)")
    }
    let experts = try fields.integer("experts", Self.expertsLimit)
    self.init(
      name: name, experts: experts,
      noise: try fields.given("noise") { (fields, key) throws(InvalidInput) in
        try fields.part(key, "noise (an object)", Noise.init(_:))
      },
      score: try fields.given("score") { (fields, key) throws(InvalidInput) in
        try fields.part(key, "a score", Score.init(_:))
      } ?? Score(),
      key: try fields.word("key", else: .score), hasSelectionBias: try fields.flag("selectionBias"),
      groups: try fields.given("groups") { (fields, key) throws(InvalidInput) in
        try fields.part(key, "groups (an object)", Groups.init(_:))
      },
      mask: try fields.given("mask") { (fields, key) throws(InvalidInput) in
        try fields.part(key, "a mask (an object)", Mask.init(_:))
      } ?? .none,
      selection: try fields.part("selection", "a selection (an object)", Selection.init(_:)),
      alwaysChosen: try fields.object("selection", of: "a selection").given("always") {
        (selection, key) throws(InvalidInput) in
        do throws(InvalidInput) {
          return try selection.integer(key)
        } catch {
          throw error.inside("selection")
        }
      } ?? 0,
      applied: try fields.word("applied", else: .output), takesFunctions: try fields.flag("functions"),
      nullExperts: try fields.given("nullExperts") { (fields, key) throws(InvalidInput) in
        try fields.part(key, "null experts (an object)", NullExperts.init(_:))
      },
      capacity: try fields.given("capacity") { (fields, key) throws(InvalidInput) in
        try fields.part(key, "a capacity (an object)", Capacity.init(_:))
      },
      auxiliaryLosses: try fields.given("auxiliaryLosses") { (fields, key) throws(InvalidInput) in
        try fields.list(key, "a list of losses", AuxiliaryLoss.init(_:))
      } ?? [],
      biasUpdate: try fields.given("biasUpdate") { (fields, key) throws(InvalidInput) in
        try fields.part(key, "an update (an object)", BiasUpdate.init(_:))
      },
      replays: try fields.flag("replays"))
    if try fields.isGiven("gate") {
      gate = try fields.part("gate", "a gate (an object)", Gate.init(_:))
    } else if fields.has("gate") {
      gate = nil
    }
    try validate()
  }

  /// The specification, to the last bit.
  package var json: JSONValue {
    var fields: [(String, JSONValue)] = [
      ("schema", .string(Self.schema)), ("name", .string(name)), ("experts", JSONValue(experts)),
    ]
    if let noise { fields.append(("noise", noise.json)) }
    if score != Score() { fields.append(("score", score.json)) }
    if key != .score { fields.append(("key", .string(key.rawValue))) }
    if hasSelectionBias { fields.append(("selectionBias", .bool(true))) }
    if let groups { fields.append(("groups", groups.json)) }
    if mask != .none { fields.append(("mask", mask.json)) }
    fields.append(("selection", selection.json(always: alwaysChosen)))
    if gate != Gate() { fields.append(("gate", gate.map(\.json) ?? .null)) }
    if applied != .output { fields.append(("applied", .string(applied.rawValue))) }
    if takesFunctions { fields.append(("functions", .bool(true))) }
    if let nullExperts { fields.append(("nullExperts", nullExperts.json)) }
    if let capacity { fields.append(("capacity", capacity.json)) }
    if !auxiliaryLosses.isEmpty { fields.append(("auxiliaryLosses", .array(auxiliaryLosses.map(\.json)))) }
    if let biasUpdate { fields.append(("biasUpdate", biasUpdate.json)) }
    if replays { fields.append(("replays", .bool(true))) }
    return JSONValue(fields)
  }
}

extension JSONValue {
  fileprivate init(_ fields: [(String, JSONValue)]) {
    self = .object(fields.map { Member(key: $0.0, value: $0.1) })
  }
}

// MARK: - Logits, score and key

extension RouterSpecification.Noise {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "noise")
    let kind: Kind = try fields.word("kind")
    let hasWidth = kind != .learnedNormal
    try fields.requireOnly(["kind"] + (hasWidth ? ["width"] : []) + ["reaches"])
    let reaches = try fields.given("reaches") { (fields, key) throws(InvalidInput) in
      try fields.word(key, among: ["gates", "choice"])
    }
    let isOptional = kind == .gumbel || !hasWidth
    self.init(
      kind, width: isOptional ? try fields.number("width", else: 1) : try fields.number("width"),
      reachesGates: reaches != "choice")
  }

  fileprivate var json: JSONValue {
    var fields: [(String, JSONValue)] = [("kind", .string(kind.rawValue))]
    if kind != .learnedNormal { fields.append(("width", .number(width))) }
    if !reachesGates { fields.append(("reaches", "choice")) }
    return JSONValue(fields)
  }
}

extension RouterSpecification.Score {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let expected = Function.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
    switch value {
    case .string(let word):
      guard let function = Function(rawValue: word) else {
        throw InvalidInput("", "expected one of \(expected), got \"\(word.clipped(to: 40))\"")
      }
      self.init(function)
    case .object:
      let fields = try JSONFields(value, of: "a score", only: ["kind", "temperature"])
      self.init(try fields.word("kind"), temperature: try fields.number("temperature", else: 1))
    default: throw InvalidInput("", "expected one of \(expected), or an object, got \(value.kind)")
    }
  }

  fileprivate var json: JSONValue {
    temperature == 1
      ? .string(function.rawValue) : ["kind": .string(function.rawValue), "temperature": .number(temperature)]
  }
}

extension RouterSpecification.Groups {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "groups", only: ["count", "kept", "score"])
    self.init(count: try fields.integer("count"), kept: try fields.integer("kept"), score: try fields.word("score"))
  }

  fileprivate var json: JSONValue {
    ["count": JSONValue(count), "kept": JSONValue(kept), "score": .string(score.rawValue)]
  }
}

extension Mask {
  /// A mask, as problem files and routers write it.
  fileprivate var json: JSONValue { ["rule": .string(rule), "threshold": JSONValue(threshold)] }
}

// MARK: - Selection and gate

extension RouterSpecification.Selection {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "a selection")
    let kind = try fields.word(
      "kind", among: ["top-k", "top-p", "threshold", "expert-choice", "sampled", "forced", "unstated"])
    let more: [String: [String]] = [
      "top-k": ["always"], "top-p": ["mass"], "threshold": ["above"], "unstated": ["joint", "fewer"],
    ]
    try fields.requireOnly(["kind"] + (more[kind] ?? []) + ["count"])
    let count = try fields.integer("count")
    switch kind {
    case "top-p": self = .topP(mass: try fields.number("mass"), count: count)
    case "threshold": self = .threshold(above: try fields.number("above"), count: count)
    case "expert-choice": self = .expertChoice(count)
    case "sampled": self = .sampled(count)
    case "forced": self = .forced(count)
    case "unstated": self = .unstated(atMost: count, joint: try fields.flag("joint"), fewer: try fields.flag("fewer"))
    default: self = .topK(count)
    }
  }

  /// The word for the kind.
  var kind: String {
    switch self {
    case .topK: "top-k"
    case .topP: "top-p"
    case .threshold: "threshold"
    case .expertChoice: "expert-choice"
    case .sampled: "sampled"
    case .forced: "forced"
    case .unstated: "unstated"
    }
  }

  fileprivate func json(always: Int) -> JSONValue {
    let name: (String, JSONValue) = ("kind", .string(kind))
    switch self {
    case .topK(let k):
      return JSONValue([name, ("count", JSONValue(k))] + (always == 0 ? [] : [("always", JSONValue(always))]))
    case .expertChoice(let k), .sampled(let k), .forced(let k):
      return JSONValue([name, ("count", JSONValue(k))])
    case .topP(let mass, let k): return JSONValue([name, ("mass", .number(mass)), ("count", JSONValue(k))])
    case .threshold(let above, let k): return JSONValue([name, ("above", .number(above)), ("count", JSONValue(k))])
    case .unstated(let k, let joint, let fewer):
      return JSONValue(
        [name, ("count", JSONValue(k))] + (joint ? [("joint", .bool(true))] : [])
          + (fewer ? [("fewer", .bool(true))] : []))
    }
  }
}

extension RouterSpecification.Gate {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(
      value, of: "a gate",
      only: [
        "of", "normalized", "epsilon", "floor", "over", "scale", "perExpertScale", "factor", "outputScales",
      ])
    let over = try fields.given("over") { (fields, key) throws(InvalidInput) in
      try fields.word(key, among: ["chosen", "kept"])
    }
    self.init(
      try fields.word("of", else: .score), isNormalized: try fields.flag("normalized"),
      epsilon: try fields.number("epsilon", else: 0), floor: try fields.number("floor", else: 0),
      sumsOverKept: over == "kept", scale: try fields.number("scale", else: 1),
      hasExpertScales: try fields.flag("perExpertScale"), gradientFactor: try fields.number("factor", else: 1),
      outputScales: try fields.given("outputScales") { (fields, key) throws(InvalidInput) in try fields.numbers(key) }
        ?? [1])
  }

  fileprivate var json: JSONValue {
    var fields: [(String, JSONValue)] = [("of", .string(source.rawValue))]
    if isNormalized { fields.append(("normalized", .bool(true))) }
    if epsilon != 0 { fields.append(("epsilon", .number(epsilon))) }
    if floor != 0 { fields.append(("floor", .number(floor))) }
    if sumsOverKept { fields.append(("over", "kept")) }
    if scale != 1 { fields.append(("scale", .number(scale))) }
    if hasExpertScales { fields.append(("perExpertScale", .bool(true))) }
    if gradientFactor != 1 { fields.append(("factor", .number(gradientFactor))) }
    if outputScales != [1] { fields.append(("outputScales", JSONValue(outputScales))) }
    return JSONValue(fields)
  }
}

extension RouterSpecification.NullExperts {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "null experts", only: ["count", "kind"])
    self.init(count: try fields.integer("count"), kind: try fields.word("kind"))
  }

  fileprivate var json: JSONValue { ["count": JSONValue(count), "kind": .string(kind.rawValue)] }
}

extension RouterSpecification.Capacity {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "a capacity", only: ["limit", "priority"])
    self.init(try fields.integer("limit"), priority: try fields.word("priority", else: .position))
  }

  fileprivate var json: JSONValue {
    var fields: [(String, JSONValue)] = [("limit", JSONValue(limit))]
    if priority != .position { fields.append(("priority", .string(priority.rawValue))) }
    return JSONValue(fields)
  }
}

// MARK: - Losses and the bias

extension RouterSpecification.AuxiliaryLoss {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(
      value, of: "an auxiliary loss", only: ["kind", "coefficient", "counting", "probabilities", "scope"])
    self.init(
      try fields.word("kind"), coefficient: try fields.number("coefficient", else: 1),
      counting: try fields.word("counting", else: .all),
      probabilities: try fields.word("probabilities", else: .softmax),
      scope: try fields.word("scope", else: .batch))
  }

  fileprivate var json: JSONValue {
    var fields: [(String, JSONValue)] = [
      ("kind", .string(kind.rawValue)), ("coefficient", .number(coefficient)),
    ]
    if counting != .all { fields.append(("counting", .string(counting.rawValue))) }
    if probabilities != .softmax { fields.append(("probabilities", .string(probabilities.rawValue))) }
    if scope != .batch { fields.append(("scope", .string(scope.rawValue))) }
    return JSONValue(fields)
  }
}

extension RouterSpecification.BiasUpdate {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "an update", only: ["rule", "rate"])
    self.init(try fields.word("rule"), rate: try fields.number("rate"))
  }

  fileprivate var json: JSONValue { ["rule": .string(rule.rawValue), "rate": .number(rate)] }
}
