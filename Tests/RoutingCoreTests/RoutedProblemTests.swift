import RoutingCore
import Testing
import _TestSupport

/// The evaluations that estimators ask for, by hand and from tables.
@Suite struct RoutedProblemTests {
  /// Two experts with probabilities ½, outputs 2 and −4 (scaled by ½), loss y² = ½·2·y².
  static func parabola(logits: [Double] = [0, 0]) throws -> RoutedProblem {
    try RoutedProblem(
      .mixture(
        try MixtureProblem(
          logits: logits, expertOutputs: [[4], [-8]], scale: [0.5],
          loss: try Quadratic(matrix: [[2]], linear: [0]))))
  }

  @Test func evaluationsByHand() throws {
    let problem = try Self.parabola()
    #expect(problem.kind == .mixture && problem.experts == 2)
    #expect(try problem.values() == [1, 4])  // (½·2)², (½·−4)²
    #expect(try problem.rays(nodes: [1, 0.5]).slopes == [4, 16, 2, 8])  // 2(c π f) f
    #expect(try problem.gatingWeights() == [2, 8])
    #expect(try problem.denseSlopes(at: 0) == [4, -8])  // 2·1·(2, −4)
    #expect(try problem.choiceGradient(at: 0) == [2, -4])
    // J(π)(F + c) = ½(w − mean) with w = (3, 12).
    #expect(try problem.expectedLossGradient() == [-2.25, 2.25])
  }

  @Test func categoricalByHand() throws {
    let problem = try RoutedProblem(
      .categorical(
        try CategoricalProblem(
          name: "two", logits: [0, 0], objective: try SeparablePower(exponent: 2, targets: [0.5, 0]))))
    #expect(problem.problem.name == "two" && problem.kind == .categorical)
    #expect(try problem.values() == [0.25, 1.25])
    #expect(try problem.choiceGradient(at: 1) == [-1, 2])
    #expect(try problem.gatingWeights() == [0, 0])
    #expect(try problem.expectedLossGradient() == [-0.25, 0.25])
    #expect(throws: Unavailable("needs a mixture problem")) { try problem.mixture() }
    #expect(throws: Unavailable("needs a mixture problem")) { try problem.rays(nodes: [1]) }
    #expect(throws: Unavailable("needs a mixture problem")) { try problem.denseSlopes(at: 0) }
  }

  @Test func tablesAnswerWhatTheyHold() throws {
    let computed = try Self.parabola(logits: [0.25, -0.5])
    let nodes = [0, 0.5, 1]
    let p = computed.distribution.probabilities
    let table = MixtureTable(
      nodes: nodes, values: zip(p, [2.0, -4]).map { q, f in nodes.map { ($0 * q * f) * ($0 * q * f) } },
      slopes: zip(p, [2.0, -4]).map { q, f in nodes.map { 2 * $0 * q * f * f } }, valueAtZero: 0, mask: .none
    )
    let tabulated = try RoutedProblem(
      .mixture(try MixtureProblem(logits: [0.25, -0.5], expertOutputs: nil, source: .table(table))))
    expectClose(try tabulated.values(), try computed.values(), relative: 1e-15)
    expectClose(
      try tabulated.rays(nodes: [1, 0.5]).slopes, try computed.rays(nodes: [1, 0.5]).slopes, relative: 1e-15)
    expectClose(try tabulated.expectedLossGradient(), try computed.expectedLossGradient(), relative: 1e-15)
    // Nodes match within 1e-12, and no further.
    #expect(try tabulated.rays(nodes: [0.5 + 9e-13]).slopes == tabulated.rays(nodes: [0.5]).slopes)
    #expect(throws: Unavailable("needs the slope at 0.333333")) { try tabulated.rays(nodes: [1.0 / 3]) }
    #expect(throws: Unavailable("needs the slope at 0.5")) { try tabulated.rays(nodes: [0.5 + 2e-12]) }
    #expect(throws: Unavailable("needs the loss as a function, which a table is not")) {
      try tabulated.denseSlopes(at: 0)
    }
    #expect(tabulated.problem.fixedMask == Mask.none)
  }

  @Test func tableWithoutItsEnd() throws {
    let table = MixtureTable(nodes: [0.5], values: [[1]], slopes: [[1]], valueAtZero: 0, mask: .none)
    let problem = try RoutedProblem(
      .mixture(try MixtureProblem(logits: [0], expertOutputs: nil, source: .table(table))))
    #expect(throws: Unavailable("needs the value at 1")) { try problem.values() }
  }

  @Test func categoricalTables() throws {
    let problem = try RoutedProblem(
      .categorical(
        try CategoricalProblem(
          logits: [0, 0], source: .table(values: [1, 3], gradients: [[1, 2], [3, 4]]))))
    #expect(try problem.values() == [1, 3])
    #expect(try problem.choiceGradient(at: 1) == [3, 4])
    #expect(try problem.expectedLossGradient() == [-0.5, 0.5])
  }

  @Test func scalingOutputs() throws {
    guard case .mixture(let mixture) = try Self.parabola().problem else { return }
    let scaled = try #require(mixture.scalingOutputs(by: 0.25))
    #expect(scaled.directions?.elements == [0.5, -1])
    #expect(try RoutedProblem(.mixture(scaled)).values() == [0.0625, 0.25])
    let table = MixtureTable(nodes: [1], values: [[1]], slopes: [[1]], valueAtZero: 0, mask: .none)
    #expect(
      try MixtureProblem(logits: [0], expertOutputs: nil, source: .table(table)).scalingOutputs(by: 2) == nil)
  }

  @Test func pairs() throws {
    let problem = try Self.parabola(logits: [1, 0])
    let pairs = try PairDistribution(problem)
    #expect(pairs.second[0]?.support == [1] && pairs.second[1]?.support == [0])
    #expect(pairs.probability(0, 1) == problem.distribution.probabilities[0])
    #expect(pairs.probability(0, 0) == 0)
    let one = try RoutedProblem(
      .mixture(
        try MixtureProblem(logits: [1], expertOutputs: [[1]], loss: try Linear(coefficients: [1]))))
    #expect(throws: Unavailable("needs two experts")) { try PairDistribution(one) }
  }

  @Test func pairsIgnoreTheFirstMask() throws {
    // The first mask keeps 0 alone; the second draw's keeps 1 and 2, whose maximum is its own.
    let outputs = [[1.0], [2], [3]]
    let problem = try RoutedProblem(
      .mixture(
        try MixtureProblem(logits: [5, 1, 0.9], expertOutputs: outputs, loss: try Linear(coefficients: [1]))),
      mask: .paper(threshold: 0.1))
    let pairs = try PairDistribution(problem)
    #expect(pairs.first.support == [0] && Array(pairs.second.keys) == [0])
    #expect(pairs.second[0]?.support == [1, 2])
    expectClose(pairs.probability(0, 1) + pairs.probability(0, 2), 1, ulps: 1)
  }
}
