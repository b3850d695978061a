import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// The bias and variance of estimators on problems: what `routegrad report` prints.
public struct Report: Sendable {
  /// What was asked for.
  public let options: Options
  /// One entry for each problem, in their order.
  public let problems: [Problem]
  /// What a reader should be told besides, in one line; nil if nothing.
  public let note: String?

  /// What to report.
  public struct Options: Sendable {
    /// The estimators.
    public var estimators: Selection
    /// The mask; nil for each problem's own.
    public var mask: Mask?
    /// The target, covariance and sampling asked for.
    public var assessment: AssessmentOptions
    /// Whether estimators that claim another target are held against that one as well.
    public var ownTargets: Bool
    /// The number of threads; it does not change the result.
    public var threads: Int

    /// Asks for every estimator that can be enumerated, unless told otherwise.
    public init(
      estimators: Selection = .enumerable, mask: Mask? = nil,
      assessment: AssessmentOptions = AssessmentOptions(), ownTargets: Bool = false, threads: Int = 1
    ) {
      self.estimators = estimators
      self.mask = mask
      self.assessment = assessment
      self.ownTargets = ownTargets
      self.threads = threads
    }
  }

  /// Which estimators to report.
  public enum Selection: Sendable {
    /// Those of the registry with finitely many outcomes that are defined on the problem's kind, and do not draw subsets.
    case enumerable
    /// Those of the registry that are defined on the problem's kind.
    case all
    /// These, on every problem.
    case listed([any GradientEstimator])
  }

  /// What is reported of a problem.
  public struct Problem: Sendable {
    /// The problem, and where it came from.
    public let filed: FiledProblem
    /// The problem and its mask.
    public let routed: RoutedProblem
    /// `L(θ)`; nil where a table does not hold it.
    public let expectedLoss: Double?
    /// Every target's gradient; nil where it is not defined or a table does not hold it.
    public let targets: [(target: GradientTarget, gradient: [Double]?)]
    /// The estimators, in the order asked for.
    public let entries: [Entry]
  }

  /// What is reported of an estimator on a problem.
  public struct Entry: Sendable {
    /// The estimator.
    public let estimator: any GradientEstimator
    /// Its assessment, or why there is none.
    public let result: Result<Assessment, Unavailable>
    /// Its assessment against the target that it claims, if that is another and was asked for.
    public let ownTarget: Assessment?
  }
}
