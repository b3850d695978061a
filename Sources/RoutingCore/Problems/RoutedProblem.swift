/// A problem together with the distribution from which its expert is drawn: all that an estimator is given.
///
/// The evaluations that estimators ask for live here, so that every estimator, target and check reads the same numbers.
/// What a tabulated loss does not hold is refused with ``Unavailable``, which says what was needed.
public struct RoutedProblem: Sendable {
  /// The problem.
  public let problem: RoutingProblem
  /// The mask.
  public let mask: Mask
  /// `π` over the experts that the mask keeps.
  public let distribution: RoutingDistribution

  /// Routes a problem by the softmax over the experts that `mask` keeps.
  ///
  /// - Throws: `InvalidInput` if the problem does not take this mask: a categorical problem takes none, and a tabulated
  ///   one only its own.
  public init(_ problem: RoutingProblem, mask: Mask = .none) throws(InvalidInput) {
    if problem.kind == .categorical, mask != .none {
      throw InvalidInput("mask", "a categorical problem takes no mask, got \(mask.rule)")
    }
    if let fixed = problem.fixedMask, fixed != mask {
      throw InvalidInput("mask", "the loss was tabulated under the mask \(fixed), got \(mask)")
    }
    self.problem = problem
    self.mask = mask
    self.distribution = RoutingDistribution(logits: problem.logits, mask: mask)
  }

  /// The problem's kind.
  public var kind: RoutingProblem.Kind { problem.kind }

  /// The number of experts.
  public var experts: Int { problem.logits.count }

  /// The mixture problem, for estimators that are defined on nothing else.
  ///
  /// - Throws: ``Unavailable`` on a categorical problem.
  public func mixture() throws(Unavailable) -> MixtureProblem {
    guard case .mixture(let mixture) = problem else { throw Unavailable("needs a mixture problem") }
    return mixture
  }

  /// The mixture problem's loss and directions, for what a table cannot answer.
  ///
  /// - Throws: ``Unavailable`` on a categorical problem and with a tabulated loss.
  public func computableMixture() throws(Unavailable) -> (
    problem: MixtureProblem, loss: any Objective, directions: Matrix
  ) {
    let mixture = try mixture()
    guard case .loss(let loss) = mixture.source, let directions = mixture.directions else {
      throw Unavailable("needs the loss as a function, which a table is not")
    }
    return (mixture, loss, directions)
  }
}

/// Why an estimator or a target does not exist for a problem: an expected outcome, not a failure.
public struct Unavailable: Error, Sendable, Equatable, CustomStringConvertible {
  /// What was needed, for example `needs the slope at 0.5`.
  public let reason: String

  /// Says what was needed.
  public init(_ reason: String) { self.reason = reason }

  public var description: String { reason }
}

// MARK: - Evaluations

extension RoutedProblem {
  /// Values and slopes of a mixture along the rays `c π_i f_i`: values at c = 1, slopes `G'(c π_i f_i)·f_i` at `nodes`.
  ///
  /// - Throws: ``Unavailable`` on a categorical problem, or where a table lacks a node.
  public func rays(nodes: [Double]) throws(Unavailable) -> RaySamples {
    let mixture = try mixture()
    switch mixture.source {
    case .loss(let loss):
      guard let directions = mixture.directions else { preconditionFailure("a computed loss has directions") }
      let bundle = RayBundle(
        directions: directions.elements, multipliers: distribution.probabilities, nodes: nodes)
      var samples = loss.rays(bundle)
      distribution.refine(&samples, of: loss, along: bundle)
      return samples
    case .table(let table):
      guard let end = table.index(of: 1) else { throw Unavailable("needs the value at 1") }
      var slopes = [Double]()
      for node in nodes {
        guard let k = table.index(of: node) else {
          throw Unavailable("needs the slope at \(Figures.short(node, digits: 6))")
        }
        slopes += table.slopes.map { $0[k] }
      }
      return RaySamples(values: table.values.map { $0[end] }, slopes: slopes)
    }
  }

  /// `F_i`: what the loss is if expert i is drawn, `[experts]`; `f(I_i)` or `G(π_i f_i)`.
  public func values() throws(Unavailable) -> [Double] {
    switch problem {
    case .categorical(let categorical):
      switch categorical.source {
      case .objective(let objective): return (0..<experts).map { objective.value(at: oneHot($0)) }
      case .table(let values, _): return values
      }
    case .mixture: return try rays(nodes: []).values
    }
  }

  /// `c_i = π_i G'(π_i f_i)·f_i`, `[experts]`: given expert i, the gating sample is `c_i (I_i − π)`, and its mean is `∇₁`.
  /// Zero on a categorical problem, whose objective has no multiplier.
  public func gatingWeights() throws(Unavailable) -> [Double] {
    guard case .mixture = problem else { return [Double](repeating: 0, count: experts) }
    return try rays(nodes: [1]).slopes.enumerated().map { distribution.share($0.offset, of: $0.element) }
  }

  /// `∂F/∂D` at `D = I_i`, `[experts]`: `∇f(I_i)`, or on a mixture, where `F(D) = G(Σ_j D_j π_j f_j)`,
  /// `[G'(π_i f_i)·π_j f_j]_j`.
  public func choiceGradient(at i: Int) throws(Unavailable) -> [Double] {
    switch problem {
    case .categorical(let categorical):
      switch categorical.source {
      case .objective(let objective): return objective.gradient(at: oneHot(i))
      case .table(_, let gradients): return gradients[i]
      }
    case .mixture:
      return try denseSlopes(at: i).enumerated().map { distribution.share($0.offset, of: $0.element) }
    }
  }

  /// `[G'(π_i f_i)·f_j]_j`, `[experts]`: the loss's slope along every expert's output when expert i was drawn.
  public func denseSlopes(at i: Int) throws(Unavailable) -> [Double] {
    let (_, loss, directions) = try computableMixture()
    let gradient = loss.gradient(at: distribution.share(i, of: directions.row(i)))
    return (0..<experts).map { dot(gradient, directions.row($0)) }
  }

  /// `∇ = ∇₀ + ∇₁ = J(π) [F_i + c_i]_i`, the exact gradient of the expected loss, `[experts]`.
  public func expectedLossGradient() throws(Unavailable) -> [Double] {
    distribution.jacobianProduct(zip(try values(), try gatingWeights()).map { $0 + $1 })
  }

  private func oneHot(_ i: Int) -> [Double] {
    var point = [Double](repeating: 0, count: experts)
    point[i] = 1
    return point
  }
}

extension RoutingDistribution {
  /// Evaluates again the rays of experts whose π has lost digits, or is none, while `π_i r_i` is a number.
  package func refine(_ samples: inout RaySamples, of loss: some Objective, along bundle: RayBundle) {
    guard roots != nil else { return }
    for i in support where probabilities[i] < Self.smallestPlain {
      let direction = bundle.directions[i * loss.dimension..<(i + 1) * loss.dimension]
      samples.values[i] = loss.value(at: direction.map { share(i, of: $0) })
      for (k, node) in bundle.nodes.enumerated() {
        let gradient = loss.gradient(at: direction.map { share(i, of: node * $0) })
        samples.slopes[k * bundle.experts + i] = dot(gradient, direction)
      }
    }
  }
}
