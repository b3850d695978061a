import RoutingCore

extension RouterCall {
  /// Throws, with the field's path, unless the call has all that a router of the specification reads, in lists of the right
  /// lengths and of finite numbers; only logits may be −∞.
  package func validate(for specification: RouterSpecification) throws(InvalidInput) {
    let n = specification.experts
    try require(tokens, in: 1...65536, "logits", "1 to 65536 tokens")
    try requireRows(logits, "logits", of: n) { $0.isFinite || $0 == -.infinity }
    try requireRows(upstream, "upstream")
    let width = upstream[0].count
    try require(width, in: 1...65536, "upstream[0]", "1 to 65536 entries")
    try requireRows(upstream, "upstream", of: width)
    try requireCount(expertOutputs.count, tokens, "expertOutputs")
    for (t, rows) in expertOutputs.enumerated() {
      try requireCount(rows.count, n, "expertOutputs[\(t)]")
      for (i, row) in rows.enumerated() { try require(row, "expertOutputs[\(t)][\(i)]", of: width) }
    }
    try validateDraws(specification)
    if specification.hasSelectionBias { try require(try given(bias, "bias"), "bias", of: n) }
    if specification.gate?.hasExpertScales == true {
      try require(try given(expertScales, "expertScales"), "expertScales", of: n)
    }
    try validateChoice(specification)
    if specification.usesFunctions { try validateFunctions(specification, width) }
    let scopes = specification.auxiliaryLosses.map(\.scope)
    if scopes.contains(.sequence) { try requireCount(try given(sequences, "sequences").count, tokens, "sequences") }
    if scopes.contains(.global) {
      try require(try given(globalTokens, "globalTokens"), in: 1...Int(Int32.max), "globalTokens", "at least 1")
      try require(try given(globalCounts, "globalCounts"), "globalCounts", of: n)
    }
  }

  private func validateDraws(_ specification: RouterSpecification) throws(InvalidInput) {
    let n = specification.experts
    let kind = specification.noise?.kind
    try requireRows(uniforms, "uniforms", of: uniforms.first?.count ?? 0) { (0..<1).contains($0) }
    if kind?.takesUniforms == true { try requireAtLeast(uniforms.first?.count ?? 0, n, "uniforms[0]") }
    if kind?.takesNormals == true {
      let normals = try given(normals, "normals")
      try requireRows(normals, "normals", of: normals.first?.count ?? 0)
      try requireAtLeast(normals.first?.count ?? 0, n, "normals[0]")
    }
    if kind == .learnedNormal { try requireRows(try given(noiseLogits, "noiseLogits"), "noiseLogits", of: n) }
  }

  private func validateChoice(_ specification: RouterSpecification) throws(InvalidInput) {
    guard let choice else {
      let isDrawn = mode == .train || !specification.isSampled
      if isDrawn, !specification.choosesByKeys {
        throw InvalidInput("choice", "expected the experts of each token, the field is missing")
      }
      return
    }
    let most = specification.mostChosen
    try requireCount(choice.count, tokens, "choice")
    for (t, experts) in choice.enumerated() {
      if experts.count > most {
        throw InvalidInput("choice[\(t)]", "expected at most \(most) experts, got \(experts.count)")
      }
      for (k, expert) in experts.enumerated() {
        guard (0..<specification.experts).contains(expert), !experts[..<k].contains(expert) else {
          throw InvalidInput(
            "choice[\(t)][\(k)]", "expected another of the experts 0 to \(specification.experts - 1), got \(expert)")
        }
      }
    }
  }

  private func validateFunctions(_ specification: RouterSpecification, _ width: Int) throws(InvalidInput) {
    let inputs = try given(inputs, "inputs")
    try requireRows(inputs, "inputs", of: inputs.first?.count ?? 0)
    let d = inputs[0].count
    if specification.nullExperts?.kind == .identity { try requireCount(d, width, "inputs[0]") }
    let functions = try given(functions, "functions")
    try requireCount(functions.count, specification.experts, "functions")
    for (i, function) in functions.enumerated() {
      for (k, row) in function.inner.enumerated() { try require(row, "functions[\(i)].inner[\(k)]", of: d) }
      try requireCount(function.outer.count, width, "functions[\(i)].outer")
      for (k, row) in function.outer.enumerated() {
        try require(row, "functions[\(i)].outer[\(k)]", of: function.inner.count)
      }
      try require(function.offset, "functions[\(i)].offset", of: width)
    }
  }

  // MARK: -

  private func given<Value>(_ value: Value?, _ path: String) throws(InvalidInput) -> Value {
    guard let value else { throw InvalidInput(path, "expected for this specification, the field is missing") }
    return value
  }

  private func require(
    _ count: Int, in range: ClosedRange<Int>, _ path: String, _ expected: String
  ) throws(InvalidInput) {
    if !range.contains(count) { throw InvalidInput(path, "expected \(expected), got \(count)") }
  }

  private func requireCount(_ count: Int, _ expected: Int, _ path: String) throws(InvalidInput) {
    if count != expected { throw InvalidInput(path, "expected \(expected) entries, got \(count)") }
  }

  private func requireAtLeast(_ count: Int, _ least: Int, _ path: String) throws(InvalidInput) {
    if count < least { throw InvalidInput(path, "expected at least \(least) draws, got \(count)") }
  }

  private func requireRows(
    _ rows: [[Double]], _ path: String, of count: Int? = nil, where holds: (Double) -> Bool = \.isFinite
  ) throws(InvalidInput) {
    try requireCount(rows.count, tokens, path)
    for (t, row) in rows.enumerated() { try require(row, "\(path)[\(t)]", of: count, where: holds) }
  }

  private func require(
    _ row: [Double], _ path: String, of count: Int?, where holds: (Double) -> Bool = \.isFinite
  ) throws(InvalidInput) {
    if let count { try requireCount(row.count, count, path) }
    if let k = row.firstIndex(where: { !holds($0) }) {
      throw InvalidInput(
        "\(path)[\(k)]", "expected a number within its range, got \(row[k].isNaN ? "null" : "\(row[k])")")
    }
  }
}

extension RouterSpecification {
  /// Whether experts are drawn in training.
  var isSampled: Bool { if case .sampled = selection { true } else { false } }
}
