import Testing

/// `reference/special-values.json`: softmax, log cosh and cross-entropy in 1000-digit arithmetic where
/// Float64 is easily lost.
public struct SpecialValues: Decodable, Sendable {
  public var softmax: [Softmax]
  public var logCosh: [LogCosh]
  public var crossEntropy: [CrossEntropy]

  /// One softmax.
  public struct Softmax: Decodable, Sendable, CustomTestStringConvertible {
    public var name: String
    public var logits: [Double]
    public var temperature: Double
    public var probabilities: [ReferenceNumber]
    public var complements: [ReferenceNumber]

    public var testDescription: String { name }
  }

  /// `log cosh x` and its slope.
  public struct LogCosh: Decodable, Sendable {
    public var x: Double
    public var value: ReferenceNumber
    public var slope: ReferenceNumber
  }

  /// A cross-entropy at a point.
  public struct CrossEntropy: Decodable, Sendable {
    public var loss: ObjectiveFile
    public var point: [Double]
    public var scoreSize: Double
    public var value: ReferenceNumber
    public var gradient: [ReferenceNumber]
  }

  /// The file, read once.
  public static let shared = Result { try Fixtures.decode(Self.self, from: "reference/special-values.json") }

  /// The softmax cases, none if the file cannot be read (tests assert their number).
  public static var softmaxCases: [Softmax] { (try? shared.get().softmax) ?? [] }
}
