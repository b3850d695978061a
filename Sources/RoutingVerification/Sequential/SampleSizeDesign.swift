import CStandardLibrary
import GSLNumerics

/// How many samples a bias needs to be found, and how small a bias so many samples find.
///
/// With `g = δ − ε`, σ the largest standard deviation of a coordinate, R the largest range and
/// `ℓ = log(4N/(αw))`,
/// ```
/// n_refute     = (σ/g)² (z_{β/2} + √(z_{β/2}² + 2ℓ))² + 4 (R/g) ℓ,
/// n_consistent = (σ/g)² (z_{β/2N} + √(z_{β/2N}² + 2ℓ'))² + 4 (R/g) ℓ',   ℓ' = log(2/β),
/// ```
/// and both are needed. Where the first line comes from: a bet of `λ = g/σ²` against a bias of g grows the logarithm of the
/// capital by `½ (g/σ)²` a sample, with a standard deviation of `g/σ`; after n samples it exceeds ℓ with a probability of
/// 1 − β/2 if `u²/2 − z_{β/2} u ≥ ℓ`, `u = √n g/σ`. (The bare `2ℓ (σ/g)²` has a power of one half.) The other half of β is that
/// of passing before. The logarithm holds the average
/// over N coordinates, two signs and two kinds of bet, and the share w of the evidence that rests on the gradient. The second
/// term is for bets that the range limits: a bet of `1/(2R)` earns at least `g/(4R)` where `σ² ≤ 2 R g`.
/// Being found consistent takes two one-sided tests of every coordinate, hence `z_{β/2N}`.
///
/// It is a normal approximation, not a theorem; `routegrad-bench verifier-rates` measures the power that it promises.
public struct SampleSizeDesign: Sendable, Equatable {
  /// N.
  public var coordinates: Int
  /// σ.
  public var deviation: Double
  /// R.
  public var range: Double
  /// ε.
  public var tolerance: Double
  /// α and β.
  public var rates: ErrorRates
  /// w: 1 where the gradient is all the evidence, ½ where choice frequencies are tested too.
  public var share: Double

  /// c of the second term.
  static let rangeFactor = 4.0

  /// Describes samples.
  ///
  /// - Precondition: N ≥ 1; σ, R and ε finite and not negative; w in (0, 1].
  public init(
    coordinates: Int, deviation: Double, range: Double, tolerance: Double = 0, rates: ErrorRates = ErrorRates(),
    share: Double = 1
  ) {
    precondition(coordinates >= 1, "samples have at least one coordinate, got \(coordinates)")
    for number in [deviation, range, tolerance] {
      precondition(number >= 0 && number.isFinite, "spreads and tolerances are finite and ≥ 0, got \(number)")
    }
    precondition(share > 0 && share <= 1, "a share lies between 0 and 1, got \(share)")
    self.coordinates = coordinates
    self.deviation = deviation
    self.range = range
    self.tolerance = tolerance
    self.rates = rates
    self.share = share
  }

  /// ℓ.
  var refutationDepth: Double { log(4 * Double(coordinates) / (rates.falseFail * share)) }
  /// ℓ'.
  var consistencyDepth: Double { log(2 / rates.falsePass) }

  /// The two demands as `(σ/g)² a + (R/g) b`, their a and b.
  private var demands: [(quadratic: Double, linear: Double)] {
    func demand(_ depth: Double, missing: Double) -> (Double, Double) {
      // Φ⁻¹(1 − p) from the end where p is exact; 1 − p is 1 for rates below 1e-16.
      let z = max(-standardNormalQuantile(missing), 0)
      let root = z + (z * z + 2 * depth).squareRoot()
      return (root * root, Self.rangeFactor * depth)
    }
    return [
      demand(refutationDepth, missing: rates.falsePass / 2),
      demand(consistencyDepth, missing: rates.falsePass / Double(2 * coordinates)),
    ]
  }

  /// The samples after which a bias of `bias` in a coordinate is refuted, and the absence of any found consistent with
  /// `bias`, each with a probability of at least 1 − β.
  ///
  /// - Returns: at least 1; `Int.max` if that many are too many for Int.
  /// - Precondition: `bias > ε`.
  public func requiredSamples(toDetect bias: Double) -> Int {
    precondition(bias > tolerance, "a bias to detect exceeds the tolerance \(tolerance), got \(bias)")
    let gap = bias - tolerance
    let needed = demands.map { demand in
      demand.quadratic * (deviation / gap) * (deviation / gap) + demand.linear * (range / gap)
    }.max()
    return Int(exactly: max(needed ?? 1, 1).rounded(.up)) ?? .max
  }

  /// The smallest bias that so many samples find: ``requiredSamples(toDetect:)`` turned round.
  ///
  /// - Precondition: at least one sample.
  public func detectableBias(samples: Int) -> Double {
    precondition(samples >= 1, "a bias is found by at least one sample, got \(samples)")
    let n = Double(samples)
    // n g² = a σ² + b R g.
    let gaps = demands.map { demand in
      let linear = demand.linear * range
      return (linear + (linear * linear + 4 * n * demand.quadratic * deviation * deviation).squareRoot()) / (2 * n)
    }
    return tolerance + (gaps.max() ?? 0)
  }
}
