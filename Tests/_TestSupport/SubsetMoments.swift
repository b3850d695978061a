import RoutingCore
import Testing

/// `reference/subset-moments-mpmath.json`: what estimators that draw subsets come to, and what they are held against, in 500-digit
/// arithmetic by a program that shares nothing with this one.
public struct SubsetMoments: Decodable, Sendable {
  /// The cases.
  public var cases: [Case]

  /// One problem with one mask.
  public struct Case: Decodable, Sendable, CustomTestStringConvertible {
    public var problem: ProblemFile
    public var mask: MaskFile
    public var estimators: [Entry]

    public var testDescription: String { "\(problem.name ?? "unnamed") \(mask.rule)" }

    /// The problem, routed.
    public func routed() throws -> RoutedProblem {
      try RoutedProblem(try problem.problem(), mask: try mask.mask())
    }
  }

  /// One estimator on a case's problem.
  public struct Entry: Decodable, Sendable {
    public var estimator: String
    public var outcomes: Int
    public var targets: [String: [ReferenceNumber]]
    public var mean: [ReferenceNumber]
    public var variance: [ReferenceNumber]
    public var covariance: [[ReferenceNumber]]?
  }

  /// The cases; none if the file cannot be read (a test asserts their number).
  public static let cases = (try? Fixtures.decode(Self.self, from: "reference/subset-moments-mpmath.json").cases) ?? []
}
