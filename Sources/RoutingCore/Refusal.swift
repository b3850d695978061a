/// Why something was refused: whose fault it is, and one line that says where, what was expected and what was found.
///
/// What is wrong with a single field is an ``InvalidInput``, until it is known which file, option or argument the field is in.
public struct Refusal: Error, Sendable, Equatable, CustomStringConvertible {
  /// Whose fault it is; programs make an exit status of it.
  public struct Code: Sendable, Equatable {
    private let name: String
    /// What was asked for does not exist or does not fit together.
    public static let wrongUsage = Code(name: "wrong usage")
    /// What was read is not what it should be, or results overflow Float64.
    public static let wrongData = Code(name: "wrong data")
    /// An input cannot be opened or read.
    public static let noInput = Code(name: "no input")
    /// An output cannot be written.
    public static let noOutput = Code(name: "no output")
    /// The caller asked for the end.
    public static let interrupted = Code(name: "interrupted")
  }

  /// Whose fault it is.
  public let code: Code
  /// One line: where, what was expected, and what was found.
  public let description: String

  /// Says why.
  public init(_ code: Code, _ description: String) {
    self.code = code
    self.description = description
  }
  /// What is wrong with a field of a file; a text without a name has none in front.
  package init(file: String, _ error: InvalidInput) {
    self.init(.wrongData, file.isEmpty ? error.description : "\(file): \(error)")
  }
}
