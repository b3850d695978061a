import RoutingCore

/// A rule that turns a problem and random draws into a sample of the router's gradient.
///
/// An estimator is a value. It is found by its id in ``EstimatorRegistry`` and made from the parameters it declares; what
/// it claims about itself stands in ``claims``, where tests and reports read it. Adding one is a file with a conforming
/// type and a line in the registry.
public protocol GradientEstimator: Sendable {
  /// The name on the command line and in files.
  static var id: String { get }
  /// The parameters, in the order in which they are printed.
  static var parameters: [ParameterDeclaration] { get }
  /// Makes the estimator; every declared parameter has a value, within its declared range.
  ///
  /// - Throws: ``InvalidEstimator`` if parameters contradict each other.
  init(_ values: ParameterValues) throws(InvalidEstimator)
  /// The parameters that are in effect.
  var values: ParameterValues { get }
  /// What the estimator claims about itself with these parameters.
  var claims: Claims { get }
  /// The estimators that stand for it where claims are measured, such as one for each of its rules; unless stated, itself.
  var family: [any GradientEstimator] { get }
}

extension GradientEstimator {
  public static var parameters: [ParameterDeclaration] { [] }
  public var values: ParameterValues { ParameterValues() }
  public var family: [any GradientEstimator] { [self] }

  /// `id:key=value,…`, which ``EstimatorRegistry/estimator(_:)`` reads back.
  public var specification: String { values.isEmpty ? Self.id : "\(Self.id):\(values)" }
}

/// An estimator whose randomness has finitely many outcomes, so that everything about it can be enumerated.
public protocol FiniteOutcomeEstimator: GradientEstimator {
  /// Every outcome on a problem, with probability and gradient.
  ///
  /// - Throws: ``RoutingCore/Unavailable`` if the estimator is not defined there, or needs an evaluation that the
  ///   problem's table does not hold.
  func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution
  /// What experts see of it, in the order of its outcomes; unless stated, whatever the outcomes say.
  ///
  /// A claim that a test holds every registered estimator to: audits of layers read it, and share the work of one law
  /// between all estimators that claim it.
  var forwardLaw: ForwardLaw { get }
}

/// What an estimator says of itself; one test suite over the registry holds it to that.
public struct Claims: Sendable, Equatable {
  /// The kinds of problem on which it is defined.
  public var kinds: [RoutingProblem.Kind]
  /// The target that its other claims are about.
  public var target: GradientTarget
  /// The functions for which its mean equals the target.
  public var exactness: Exactness
  /// p, where the bias falls as h^{p+1} when the problem is scaled by h; nil if it has no order.
  public var order: Int?
  /// How many experts it draws without replacement: 1, or 2, whose expected loss is that of the pairs.
  public var draws: Int
  /// K: over how many independent draws, pair by pair, a sample is an average; experts and scale then get the average of K
  /// single draws' gradients, a K-th of their variance. 1 unless it is such an average.
  public var averagedDraws: Int
  /// The evaluations of an expert (and the loss) that a sample costs.
  public var expertEvaluations: ExpertEvaluations
  /// Where it was published.
  public var source: String

  /// States claims.
  public init(
    kinds: [RoutingProblem.Kind], target: GradientTarget = .expectedLoss, exactness: Exactness, order: Int? = nil,
    draws: Int = 1, averagedDraws: Int = 1, expertEvaluations: ExpertEvaluations = .constant(1), source: String
  ) {
    self.kinds = kinds
    self.target = target
    self.exactness = exactness
    self.order = order
    self.draws = draws
    self.averagedDraws = averagedDraws
    self.expertEvaluations = expertEvaluations
    self.source = source
  }
}

/// The functions (objectives, or losses along the rays `c π_i f_i`) for which a mean equals its target.
public enum Exactness: Sendable, Equatable {
  /// No class of functions is claimed.
  case none
  /// Polynomials up to this degree, and not one higher.
  case degree(Int)
  /// Every function.
  case all
}

/// What a gradient sample costs.
public enum ExpertEvaluations: Sendable, Equatable {
  /// The same everywhere.
  case constant(Double)
  /// Every expert that may be drawn.
  case everyExpert
  /// One gradient of f on a categorical problem; on a mixture every expert, because `∂F/∂D` holds all their outputs.
  case gradientAtChoice

  /// The number of evaluations on a problem.
  public func count(on problem: RoutedProblem) -> Double {
    switch self {
    case .constant(let count): count
    case .gradientAtChoice where problem.kind == .categorical: 1
    case .everyExpert, .gradientAtChoice: Double(problem.distribution.support.count)
    }
  }
}
