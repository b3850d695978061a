import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// Exact mean and covariance of a foreign implementation, from all of its outcomes, next to the claim's.
///
/// *Numerics*: a coordinate of the mean may differ by ε, an entry of the covariance by `4 s ε`, s the claim's
/// `SampleBounds.scale`: two factors within ε of numbers of at most 2s.
public struct ExactMomentComparison: Sendable {
  /// The foreign moments.
  public var found: Moments
  /// The claim's mean, and its covariance where the claim has one.
  public var expected: Moments
  /// Whether the covariance was compared too.
  package var comparesCovariance: Bool
  /// The largest deviation of a coordinate of the mean.
  public var meanDeviation: Double
  /// The largest deviation of an entry of the covariance; nil if it was not compared.
  public var covarianceDeviation: Double?
  /// What is wrong, if anything is.
  public var counterExample: ForeignCounterExample?

  /// Compares.
  ///
  /// - Parameters:
  ///   - outcomes: all outcomes of the foreign implementation, each of as many coordinates as the claim.
  ///   - claim: the claim.
  ///   - tolerance: ε; probabilities must sum to 1 within `probabilityTolerance`.
  public init(
    of outcomes: [ForeignOutcome], with claim: Claim, tolerance: Double, probabilityTolerance: Double
  ) {
    let n = claim.coordinates
    var total = CompensatedSum()
    for outcome in outcomes { total += outcome.probability }
    found = Moments(of: outcomes, coordinates: n, covariance: true)
    let mean = found.mean
    let covariance = found.covariance ?? Matrix(rows: n, columns: n)
    if let claimed = claim.outcomes {
      expected = claimed.moments(covariance: true)
    } else {
      expected = Moments(mean: claim.mean, variance: claim.deviation?.map { $0 * $0 } ?? [])
    }
    comparesCovariance = expected.covariance != nil

    // What overflows is as far from the claim as can be; NaN would compare as if it were near.
    func difference(_ a: Double, _ b: Double) -> Double {
      let difference = (a - b).magnitude
      return difference.isNaN ? .infinity : difference
    }
    let differences = zip(mean, claim.mean).map(difference)
    meanDeviation = differences.max() ?? 0
    if let ours = expected.covariance {
      covarianceDeviation = zip(covariance.elements, ours.elements).reduce(0) { max($0, difference($1.0, $1.1)) }
    }
    if (total.value - 1).magnitude > probabilityTolerance {
      counterExample = ForeignCounterExample(.probability, found: [total.value], expected: [1])
    } else if let k = differences.firstIndex(where: { !($0 <= tolerance) && $0 == meanDeviation }) {
      counterExample = ForeignCounterExample(.mean, coordinate: k, found: mean, expected: claim.mean)
    } else if let ours = expected.covariance, let deviation = covarianceDeviation,
      !(deviation <= 4 * claim.bounds.scale * tolerance)
    {
      let entry = (0..<n * n).first { difference(covariance.elements[$0], ours.elements[$0]) == deviation } ?? 0
      counterExample = ForeignCounterExample(
        .covariance, coordinate: entry / n, found: Array(covariance.row(entry / n)),
        expected: Array(ours.row(entry / n)))
    }
  }
}
