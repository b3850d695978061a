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

  /// Those that a layer has.
  static func groups(of shape: LayerShape) -> [ParameterGroup] {
    allCases.filter {
      switch $0 {
      case .routerBias: shape.routerBias
      case .scale: shape.scale
      default: true
      }
    }
  }
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
/// moments are never subtracted.
public struct LayerAudit: Sendable {
  /// The number of tokens.
  public let tokens: Int
  /// The number of experts.
  public let experts: Int
  /// The groups that the layer has, in order.
  public let groups: [ParameterGroup]
  /// The mask.
  public let mask: Mask
  /// The mean over tokens of the expected loss of one draw; where the router chooses, of the loss.
  public let expectedLoss: Double
  /// What estimators are held against.
  public let target: GradientTarget
  /// The norm of every target by group; nil where it is not defined.
  public let targets: [(target: GradientTarget, norms: [ParameterGroup: Double])]
  /// The estimators, in the order asked for.
  public let entries: [Entry]
  /// What the loss would be with other experts; nil where experts are drawn.
  public let swaps: SwapContrasts?

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
    public var mask: Mask
    /// The number of threads; it does not change the result.
    public var threads: Int
    /// The numbers that a tile of tokens may take on each thread, where one token and one first draw do not take more.
    package var room = 20_000_000

    /// Asks for every estimator with finitely many outcomes, unless told otherwise.
    public init(
      estimators: [any GradientEstimator]? = nil, target: GradientTarget = .expectedLoss,
      mask: Mask = .none, threads: Int = 1
    ) {
      self.estimators =
        estimators
        ?? EstimatorRegistry.standard.filter { $0.isReportedByDefault && $0.claims.kinds.contains(.mixture) }
      self.target = target
      self.mask = mask
      self.threads = threads
    }

    /// The same, where nothing else is said what suits the layer's router: the estimators that exist for it, and, where it chooses its
    /// experts, `dense-backward` for a target.
    public init(
      for layer: DumpedLayer, estimators: [any GradientEstimator]? = nil, target: GradientTarget? = nil,
      mask: Mask? = nil, threads: Int = 1
    ) {
      self.init(
        estimators: estimators, target: target ?? (layer.choosesExperts ? .denseBackward : .expectedLoss),
        mask: mask ?? .none, threads: threads)
      guard let router = layer.router else { return }
      switch router.choice {
      case .drawn(let count):
        self.mask = mask ?? router.specification.mask
        if estimators == nil { self.estimators.removeAll { $0.claims.draws != count } }
      case .chosen:
        guard estimators == nil else { return }
        self.estimators = [
          StraightThrough(), Conventional(), DenseMixer(), DefaultMoE(k: router.specification.mostChosen),
        ]
      }
    }
  }
}

/// An exact mean as it is found, part by part: a tensor's name, the index of the first entry, and the entries.
public typealias MeanWriter = @Sendable (_ name: String, _ first: Int, _ values: UnsafeBufferPointer<Double>) -> Void
