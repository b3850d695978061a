import RouterSpecifications
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// Evidence without sampling that an estimator has the degree of exactness it claims: on random polynomials of degree r its
/// exact mean equals its target, on random polynomials of degree r + 1 it does not.
///
/// A factor 2 or ⅓, a wrong node, a lost mask or argmax each change the degree, or leave none.
///
/// *Numerics*: rays are scaled so that `v·(π_i f_i)` is between ½ and 1½ in size and all degrees weigh alike. Rounding stays
/// below ``tolerance``; Gauss–Legendre with n = 8 points fails at degree 17 by some 10⁻¹⁰, and beyond n = 8 the failure
/// drowns.
public struct OrderCertificate: Sendable, CustomStringConvertible {
  /// The estimator's specification.
  public var estimator: String
  /// r.
  public var degree: Int
  /// The largest bias on a polynomial of degree r, relative to the largest gradient of an outcome.
  public var largestBiasBelow: Double
  /// The median of the bias on polynomials of degree r + 1, likewise.
  public var medianBiasAbove: Double
  /// How many polynomials of either degree.
  public var problems: Int
  /// The seed.
  public var seed: UInt64
  /// Where the mean is not the target at degree r.
  public var counterExample: RoutedProblem?

  /// A bias below this is rounding.
  public static let tolerance = 1e-12

  /// Proved where both halves hold; else refuted.
  public var verdict: Verdict {
    largestBiasBelow <= Self.tolerance && medianBiasAbove > Self.tolerance ? .proved : .refuted
  }

  public var description: String {
    "\(estimator): bias \(Words.number(largestBiasBelow)) on \(problems) polynomials of degree \(degree), "
      + "\(Words.number(medianBiasAbove)) (median) on those of degree \(degree + 1): \(verdict.rawValue)"
  }

  /// Certifies an estimator.
  ///
  /// - Parameters:
  ///   - estimator: the estimator.
  ///   - degree: r ≥ 1; what the estimator claims, if nil.
  ///   - problems: how many polynomials of either degree, for each kind of problem.
  /// - Throws: `Unavailable` if no degree is claimed, or the estimator is not defined on such problems.
  public init(
    of estimator: any FiniteOutcomeEstimator, degree claimed: Int? = nil, problems: Int = 16,
    seed: UInt64 = PropertyCheck.environmentSeed
  ) throws(Unavailable) {
    precondition(problems > 0 && claimed ?? 1 >= 1, "a certificate needs polynomials of degree 1 at least")
    guard let degree = claimed ?? estimator.claims.exactness.degree else {
      throw Unavailable("claims no degree of exactness")
    }
    self.estimator = estimator.specification
    self.degree = degree
    self.seed = seed
    self.problems = problems * estimator.claims.kinds.count
    largestBiasBelow = 0
    var above: [Double] = []
    for (place, kind) in estimator.claims.kinds.enumerated() {
      for number in 0..<problems {
        var generator = Philox(seed: seed, stream: UInt64(place * problems + number))
        let low = Self.problem(kind, degree: degree, using: &generator)
        let bias = try Self.relativeBias(of: estimator, on: low)
        if bias > largestBiasBelow {
          largestBiasBelow = bias
          counterExample = bias > Self.tolerance ? low : nil
        }
        let high = Self.problem(kind, degree: degree + 1, using: &generator)
        above.append(try Self.relativeBias(of: estimator, on: high))
      }
    }
    medianBiasAbove = above.sorted()[above.count / 2]
  }

  /// `‖E ĝ − ∇‖∞` over the largest coordinate of any outcome's gradient.
  private static func relativeBias(
    of estimator: any FiniteOutcomeEstimator, on problem: RoutedProblem
  ) throws(Unavailable) -> Double {
    let target = try estimator.claims.target.gradient(of: problem, as: estimator.claims)
    let outcomes = try estimator.outcomes(of: problem)
    let mean = outcomes.moments().mean
    var scale = target.reduce(Double.leastNormalMagnitude) { max($0, $1.magnitude) }
    for outcome in outcomes.outcomes {
      for value in outcomes.gradient(of: outcome) { scale = max(scale, value.magnitude) }
    }
    return zip(mean, target).reduce(0) { max($0, ($1.0 - $1.1).magnitude) } / scale
  }

  /// A random problem whose objective is a polynomial of exactly this degree.
  private static func problem(
    _ kind: RoutingProblem.Kind, degree: Int, using generator: inout Philox
  ) -> RoutedProblem {
    func real(_ low: Double, _ high: Double) -> Double {
      let value = low + (high - low) * generator.nextOpenUnit()
      return generator.next() & 1 == 0 ? value : -value
    }
    let experts = 3 + Int(generator.next() % 4)
    let logits = (0..<experts).map { _ in real(0, 1.5) }
    var coefficients = (0..<degree).map { _ in real(0, 1) }
    coefficients.append(real(0.5, 1))
    do throws(InvalidInput) {
      switch kind {
      case .categorical:
        let direction = (0..<experts).map { _ in real(0.5, 1.5) }
        return try RoutedProblem(
          .categorical(
            CategoricalProblem(
              logits: logits, objective: Polynomial(coefficients: coefficients, direction: direction))))
      case .mixture:
        let p = RoutingDistribution(logits: logits).probabilities
        let direction = [1, 0.5]
        // f = (t/π − ½w, w): its product with the direction is t/π.
        let outputs = p.map { share in
          let other = real(0, 1)
          return [real(0.5, 1.5) / share - 0.5 * other, other]
        }
        return try RoutedProblem(
          .mixture(
            MixtureProblem(
              logits: logits, expertOutputs: outputs,
              loss: Polynomial(coefficients: coefficients, direction: direction))))
      }
    } catch {
      preconditionFailure("a generated polynomial is not valid: \(error)")
    }
  }
}

extension Exactness {
  /// The degree claimed, if it is one.
  var degree: Int? { if case .degree(let degree) = self { degree } else { nil } }
}
