/// Why a report cannot be made.
public struct ReportError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Whose fault it is.
  public struct Code: Sendable, Equatable {
    private let name: String
    /// What was asked for does not fit the problems.
    public static let wrongUsage = Code(name: "wrong usage")
    /// The problems are not what they should be, or their results overflow Float64.
    public static let wrongData = Code(name: "wrong data")
  }

  /// Whose fault it is.
  public let code: Code
  /// One line: where, and what was expected.
  public let description: String

  /// Says why.
  public init(_ code: Code, _ description: String) {
    self.code = code
    self.description = description
  }
}
