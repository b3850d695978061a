import RoutingCore

/// A linear router and what it is given: `θ = W x + b`. What jitter on the input needs and a problem does
/// not hold.
public struct RouterInput: Sendable, Equatable {
  /// W, `[experts][width]`.
  public let weights: Matrix
  /// b, `[experts]`.
  public let biases: [Double]
  /// x, `[width]`.
  public let input: [Double]

  /// A router and its input.
  ///
  /// - Throws: `InvalidInput` if lengths disagree, there is no expert, or an entry is not finite.
  public init(weights: [[Double]], biases: [Double]? = nil, input: [Double]) throws(InvalidInput) {
    guard !weights.isEmpty else { throw InvalidInput("weights", "expected at least one row, got none") }
    for (i, row) in weights.enumerated() {
      guard row.count == input.count else {
        throw InvalidInput("weights[\(i)]", "expected \(input.count) numbers, got \(row.count)")
      }
      guard row.allSatisfy(\.isFinite) else { throw InvalidInput("weights[\(i)]", "expected finite numbers") }
    }
    guard input.allSatisfy(\.isFinite) else { throw InvalidInput("input", "expected finite numbers") }
    if let biases {
      guard biases.count == weights.count else {
        throw InvalidInput("biases", "expected \(weights.count) numbers, got \(biases.count)")
      }
      guard biases.allSatisfy(\.isFinite) else { throw InvalidInput("biases", "expected finite numbers") }
    }
    self.weights = Matrix(rows: weights, columns: input.count)
    self.biases = biases ?? weights.map { _ in 0 }
    self.input = input
  }

  /// The number of experts.
  public var experts: Int { weights.rows }

  /// `θ = W (x ∘ u) + b`, `[experts]`.
  public func logits(factors u: [Double]) -> [Double] {
    let jittered = zip(input, u).map { $0 * $1 }
    return (0..<experts).map { dot(weights.row($0), jittered) + biases[$0] }
  }

  /// `W x + b`, what the router says without jitter.
  public var logits: [Double] { logits(factors: input.map { _ in 1 }) }
}

extension Switch {
  /// Prepares to sample with a jittered input: `θ = W (x∘u) + b`, D and the multiplier from that θ, and
  /// `∂m/∂θ` as the sample: the gradient of the router's bias, whose outer product with `x∘u` is that of its
  /// weights. `Σ_k ĝ_k = 0`.
  ///
  /// - Parameters:
  ///   - problem: the experts and their loss; its logits decide nothing but the mask.
  ///   - router: W, b and x.
  /// - Throws: ``RoutingCore/Unavailable`` on a categorical problem, with a tabulated loss, for another
  ///   number of experts, and for `kind=logit`.
  public func sampler(on problem: RoutedProblem, router: RouterInput) throws(Unavailable) -> InputSampler {
    guard kind == .input else { throw Unavailable("jitters the logits, and takes no router") }
    guard router.experts == problem.experts else {
      throw Unavailable("needs a router of \(problem.experts) experts, got \(router.experts)")
    }
    return InputSampler(jitter: jitter, router: router, backward: try SwitchBackward(problem: problem))
  }

  /// Draws samples on one problem and router.
  public struct InputSampler: GradientSampler {
    let jitter: Double
    let router: RouterInput
    let backward: SwitchBackward

    public func sample(using generator: inout some RandomNumberGenerator) -> [Double] {
      let factors = router.input.map { _ in generator.nextJitter(jitter) }
      return backward.sample(logits: router.logits(factors: factors)).gradient
    }
  }
}
