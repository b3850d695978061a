import RoutingCore

/// A rule that turns a problem and random draws into a sample of the router's gradient.
///
/// A type conforms to one of the refinements, which say how its random draws are given: ``RayEstimator`` where it weighs
/// slopes along the chosen expert's ray, ``FiniteOutcomeEstimator`` where its outcomes can be listed, ``SamplingEstimator``
/// where its noise is continuous. They supply ``randomness``; without one of them a type does not compile.
///
/// An estimator is a value. It is found by its id in ``EstimatorRegistry`` and made from the parameters it declares; what
/// it claims about itself stands in ``claims``, where tests and reports read it. Adding one to this library is a file with a
/// conforming type and a line in the registry; everything that takes an estimator takes one from elsewhere, too.
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
  /// How its random draws are given. Not to be written: conform to ``FiniteOutcomeEstimator``, ``RayEstimator`` or
  /// ``SamplingEstimator``.
  var randomness: Randomness { get }
  /// The estimators that stand for it where claims are measured, such as one for each of its rules; unless stated, itself.
  var family: [any GradientEstimator] { get }
}

/// How an estimator's random draws are given.
public enum Randomness: Sendable {
  /// Finitely many outcomes, which can be listed.
  case finite(any FiniteOutcomeEstimator)
  /// Continuous noise: samples can be drawn; ``IntegratedEstimator`` says where moments are known as well.
  case continuous(any SamplingEstimator)
}

extension GradientEstimator {
  public static var parameters: [ParameterDeclaration] { [] }
  public var values: ParameterValues { ParameterValues() }
  public var family: [any GradientEstimator] { [self] }

  /// `id:key=value,…`, which ``EstimatorRegistry/estimator(_:)`` reads back.
  public var specification: String { values.isEmpty ? Self.id : "\(Self.id):\(values)" }

  /// Whether its outcomes can be listed.
  package var isEnumerable: Bool { if case .finite = randomness { true } else { false } }

  /// Whether it is reported on where nobody says which: its outcomes can be listed, and it does not draw subsets, which have a loss of
  /// their own and may be many.
  package var isReportedByDefault: Bool { isEnumerable && claims.subsets == nil }

  /// The outcomes on a problem.
  ///
  /// - Throws: `Unavailable` if there are not finitely many, or the estimator is not defined there.
  public func finiteOutcomes(on problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    try requireDefined(on: problem)
    guard case .finite(let estimator) = randomness else { throw Unavailable("has no finite list of outcomes") }
    return try estimator.outcomes(of: problem)
  }

  /// - Throws: `Unavailable` if the estimator does not claim this kind of problem.
  package func requireDefined(on problem: RoutedProblem) throws(Unavailable) {
    guard claims.kinds.contains(problem.kind) else {
      throw Unavailable("needs a \(claims.kinds.map(\.rawValue).joined(separator: " or ")) problem")
    }
  }
}

/// An estimator whose randomness has finitely many outcomes, so that everything about it can be enumerated.
public protocol FiniteOutcomeEstimator: GradientEstimator {
  /// Every outcome on a problem, with probability and gradient.
  ///
  /// - Throws: ``Unavailable`` if the estimator is not defined there, or needs an evaluation that the
  ///   problem's table does not hold.
  func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution
  /// What experts see of it, in the order of its outcomes; unless stated, whatever the outcomes say.
  ///
  /// A claim that a test holds every registered estimator to: audits of layers read it, and share the work of one law
  /// between all estimators that claim it.
  var forwardLaw: ForwardLaw { get }
  /// Mean and variance, on request the covariance, where they are known without the outcomes, which may be too many to list; nil
  /// elsewhere, and unless stated.
  func momentsInClosedForm(on problem: RoutedProblem, covariance: Bool) throws(Unavailable) -> Moments?
}

extension FiniteOutcomeEstimator {
  public var randomness: Randomness { .finite(self) }
  public func momentsInClosedForm(on problem: RoutedProblem, covariance: Bool) throws(Unavailable) -> Moments? { nil }
}

extension FiniteOutcomeEstimator where Self: SamplingEstimator {
  /// What can be both listed and run is listed.
  public var randomness: Randomness { .finite(self) }
}

/// What an estimator says of itself; one test suite over the registry holds it to that.
public struct Claims: Sendable, Equatable {
  /// The kinds of problem on which it is defined.
  public var kinds: [RoutingProblem.Kind]
  /// The target that its other claims are about, and that it is held against as its own.
  public var target: GradientTarget
  /// The functions for which its mean equals the target.
  public var exactness: Exactness
  /// p, where the bias falls as h^{p+1} when the problem is scaled by h; nil if it has no order.
  public var order: Int?
  /// How many experts it draws without replacement: 1, or 2, whose expected loss is that of the pairs; of subsets, at most.
  public var draws: Int
  /// How several experts are drawn at once, in no order, with a loss of their own; nil where they are drawn one by one.
  public var subsets: SubsetLaw?
  /// K: over how many independent draws, pair by pair, a sample is an average; experts and scale then get the average of K
  /// single draws' gradients, a K-th of their variance. 1 unless it is such an average.
  public var averagedDraws: Int
  /// The evaluations of an expert (and the loss) that a sample costs.
  public var expertEvaluations: ExpertEvaluations
  /// Where it was published.
  public var source: String

  /// States claims. What is left out is not claimed: an order, or more than one draw.
  public init(
    kinds: [RoutingProblem.Kind], target: GradientTarget, exactness: Exactness, order: Int? = nil, draws: Int = 1,
    subsets: SubsetLaw? = nil, averagedDraws: Int = 1, expertEvaluations: ExpertEvaluations, source: String
  ) {
    self.kinds = kinds
    self.target = target
    self.exactness = exactness
    self.order = order
    self.draws = subsets?.sizes.upperBound ?? draws
    self.subsets = subsets
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
  /// So many evaluations of f, most of them at relaxed draws, on a categorical problem; on a mixture every expert.
  case relaxed(Int)

  /// The number of evaluations on a problem.
  package func count(on problem: RoutedProblem) -> Double {
    switch self {
    case .constant(let count): count
    case .gradientAtChoice where problem.kind == .categorical: 1
    case .relaxed(let count) where problem.kind == .categorical: Double(count)
    case .everyExpert, .gradientAtChoice, .relaxed: Double(problem.distribution.support.count)
    }
  }
}
