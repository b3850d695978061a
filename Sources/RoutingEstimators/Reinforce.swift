import RoutingCore

/// REINFORCE, the score-function estimator: `ĝ = (F_D − b)(I_D − π)`, on a mixture plus the gating sample. Unbiased for
/// every function.
///
/// Baselines b:
/// - `none`: 0; `constant`: the parameter `value`;
/// - `uniform-mean`: the mean of F over the experts that may be drawn;
/// - `optimal`: minimises `tr Cov ĝ`: `E[w ‖s‖²]/E‖s‖²` with `s = I_D − π` and w the sample's whole factor (F_D, on a
///   mixture `F_D + c_D`); 0 where that is 0/0;
/// - `leave-one-out`: of K ≥ 2 draws each is held against the mean of the others: the average over pairs of
///   `½ (F_i − F_j)(I_i − I_j)`, on a mixture plus the mean of the two gating samples.
///
/// *Source*: R. J. Williams, Machine Learning 8 (1992); Kool, van Hoof, Welling 2019 (leave-one-out).
public struct Reinforce: FiniteOutcomeEstimator {
  public static let id = "reinforce"
  public static let parameters = [
    ParameterDeclaration(
      "baseline", .word(["none", "constant", "uniform-mean", "optimal", "leave-one-out"]), standard: .word("none")),
    ParameterDeclaration("value", .number, standard: nil),
    ParameterDeclaration("samples", .integer(2...1_000_000), standard: nil),
  ]

  /// What is subtracted from the reward.
  public enum Baseline: Sendable, Equatable {
    /// Nothing.
    case none
    /// A number.
    case constant(Double)
    /// The mean of F over the experts that may be drawn.
    case uniformMean
    /// What minimises the total variance.
    case optimal
    /// The mean reward of the other draws, K in all.
    case leaveOneOut(samples: Int)
  }

  /// b.
  public let baseline: Baseline

  public init(baseline: Baseline = .none) { self.baseline = baseline }

  public init(_ values: ParameterValues) throws(InvalidEstimator) {
    let name = values.word("baseline")
    if name != "constant", values["value"] != nil {
      throw InvalidEstimator("estimator 'reinforce': 'value' goes with baseline=constant, not with baseline=\(name)")
    }
    if name != "leave-one-out", values["samples"] != nil {
      throw InvalidEstimator(
        "estimator 'reinforce': 'samples' goes with baseline=leave-one-out, not with baseline=\(name)")
    }
    switch name {
    case "constant":
      guard values["value"] != nil else {
        throw InvalidEstimator("estimator 'reinforce': baseline=constant needs value=b")
      }
      baseline = .constant(values.number("value"))
    case "uniform-mean": baseline = .uniformMean
    case "optimal": baseline = .optimal
    case "leave-one-out":
      baseline = .leaveOneOut(samples: values["samples"] == nil ? 2 : values.integer("samples"))
    default: baseline = .none
    }
  }

  public var values: ParameterValues {
    switch baseline {
    case .none: ["baseline": .word("none")]
    case .constant(let value): ["baseline": .word("constant"), "value": .number(value)]
    case .uniformMean: ["baseline": .word("uniform-mean")]
    case .optimal: ["baseline": .word("optimal")]
    case .leaveOneOut(let samples): ["baseline": .word("leave-one-out"), "samples": .integer(samples)]
    }
  }

  public var claims: Claims {
    let evaluations: ExpertEvaluations =
      switch baseline {
      case .none, .constant: .constant(1)
      case .uniformMean, .optimal: .everyExpert
      case .leaveOneOut(let samples): .constant(Double(samples))
      }
    var averagedDraws = 1
    if case .leaveOneOut(let samples) = baseline { averagedDraws = samples }
    return Claims(
      kinds: [.categorical, .mixture], target: .expectedLoss, exactness: .all, averagedDraws: averagedDraws,
      expertEvaluations: evaluations,
      source: "Williams, Machine Learning 8 (1992)")
  }

  public var forwardLaw: ForwardLaw { .plainDraw }

  public func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    let distribution = problem.distribution
    let values = try problem.values()
    let gating = try problem.gatingWeights()
    if case .leaveOneOut(let samples) = baseline {
      return OutcomeDistribution(
        PairOutcomes(first: distribution, hasMultiplier: problem.kind == .mixture) { i, _, events in
          for k in events.indices {
            let j = Int(events[k].second)
            let half = 0.5 * (values[i] - values[j])
            events[k].weights = (half + 0.5 * gating[i], -half + 0.5 * gating[j])
          }
        }, samples: samples)
    }
    let b = level(values: values, gating: gating, distribution: distribution)
    return OutcomeDistribution(
      distribution: distribution,
      outcomes: distribution.support.map { i in
        Outcome(
          choice: [i], probability: distribution.probabilities[i], multiplier: problem.multiplier(of: i),
          gradient: .score(weight: (values[i] - b) + gating[i])
        ).rooted(distribution.root(i))
      })
  }

  /// b, for the baselines that are one number.
  private func level(values: [Double], gating: [Double], distribution: RoutingDistribution) -> Double {
    switch baseline {
    case .none, .leaveOneOut: return 0
    case .constant(let value): return value
    case .uniformMean:
      var sum = CompensatedSum()
      for i in distribution.support { sum += values[i] / Double(distribution.support.count) }
      return sum.value
    case .optimal:
      // ‖I_i − π‖² = (1 − π_i)² + Σ_{k≠i} π_k². Centred at the argmax's w, so that b is a mean of differences.
      let p = distribution.probabilities
      let q = distribution.complements
      let centre = values[distribution.argmax] + gating[distribution.argmax]
      if let roots = distribution.roots {
        return centre + distantLevel(values, gating, centre: centre, roots: roots, distribution)
      }
      var weighted = CompensatedSum()
      var total = CompensatedSum()
      for i in distribution.support {
        var squares = q[i] * q[i]
        for k in distribution.support where k != i { squares += p[k] * p[k] }
        weighted += p[i] * squares * ((values[i] + gating[i]) - centre)
        total += p[i] * squares
      }
      return total.value > 0 ? centre + weighted.value / total.value : 0
    }
  }

  /// `b − centre` of the optimal baseline where probabilities are too small to be summed: everything over the square of
  /// the largest root beside that of the argmax.
  private func distantLevel(
    _ values: [Double], _ gating: [Double], centre: Double, roots: [Double], _ distribution: RoutingDistribution
  ) -> Double {
    let top = distribution.argmax
    let unit = distribution.support.reduce(0) { $1 == top ? $0 : max($0, roots[$1]) }
    guard unit > 0 else { return 0 }
    let (p, q) = (distribution.probabilities, distribution.complements)
    let others = distribution.support.filter { $0 != top }
    // Over the unit: 1 − π_*, and the norm of the others.
    let complement = others.reduce(0) { $0 + roots[$1] * (roots[$1] / unit) }
    let rest = others.reduce(0) { $0 + (p[$1] * (roots[$1] / unit)) * roots[$1] }
    var weighted = CompensatedSum()
    var total = CompensatedSum()
    for i in distribution.support {
      var share = 0.0
      if i == top {
        share = p[top] * (complement * complement + rest / unit)
      } else {
        var squares = q[i] * q[i]
        for k in distribution.support where k != i { squares += p[k] * p[k] }
        share = (roots[i] / unit) * (roots[i] / unit) * squares
      }
      weighted += share * ((values[i] + gating[i]) - centre)
      total += share
    }
    return total.value > 0 ? weighted.value / total.value : 0
  }
}
