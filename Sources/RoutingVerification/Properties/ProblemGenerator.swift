import RoutingCore

/// Random problems for property-based tests: both kinds, every objective, masks, and logits with ties, extremes and
/// experts at the very edge of a mask.
///
/// Every list of choices gives a valid problem, and simpler choices give simpler problems: fewer experts, whole numbers, a
/// linear loss, no mask.
public struct ProblemGenerator: Sendable {
  /// The kinds of problem, the simplest first.
  public var kinds: [RoutingProblem.Kind]
  /// The number of experts.
  public var experts: ClosedRange<Int>
  /// The width of expert outputs on mixtures.
  public var width: ClosedRange<Int>
  /// The objectives and losses, the simplest first.
  public var objectives: [ObjectiveKind]
  /// The logits, the simplest first.
  public var logits: [LogitPattern]
  /// Whether mixtures may have a mask.
  public var masks: Bool

  /// The types of objective.
  public enum ObjectiveKind: String, Sendable, CaseIterable {
    case linear, quadratic, polynomial, logCosh, separablePower, softmaxCrossEntropy
  }

  /// How logits are made.
  public enum LogitPattern: String, Sendable, CaseIterable {
    /// Of moderate size.
    case ordinary
    /// Few values, so that some are equal.
    case ties
    /// Of sizes up to 10⁴, where softmax is 0 or 1.
    case extremes
    /// At the edge of the mask, one unit of rounding on either side.
    case nearMask
  }

  /// A generator of problems of all sorts, unless told otherwise.
  ///
  /// - Precondition: no list is empty, and there is at least one expert.
  public init(
    kinds: [RoutingProblem.Kind] = [.mixture, .categorical], experts: ClosedRange<Int> = 2...6,
    width: ClosedRange<Int> = 1...3, objectives: [ObjectiveKind] = ObjectiveKind.allCases,
    logits: [LogitPattern] = LogitPattern.allCases, masks: Bool = true
  ) {
    precondition(!kinds.isEmpty && !objectives.isEmpty && !logits.isEmpty, "a generator needs something to choose from")
    precondition(experts.lowerBound >= 1 && width.lowerBound >= 1, "a problem has an expert, an output a width")
    self.kinds = kinds
    self.experts = experts
    self.width = width
    self.objectives = objectives
    self.logits = logits
    self.masks = masks
  }

  /// The problem that a source's choices make.
  package func problem(from source: inout DrawSource) -> RoutedProblem {
    let kind = source.element(of: kinds)
    let count = source.integer(in: experts)
    let mask = kind == .mixture && masks ? self.mask(&source) : .none
    let width = kind == .mixture ? source.integer(in: width) : 0
    let logit = logits(mask, &source)
    // An expert's numbers stand together, so that shrinking can take it away.
    var logits: [Double] = []
    var outputs: [[Double]] = []
    for _ in 0..<count {
      logits.append(logit(logits.isEmpty, &source))
      outputs.append(source.reals(width))
    }
    do throws(InvalidInput) {
      switch kind {
      case .categorical:
        let objective = try objective(dimension: count, &source)
        return try RoutedProblem(.categorical(CategoricalProblem(logits: logits, objective: objective)))
      case .mixture:
        let loss = try objective(dimension: width, &source)
        return try RoutedProblem(
          .mixture(MixtureProblem(logits: logits, expertOutputs: outputs, loss: loss)), mask: mask)
      }
    } catch {
      preconditionFailure("a generated problem is not valid: \(error)")
    }
  }

  private func mask(_ source: inout DrawSource) -> Mask {
    let rule = source.choose(upTo: 3)
    guard rule > 1 else { return .none }
    let threshold = source.element(of: [1, 0.5, 0.1, 0.01, 0])
    return rule == 2 ? .paper(threshold: threshold) : .referenceCode(threshold: threshold)
  }

  /// How the logit of an expert, the first or another, is drawn.
  private func logits(
    _ mask: Mask, _ source: inout DrawSource
  ) -> (_ isFirst: Bool, _ source: inout DrawSource) -> Double {
    switch source.element(of: logits) {
    case .ordinary: return { _, source in source.real() }
    case .ties:
      let values = source.reals(2)
      return { _, source in source.element(of: values) }
    case .extremes:
      return { _, source in source.element(of: [0, 40, -40, 700, -700, 1e4, -1e4, 1e-300]) }
    case .nearMask:
      let top = source.element(of: [1.0, 2, -1, 3.25])
      let r = mask.threshold ?? Mask.defaultThreshold
      // θ with top − θ = r(|top| + |θ|), for θ and top of one sign; the reference code's edge is at twice r|θ| or r·top.
      let edges = [top, top > 0 ? top * (1 - r) / (1 + r) : top * (1 + r) / (1 - min(r, 0.99)), top * (1 - 2 * r)]
      return { isFirst, source in
        guard !isFirst else { return top }
        let edge = source.element(of: edges)
        return min(source.element(of: [edge, edge.nextUp, edge.nextDown, edge - 0.25]), top)
      }
    }
  }

  private func objective(
    dimension: Int, _ source: inout DrawSource
  ) throws(InvalidInput) -> any Objective {
    switch source.element(of: objectives) {
    case .linear: return try Linear(coefficients: source.reals(dimension))
    case .quadratic:
      var matrix = (0..<dimension).map { _ in source.reals(dimension) }
      for i in 0..<dimension { for j in 0..<i { matrix[i][j] = matrix[j][i] } }
      return try Quadratic(matrix: matrix, linear: source.reals(dimension))
    case .polynomial:
      let degree = source.integer(in: 0...4)
      return try Polynomial(coefficients: source.reals(degree + 1), direction: source.reals(dimension))
    case .logCosh: return try LogCosh(scales: source.reals(dimension), targets: source.reals(dimension))
    case .separablePower:
      return try SeparablePower(
        exponent: source.element(of: [2, 3, 1.5, 2.5]), targets: source.reals(dimension),
        weights: source.reals(dimension))
    case .softmaxCrossEntropy:
      let classes = source.integer(in: 2...4)
      return try SoftmaxCrossEntropy(
        weights: (0..<classes).map { _ in source.reals(dimension) }, biases: source.reals(classes),
        label: source.integer(in: 0...classes - 1))
    }
  }
}
