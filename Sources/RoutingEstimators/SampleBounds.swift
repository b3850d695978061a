import RoutingCore

/// What a gradient sample lies between, coordinate by coordinate.
///
/// Part of what is claimed: a sample outside is a refutation by itself, and every statement about means of samples is made
/// for samples inside. Nothing can be said about a mean without such bounds, because an outlier that no one has met yet
/// could move it anywhere.
public struct SampleBounds: Sendable, Equatable {
  /// The smallest value of each coordinate, `[experts]`.
  public var lower: [Double]
  /// The largest value of each coordinate, `[experts]`.
  public var upper: [Double]

  /// States bounds.
  ///
  /// - Precondition: as many lower bounds as upper, finite, none above its upper bound.
  public init(lower: [Double], upper: [Double]) {
    precondition(lower.count == upper.count, "\(lower.count) lower bounds against \(upper.count) upper")
    for (low, high) in zip(lower, upper) {
      precondition(low <= high && (high - low).isFinite, "bounds are finite and in order, got \(low), \(high)")
    }
    self.init(unchecked: lower, upper)
  }

  /// Bounds that may be infinite; claims refuse them.
  private init(unchecked lower: [Double], _ upper: [Double]) {
    self.lower = lower
    self.upper = upper
  }

  /// The same bounds for every coordinate.
  public init(_ range: ClosedRange<Double>, coordinates: Int) {
    self.init(
      lower: [Double](repeating: range.lowerBound, count: coordinates),
      upper: [Double](repeating: range.upperBound, count: coordinates))
  }

  /// The widest coordinate's width.
  package var largestRange: Double { zip(lower, upper).reduce(0) { max($0, $1.1 - $1.0) } }

  /// The largest magnitude within the bounds: what rounding errors of samples are in proportion to.
  package var scale: Double { zip(lower, upper).reduce(0) { max($0, $1.0.magnitude, $1.1.magnitude) } }

  /// The same bounds, moved apart where needed to hold a vector.
  package func including(_ point: [Double]) -> SampleBounds {
    SampleBounds(lower: zip(lower, point).map(min), upper: zip(upper, point).map(max))
  }
}

extension SampleBounds {
  /// The bounds of an estimator's samples, from its list: the smallest and the largest value of each coordinate among
  /// outcomes of positive probability.
  ///
  /// For an average over pairs of draws the pairs' bounds are taken, between which their averages lie.
  ///
  /// - Complexity: O(outcomes · experts).
  public init(of outcomes: OutcomeDistribution) {
    var lower = [Double](repeating: .infinity, count: outcomes.experts)
    var upper = [Double](repeating: -.infinity, count: outcomes.experts)
    for place in outcomes.outcomes.indices where outcomes.outcomes.law(at: place).probability > 0 {
      for (k, value) in outcomes.gradient(at: place).enumerated() {
        lower[k] = value.isNaN ? -.infinity : min(lower[k], value)
        upper[k] = value.isNaN ? .infinity : max(upper[k], value)
      }
    }
    self.init(unchecked: lower, upper)
  }

  /// The bounds of straight-through Gumbel-softmax samples, and of Gumbel-Rao's, which are averages of them.
  ///
  /// - Throws: `Unavailable` where the problem cannot give u.
  package init(
    of estimator: some StraightThroughGumbel, on problem: RoutedProblem
  ) throws(Unavailable) {
    let backward = try GumbelBackward(problem: problem, temperature: estimator.temperature)
    try self.init(of: backward, weight: 1, fixed: backward.gatingSamples)
  }

  /// The bounds of samples that are, given D = i, `(w/τ) J(p) u_i` and a fixed vector, whatever p is.
  ///
  /// The first part has the coordinates `(w/τ) p_j Σ_k p_k (u_ij − u_ik)`. As `p_j Σ_{k≠j} p_k ≤ ¼`, they lie between
  /// `−¼ w max_k (u_ik − u_ij)⁺/τ` and `¼ w max_k (u_ij − u_ik)⁺/τ`.
  ///
  /// - Parameters:
  ///   - weight: w > 0.
  ///   - fixed: for each i of the support.
  init(of backward: GumbelBackward, weight: Double, fixed: [[Double]]) throws(Unavailable) {
    let distribution = backward.distribution
    var lower = [Double](repeating: .infinity, count: distribution.experts)
    var upper = [Double](repeating: -.infinity, count: distribution.experts)
    for i in distribution.support {
      let u = backward.gradients[i]
      let kept = distribution.support.map { u[$0] }
      guard let low = kept.min(), let high = kept.max() else { continue }
      for k in 0..<distribution.experts {
        guard distribution.probabilities[k] > 0 else {
          (lower[k], upper[k]) = (min(lower[k], 0), max(upper[k], 0))
          continue
        }
        lower[k] = min(lower[k], fixed[i][k] - weight * (high - u[k]) / (4 * backward.temperature))
        upper[k] = max(upper[k], fixed[i][k] + weight * (u[k] - low) / (4 * backward.temperature))
      }
    }
    guard zip(lower, upper).allSatisfy({ ($1 - $0).isFinite }) else {
      throw Unavailable("has samples whose bounds overflow Float64")
    }
    self.init(lower: lower, upper: upper)
  }
}
