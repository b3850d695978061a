import CStandardLibrary
import RoutingCore

/// Top-1 routing with multiplicative jitter, as Switch Transformers train it: the expert with the largest
/// jittered logit is chosen, and what reaches the router is the gradient through its multiplier alone, the
/// jitter held.
///
/// With `u_k ~ U[1−r, 1+r]` independent, `x = θ ∘ u`, `D = argmax_i x_i`, `p = softmax(x)` and the
/// multiplier `m = p_D`,
/// ```
/// ĝ_k = (G'(m f_D)·f_D) m (I_D − p)_k u_k.
/// ```
/// The logits enter by `θ_k u_k`, so the sum that vanishes is `Σ_k ĝ_k/u_k`. Its own expected loss is
/// `L(θ) = E[G(softmax(θ∘u)_D f_D)]`, whose gradient has a second part, from the moving boundaries of the
/// argmax, which this estimator leaves out (`JitterExpectation` computes both).
///
/// `kind=input` jitters the router's input instead, as Hugging Face's Switch does: `x = W (h∘u) + b`, `D` and the
/// multiplier from that x, and ĝ = ∂m/∂x, the gradient of the router's bias, whose outer product with `h∘u` is that of its
/// weights: `Σ_k ĝ_k = 0`. The problem must hold the router.
///
/// With a mask, argmax and softmax run over the experts that it keeps, as decided on θ.
///
/// *Edge cases*: ties go to the lowest index. Experts with a zero logit are not jittered. `r = 0` is the
/// deterministic argmax. A product θu beyond Float64 counts as its largest number.
///
/// *Source*: arXiv 2101.03961 (Switch), section 2.2 and appendix; arXiv 2310.00811 for the jitter on logits.
public struct Switch: SamplingEstimator {
  public static let id = "switch"
  public static let parameters = [
    ParameterDeclaration("r", .number(0..<1), standard: .number(0.1)),
    ParameterDeclaration("kind", .word(Kind.allCases.map(\.rawValue)), standard: .word(Kind.logit.rawValue)),
  ]

  /// What is jittered.
  public enum Kind: String, Sendable, CaseIterable {
    /// The logits.
    case logit
    /// The router's input.
    case input
  }

  /// r.
  public let jitter: Double
  /// What is jittered.
  public let kind: Kind

  /// - Precondition: 0 ≤ `jitter` < 1.
  public init(jitter: Double = 0.1, kind: Kind = .logit) {
    precondition(jitter >= 0 && jitter < 1, "a jitter is in [0, 1), got \(jitter)")
    self.jitter = jitter
    self.kind = kind
  }

  public init(_ values: ParameterValues) throws(InvalidEstimator) {
    self.init(jitter: values.number("r"), kind: Kind(rawValue: values.word("kind")) ?? .logit)
  }

  public var values: ParameterValues { ["r": .number(jitter), "kind": .word(kind.rawValue)] }

  public var claims: Claims {
    Claims(
      kinds: [.mixture], target: .expectedLoss, exactness: .none, expertEvaluations: .constant(1),
      source: "arXiv 2101.03961")
  }

  /// Prepares to sample.
  ///
  /// - Throws: ``Unavailable`` on a categorical problem, with a tabulated loss, and for `kind=input` where the
  ///   problem does not hold the router.
  public func sampler(on problem: RoutedProblem) throws(Unavailable) -> Sampler {
    let (mixture, _, _) = try problem.computableMixture()
    var router: RouterInput?
    if kind == .input {
      guard mixture.router != nil else { throw Unavailable("needs the router and its input") }
      router = mixture.router
    }
    return Sampler(
      jitter: jitter, logits: mixture.logits, router: router, backward: try SwitchBackward(problem: problem))
  }

  /// Draws samples on one problem.
  public struct Sampler: GradientSampler {
    let jitter: Double
    let logits: [Double]
    /// The router, where it is its input that is jittered.
    package let router: RouterInput?
    package let backward: SwitchBackward

    public func sample(using generator: inout some RandomNumberGenerator) -> [Double] {
      draw(using: &generator).gradient
    }

    /// One run with everything that was drawn: `choice` D, `factors` u (of the logits, or of the router's input) and
    /// `gradient` ĝ, `[experts]`.
    package func draw(
      using generator: inout some RandomNumberGenerator
    ) -> (choice: Int, factors: [Double], gradient: [Double]) {
      if let router {
        let factors = router.input.map { _ in generator.nextJitter(jitter) }
        let (choice, sample) = backward.sample(logits: router.logits(factors: factors))
        return (choice, factors, sample)
      }
      var factors = [Double](repeating: 1, count: logits.count)
      for k in backward.support { factors[k] = generator.nextJitter(jitter) }
      let jittered = zip(logits, factors).map {
        max(min($0 * $1, .greatestFiniteMagnitude), -.greatestFiniteMagnitude)
      }
      let (choice, sample) = backward.sample(logits: jittered)
      return (choice, factors, zip(sample, factors).map { $0 * $1 })
    }
  }
}

/// The backward pass of Switch: the gradient through the multiplier of the largest logit.
package struct SwitchBackward: Sendable {
  package let support: [Int]
  package let loss: any Objective
  package let directions: Matrix

  package init(problem: RoutedProblem) throws(Unavailable) {
    (_, loss, directions) = try problem.computableMixture()
    support = problem.distribution.support
  }

  /// D and `(G'(m f_D)·f_D) m (I_D − p)`, p the softmax of the logits over the support.
  ///
  /// *Numerics*: `1 − p_D` is the sum of the others.
  package func sample(logits: [Double]) -> (choice: Int, gradient: [Double]) {
    var choice = support[0]
    for k in support where logits[k] > logits[choice] { choice = k }
    var p = [Double](repeating: 0, count: logits.count)
    var others = 0.0
    for k in support where k != choice {
      p[k] = exp(logits[k] - logits[choice])
      others += p[k]
    }
    let total = 1 + others
    let multiplier = 1 / total
    let row = directions.row(choice)
    let slope = dot(loss.gradient(at: row.map { multiplier * $0 }), row)
    var sample = p.map { -slope * multiplier * ($0 / total) }
    sample[choice] = slope * multiplier * (others / total)
    // What has lost digits, or is nothing, may be something times the slope.
    var moved = 0.0
    for k in support where k != choice && p[k] < 0x1p-960 {
      let root = exp(0.5 * (logits[k] - logits[choice]))
      let before = sample[k]
      sample[k] = (-slope * multiplier * root) * (root / total)
      moved += before - sample[k]
    }
    if moved != 0 { sample[choice] += moved }
    return (choice, sample)
  }
}

extension RandomNumberGenerator {
  /// A draw from U[1−r, 1+r], ends excluded while r is not lost in rounding.
  mutating func nextJitter(_ r: Double) -> Double { 1 + r * (2 * nextOpenUnit() - 1) }
}
