/// Why a run cannot begin, go on or be read.
public struct RunError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Whose fault it is.
  public struct Code: Sendable, Equatable {
    private let name: String
    /// What was asked for does not fit together.
    public static let wrongUsage = Code(name: "wrong usage")
    /// A file is not what it should be.
    public static let wrongData = Code(name: "wrong data")
    /// A file cannot be opened.
    public static let noInput = Code(name: "no input")
    /// A file cannot be written.
    public static let noOutput = Code(name: "no output")
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
