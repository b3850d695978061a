import RoutingCore
import RoutingEstimators
import Testing

/// `reference/moments-mpmath.json`: exact targets, means and covariances, computed in 500-digit arithmetic by
/// a program that shares nothing with this one.
public struct ReferenceMoments: Decodable, Sendable {
  /// The cases.
  public var cases: [Case]

  /// One problem with one mask.
  public struct Case: Decodable, Sendable, CustomTestStringConvertible {
    public var problem: ProblemFile
    public var mask: MaskFile
    public var support: [Int]
    public var expectedLoss: ReferenceNumber
    public var scale: ReferenceNumber
    public var targets: [String: [ReferenceNumber]]
    public var pairTargets: [String: [ReferenceNumber]]?
    public var estimators: [Entry]

    /// The case's name.
    public var name: String { problem.name ?? "unnamed" }
    public var testDescription: String { name }

    /// The problem, routed.
    public func routed() throws -> RoutedProblem {
      try RoutedProblem(try problem.problem(), mask: try mask.mask())
    }
  }

  /// One estimator on a case's problem.
  public struct Entry: Decodable, Sendable {
    public var estimator: String
    public var target: String
    public var outcomes: Int
    public var mean: [ReferenceNumber]
    public var variance: [ReferenceNumber]
    public var totalVariance: ReferenceNumber
    public var covariance: [[ReferenceNumber]]?
  }

  /// The file, read once.
  public static let shared = Result { try Fixtures.decode(Self.self, from: "reference/moments-mpmath.json") }

  /// The cases, none if the file cannot be read (a test asserts that it can).
  public static var cases: [Case] { (try? shared.get().cases) ?? [] }

  /// `reference/distant-mpmath.json`: the same where logits lie hundreds apart and what lies far below is large.
  public static let distant = Result { try Fixtures.decode(Self.self, from: "reference/distant-mpmath.json") }

  /// Its cases, none if the file cannot be read (a test asserts their number).
  public static var distantCases: [Case] { (try? distant.get().cases) ?? [] }
}

/// `reference/*-outcomes.json`: every outcome of a published implementation, its random draws forced.
public struct PublishedOutcomes: Decodable, Sendable, CustomTestStringConvertible {
  public var problem: ProblemFile
  public var mask: MaskFile
  public var estimator: String
  public var source: String
  public var outcomes: [PublishedOutcome]

  /// One outcome of the published code.
  public struct PublishedOutcome: Decodable, Sendable {
    public var choice: [Int]
    public var coins: [Int]
    public var multiplier: [Double]?
    public var gradient: [Double]
  }

  public var testDescription: String { "\(problem.name ?? "\(problem.logits.count) experts") \(estimator)" }

  /// The problem, routed.
  public func routed() throws -> RoutedProblem {
    try RoutedProblem(try problem.problem(), mask: try mask.mask())
  }

  /// The records of one file; none if it cannot be read (a test asserts the number).
  public static func records(_ name: String) -> [PublishedOutcomes] {
    (try? Fixtures.decode([Self].self, from: "reference/\(name)-outcomes.json")) ?? []
  }
}
