import RoutingCore

/// What experts, scale and the rest of a network see of an estimator: which experts a token goes to, what their outputs
/// are multiplied by on the way forward, and what the gradients that go back to them are multiplied by.
///
/// Estimators that differ in the router's gradient alone share it. With π the routing distribution and π' that of a second
/// draw given the first (`PairDistribution`):
public enum ForwardLaw: Sendable, Hashable {
  /// Expert D ~ π, its output multiplied by `π_D c`, c a coin that may depend on whether D is the most probable expert.
  case draw(argmax: [Side], others: [Side])
  /// D ~ π, its output multiplied by `π_D`; back goes `π_i` to every expert i.
  case denseBackward
  /// The expectation over the draws themselves, one or two of them: no outcome, hence no variance.
  case expectation(draws: Int)
  /// All experts at once, each multiplied by its π.
  case denseMixture
  /// The k experts of the largest logits, each multiplied by its π, and for the others stand-ins by theirs; one outcome.
  case standIns(chosen: Int)
  /// Experts i ~ π and j ~ π'(i), multiplied by `π_i c` and `π'_j c'`, a coin for each.
  case pair(argmax: [Side], others: [Side])
  /// A subset of experts drawn by this law, each expert's output multiplied by its π.
  case subsets(SubsetLaw)
  /// The expectation over such draws.
  case expectationOfSubsets(SubsetLaw)
  /// No law in closed form: what the outcomes of the estimator with this specification say.
  case outcomes(of: String)

  /// A side of a coin.
  public struct Side: Sendable, Hashable {
    /// The probability given the expert.
    public var probability: Double
    /// What the expert's probability is multiplied by.
    public var output: Double

    /// One side; without arguments that of no coin at all.
    public init(probability: Double = 1, output: Double = 1) {
      self.probability = probability
      self.output = output
    }
  }

  /// D ~ π, its output multiplied by `π_D`.
  public static let plainDraw = ForwardLaw.draw(argmax: [Side()], others: [Side()])
}

extension FiniteOutcomeEstimator {
  public var forwardLaw: ForwardLaw { .outcomes(of: specification) }
}

extension RayEstimator {
  public var forwardLaw: ForwardLaw {
    func sides(_ sides: [RayRule.Side]) -> [ForwardLaw.Side] {
      sides.map { ForwardLaw.Side(probability: $0.probability, output: $0.output) }
    }
    return .draw(argmax: sides(rule.argmax), others: sides(rule.others))
  }
}
