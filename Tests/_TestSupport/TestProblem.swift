import RoutingCore
import Testing

/// A routed problem with a name to print.
public struct TestProblem: Sendable, CustomTestStringConvertible {
  /// What a failure calls it.
  public var name: String
  /// The problem.
  public var problem: RoutedProblem

  /// Names a problem.
  public init(_ name: String, _ problem: RoutedProblem) {
    self.name = name
    self.problem = problem
  }

  public var testDescription: String { name }

  /// Whether two logits are equal, so that the argmax depends on the order of the experts.
  public var hasTies: Bool { Set(problem.problem.logits).count < problem.experts }
}

/// A sum of polynomials, each along a direction of its own: a polynomial in several variables.
public struct PolynomialSum: Objective {
  let terms: [Polynomial]

  public var dimension: Int { terms[0].dimension }

  public func value(at point: [Double]) -> Double { terms.reduce(0) { $0 + $1.value(at: point) } }

  public func gradient(at point: [Double]) -> [Double] {
    terms.map { $0.gradient(at: point) }.reduce([Double](repeating: 0, count: dimension)) {
      zip($0, $1).map(+)
    }
  }
}

/// An objective whose variables come in another order: variable k is the base's variable `order[k]`.
struct PermutedObjective: Objective {
  let base: any Objective
  let order: [Int]

  var dimension: Int { base.dimension }

  func value(at point: [Double]) -> Double { base.value(at: original(point)) }

  func gradient(at point: [Double]) -> [Double] {
    let gradient = base.gradient(at: original(point))
    return order.map { gradient[$0] }
  }

  private func original(_ point: [Double]) -> [Double] {
    var original = point
    for (k, i) in order.enumerated() { original[i] = point[k] }
    return original
  }
}

/// Makes random problems, a stream of its own for each name.
public struct ProblemMaker {
  /// The types of objective, in the order of the formats.
  public static let objectives = [
    "linear", "quadratic", "separable-power", "log-cosh", "softmax-cross-entropy", "polynomial",
  ]

  /// Where the numbers come from.
  public var generator: Philox

  /// A maker whose numbers depend on the seed and the name only.
  public init(_ name: String) { generator = TestSeed.generator(name) }

  /// An objective of one of ``objectives``.
  public mutating func objective(_ type: String, dimension: Int) throws -> any Objective {
    switch type {
    case "linear": return try Linear(coefficients: generator.normals(dimension))
    case "quadratic":
      var matrix = (0..<dimension).map { _ in generator.normals(dimension) }
      for i in 0..<dimension { for j in 0..<i { matrix[i][j] = matrix[j][i] } }
      return try Quadratic(matrix: matrix, linear: generator.normals(dimension))
    case "separable-power":
      return try SeparablePower(
        exponent: [1.5, 2, 2.5, 3, 4][Int.random(in: 0..<5, using: &generator)],
        targets: generator.normals(dimension, spread: 0.5),
        weights: (0..<dimension).map { _ in 0.2 + generator.nextOpenUnit() })
    case "log-cosh":
      return try LogCosh(
        scales: generator.normals(dimension, spread: 1.5), targets: generator.normals(dimension))
    case "softmax-cross-entropy":
      let classes = Int.random(in: 2...4, using: &generator)
      return try SoftmaxCrossEntropy(
        weights: (0..<classes).map { _ in generator.normals(dimension) }, biases: generator.normals(classes),
        label: Int.random(in: 0..<classes, using: &generator))
    default: return try polynomial(degree: 4, dimension: dimension)
    }
  }

  /// A polynomial of exactly this degree in several variables.
  public mutating func polynomial(degree: Int, dimension: Int) throws -> PolynomialSum {
    PolynomialSum(
      terms: try (0..<3).map { _ in
        var coefficients = generator.normals(degree + 1)
        // The highest coefficient is kept away from 0, so that a rule one degree short is seen to be wrong.
        coefficients[degree] += coefficients[degree] < 0 ? -1 : 1
        return try Polynomial(
          coefficients: coefficients, direction: generator.normals(dimension))
      })
  }

  /// A problem on `experts` logits of a given spread.
  public mutating func problem(
    _ name: String, kind: RoutingProblem.Kind, objective: any Objective, logits: [Double],
    mask: Mask = .none
  ) throws -> TestProblem {
    let problem: RoutingProblem
    switch kind {
    case .categorical:
      problem = .categorical(try CategoricalProblem(name: name, logits: logits, objective: objective))
    case .mixture:
      let width = objective.dimension
      let outputs = logits.map { _ in generator.normals(width, spread: 1.5) }
      problem = .mixture(
        try MixtureProblem(
          name: name, logits: logits, expertOutputs: outputs,
          scale: (0..<width).map { _ in 0.5 + generator.nextOpenUnit() },
          standIns: outputs.map { row in row.map { 0.7 * $0 + 0.3 * generator.nextNormal() } },
          loss: objective))
    }
    return TestProblem(name, try RoutedProblem(problem, mask: mask))
  }

  /// A problem with an objective of one of ``objectives`` and random logits.
  public mutating func problem(
    _ name: String, kind: RoutingProblem.Kind, type: String, experts: Int, width: Int, spread: Double = 1,
    mask: Mask = .none
  ) throws -> TestProblem {
    let logits = generator.normals(experts, spread: spread)
    let objective = try objective(type, dimension: kind == .mixture ? width : experts)
    return try problem(name, kind: kind, objective: objective, logits: logits, mask: mask)
  }
}

/// The problems that every estimator is held to.
public enum TestProblems {
  /// Both kinds, every objective, masks, steep logits and ties.
  public static let standard: [TestProblem] = make { maker in
    var problems: [TestProblem] = []
    let masks: [Mask] = [
      .none, .paper(threshold: 0.5), .referenceCode(threshold: 0.3), .none, .paper(threshold: 1), .none,
    ]
    let experts = [2, 3, 4, 3, 5, 4]
    for (k, type) in ProblemMaker.objectives.enumerated() {
      problems.append(
        try maker.problem(
          "categorical \(type)", kind: .categorical, type: type, experts: experts[k], width: 0))
      problems.append(
        try maker.problem(
          "mixture \(type)", kind: .mixture, type: type, experts: experts[k], width: 1 + k % 3))
      guard masks[k] != .none else { continue }
      problems.append(
        try maker.problem(
          "mixture \(type) \(masks[k].rule)", kind: .mixture, type: type, experts: experts[5 - k] + 1,
          width: 1 + k % 4, mask: masks[k]))
    }
    for kind in RoutingProblem.Kind.allCases {
      let steep = try maker.objective("log-cosh", dimension: 4)
      problems.append(
        try maker.problem("\(kind) steep", kind: kind, objective: steep, logits: [-12, 30.5, 7, 29]))
      let tied = try maker.objective("polynomial", dimension: 4)
      problems.append(
        try maker.problem("\(kind) ties", kind: kind, objective: tied, logits: [0.25, -1, 0.25, 0.25]))
    }
    return problems
  }

  /// Problems with a polynomial of exactly this degree.
  public static func polynomials(degree: Int, kind: RoutingProblem.Kind) throws -> [TestProblem] {
    var maker = ProblemMaker("polynomials of degree \(degree), \(kind)")
    return try (2...5).map { experts in
      let logits = maker.generator.normals(experts)
      let objective = try maker.polynomial(degree: degree, dimension: kind == .mixture ? 2 : experts)
      return try maker.problem(
        "\(kind) of degree \(degree), \(experts) experts", kind: kind, objective: objective, logits: logits,
        mask: kind == .mixture && experts == 4 ? .paper(threshold: 2) : .none)
    }
  }

  private static func make(_ body: (inout ProblemMaker) throws -> [TestProblem]) -> [TestProblem] {
    var maker = ProblemMaker("standard problems")
    do { return try body(&maker) } catch { preconditionFailure("a random problem is not valid: \(error)") }
  }
}

extension RoutedProblem {
  /// The same problem with its experts in another order: expert k is what `order[k]` was.
  func permuted(_ order: [Int]) throws -> RoutedProblem {
    let logits = order.map { problem.logits[$0] }
    switch problem {
    case .categorical(let categorical):
      guard case .objective(let objective) = categorical.source else {
        throw Unavailable("needs an objective")
      }
      return try RoutedProblem(
        .categorical(
          try CategoricalProblem(logits: logits, objective: PermutedObjective(base: objective, order: order)))
      )
    case .mixture(let mixture):
      guard case .loss(let loss) = mixture.source, let rows = mixture.directions?.asRows else {
        throw Unavailable("needs a loss")
      }
      return try RoutedProblem(
        .mixture(
          try MixtureProblem(
            logits: logits, expertOutputs: order.map { rows[$0] },
            standIns: mixture.standInDirections.map { standIns in order.map { standIns.asRows[$0] } },
            loss: loss)), mask: mask)
    }
  }

  /// The same problem with other logits.
  public func with(logits: [Double]) throws -> RoutedProblem {
    switch problem {
    case .categorical(let categorical):
      return try RoutedProblem(
        .categorical(try CategoricalProblem(logits: logits, source: categorical.source)), mask: mask)
    case .mixture(let mixture):
      return try RoutedProblem(
        .mixture(
          try MixtureProblem(
            logits: logits, expertOutputs: mixture.directions?.asRows,
            standIns: mixture.standInDirections?.asRows, source: mixture.source)), mask: mask)
    }
  }
}
