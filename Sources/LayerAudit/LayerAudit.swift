import LayerTensors
import RoutingCore
import RoutingEstimators

/// The parameters and inputs of a layer that gradients are taken by.
public enum ParameterGroup: String, Sendable, CaseIterable {
  case routerWeight = "router.weight"
  case routerBias = "router.bias"
  /// W₁, b₁, W₂ and b₂ of all experts together.
  case experts
  case scale
  /// x, all tokens together.
  case input
}

/// Exact bias and variance of estimators on a whole layer: for every group of parameters the moments of the gradient of
/// the mean loss over a batch, each token being routed on its own.
///
/// With G_t the gradient of token t's loss, the batch's is `(1/T) Σ_t G_t`; tokens are independent, so its mean is
/// `(1/T) Σ_t E G_t` and its total variance `(1/T²) Σ_t tr Cov G_t`. Given what happens to a token, its gradient by an expert's
/// weights is a sum of two outer products, `v ⊗ a` and `(W₂ᵀv ⊙ act') ⊗ x`, linear in `v = m ω ⊙ G'(y)`: the mean follows from the mean of
/// v by two matrix products, the variance from norms, and no covariance is ever written down.
///
/// *Numerics*: variances are sums of squared deviations and of products of probabilities and their complements; second
/// moments are never subtracted (``SentRows/moments(of:_:length:share:)`` has the one exception).
public struct LayerAudit: Sendable {
  /// The number of tokens.
  public let tokens: Int
  /// The number of experts.
  public let experts: Int
  /// The groups that the layer has, in order.
  public let groups: [ParameterGroup]
  /// The mask.
  public let space: SamplingSpace
  /// The mean over tokens of the expected loss of one draw.
  public let expectedLoss: Double
  /// What estimators are held against.
  public let target: GradientTarget
  /// The norm of every target by group; nil where it is not defined.
  public let targets: [(target: GradientTarget, norms: [ParameterGroup: Double])]
  /// The estimators, in the order asked for.
  public let entries: [Entry]

  /// What is found of an estimator.
  public struct Entry: Sendable {
    /// The estimator.
    public let estimator: any GradientEstimator
    /// Its figures by group, or why there are none.
    public let result: Result<[ParameterGroup: GroupFigures], Unavailable>
  }

  /// What to audit.
  public struct Options: Sendable {
    /// The estimators.
    public var estimators: [any GradientEstimator]
    /// What they are held against.
    public var target: GradientTarget
    /// The mask.
    public var space: SamplingSpace
    /// The number of threads; it does not change the result.
    public var threads: Int

    /// Asks for every estimator with finitely many outcomes, unless told otherwise.
    public init(
      estimators: [any GradientEstimator]? = nil, target: GradientTarget = .expectedLoss,
      space: SamplingSpace = .none, threads: Int = 1
    ) {
      self.estimators =
        estimators
        ?? EstimatorRegistry.standard.filter { $0 is any FiniteOutcomeEstimator && $0.claims.kinds.contains(.mixture) }
      self.target = target
      self.space = space
      self.threads = threads
    }
  }
}

/// The figures of an estimator for one group of parameters.
public struct GroupFigures: Sendable, Equatable {
  /// `‖∇‖`; nil where the target is not defined for the group, and so is everything that needs it.
  public var targetNorm: Double?
  /// `‖E ĝ‖`.
  public var meanNorm: Double
  /// `‖E ĝ − ∇‖`.
  public var biasNorm: Double?
  /// `‖E ĝ − ∇‖/‖∇‖`.
  public var relativeBias: Double?
  /// The cosine of `E ĝ` and `∇`.
  public var cosine: Double?
  /// `tr Cov ĝ`.
  public var totalVariance: Double
  /// `√(tr Cov ĝ)/‖∇‖`.
  public var relativeStandardDeviation: Double?

  /// Figures from squared norms; a ratio to zero is nil.
  init(_ sums: GroupSums, totalVariance: Double) {
    meanNorm = sums.mean.squareRoot()
    self.totalVariance = totalVariance
    guard sums.hasTarget else { return }
    let norm = sums.target.squareRoot()
    targetNorm = norm
    biasNorm = sums.bias.squareRoot()
    guard norm > 0 else { return }
    relativeBias = sums.bias.squareRoot() / norm
    relativeStandardDeviation = totalVariance.squareRoot() / norm
    if meanNorm > 0 { cosine = min(max(sums.product / (norm * meanNorm), -1), 1) }
  }
}

/// Squared norms of a mean, a target and their difference, and the product of the two, summed over parts of a group.
struct GroupSums: Sendable {
  var mean = 0.0
  var target = 0.0
  var bias = 0.0
  var product = 0.0
  var hasTarget = true

  mutating func add(_ mean: UnsafePointer<Double>, _ target: UnsafePointer<Double>?, count: Int) {
    for k in 0..<count {
      let m = mean[k]
      self.mean += m * m
      guard let t = target?[k] else { continue }
      self.target += t * t
      bias += (m - t) * (m - t)
      product += m * t
    }
    if target == nil { hasTarget = false }
  }

  mutating func add(_ mean: Tensor<Double>, _ target: Tensor<Double>?) {
    add(mean.elements, target.map { UnsafePointer($0.elements) }, count: mean.count)
  }

  func scaled(by factor: Double) -> GroupSums {
    GroupSums(
      mean: factor * mean, target: factor * target, bias: factor * bias, product: factor * product,
      hasTarget: hasTarget)
  }

  mutating func add(_ other: GroupSums) {
    mean += other.mean
    target += other.target
    bias += other.bias
    product += other.product
    hasTarget = hasTarget && other.hasTarget
  }
}

/// An exact mean as it is found, part by part: a tensor's name, the index of the first entry, and the entries.
public typealias MeanWriter = @Sendable (_ name: String, _ first: Int, _ values: UnsafeBufferPointer<Double>) -> Void
