import RoutingCore

/// One parameter of an estimator: its name, what it may be, and what it is if nothing is said.
public struct ParameterDeclaration: Sendable {
  /// The key on the command line and in files.
  public var name: String
  /// What it may be.
  public var range: Range
  /// Its value where none is given; nil if it has none.
  public var standard: ParameterValue?

  /// What a parameter may be.
  public struct Range: Sendable {
    /// What is expected, for people.
    let expectation: String
    /// A value, or nil if the text is none of the range.
    let read: @Sendable (String) -> ParameterValue?

    /// A finite number.
    public static let number = Range(.finite)
    /// A finite number above 0.
    public static let positive = Range(.positive)
    /// A finite number of at least 0.
    public static let notNegative = Range(.notNegative)
    /// `true` or `false`.
    public static let flag = Range(expectation: "true or false") { Bool($0).map { .flag($0) } }

    /// A number of a range.
    public static func number(_ range: ClosedRange<Double>) -> Range { Range(.number(range)) }

    /// A number of a range without its upper end.
    public static func number(_ range: Swift.Range<Double>) -> Range { Range(.number(range)) }

    /// A whole number of a range.
    public static func integer(_ range: ClosedRange<Int>) -> Range {
      let limit =
        range.upperBound == .max
        ? Limit("a whole number of at least \(range.lowerBound)") { range.contains($0) } : .whole(range)
      return Range(expectation: limit.expectation) { text in
        Int(text).flatMap { limit.contains($0) ? .integer($0) : nil }
      }
    }

    /// One of these words.
    public static func word(_ words: [String]) -> Range {
      Range(expectation: words.joined(separator: ", ")) { words.contains($0) ? .word($0) : nil }
    }

    private init(expectation: String, read: @escaping @Sendable (String) -> ParameterValue?) {
      self.expectation = expectation
      self.read = read
    }

    private init(_ limit: Limit<Double>) {
      self.init(expectation: limit.expectation) { text in
        Double(text).flatMap { limit.contains($0) ? .number($0) : nil }
      }
    }
  }

  /// Declares a parameter.
  public init(_ name: String, _ range: Range, standard: ParameterValue?) {
    self.name = name
    self.range = range
    self.standard = standard
  }

  /// What is expected, for people.
  package var expectation: String { range.expectation }

  /// Reads a value, or nil if it is not within the range.
  func read(_ text: String) -> ParameterValue? { range.read(text) }
}

/// The value of a parameter.
public enum ParameterValue: Sendable, Equatable, CustomStringConvertible {
  case number(Double)
  case integer(Int)
  case word(String)
  case flag(Bool)

  /// As it stands on the command line.
  public var description: String {
    switch self {
    case .number(let x): x == x.rounded() && x.magnitude < 1e15 ? "\(Int(x))" : "\(x)"
    case .integer(let n): "\(n)"
    case .word(let word): word
    case .flag(let flag): "\(flag)"
    }
  }
}

/// Parameters by name, in a fixed order.
public struct ParameterValues: Sendable, Equatable, CustomStringConvertible, ExpressibleByDictionaryLiteral {
  /// Names and values.
  package private(set) var entries: [(name: String, value: ParameterValue)] = []

  /// No values.
  public init() {}

  public init(dictionaryLiteral elements: (String, ParameterValue)...) {
    entries = elements.map { ($0.0, $0.1) }
  }

  /// Whether there are none.
  package var isEmpty: Bool { entries.isEmpty }

  /// The value with a name.
  public subscript(name: String) -> ParameterValue? {
    get { entries.first { $0.name == name }?.value }
    set {
      entries.removeAll { $0.name == name }
      if let newValue { entries.append((name, newValue)) }
    }
  }

  /// `key=value,…`.
  public var description: String { entries.map { "\($0.name)=\($0.value)" }.joined(separator: ",") }

  public static func == (a: ParameterValues, b: ParameterValues) -> Bool {
    a.entries.elementsEqual(b.entries) { $0 == $1 }
  }

  /// The value of a parameter that is declared as a number.
  ///
  /// - Precondition: it is, and has a value.
  public func number(_ name: String) -> Double {
    guard case .number(let x) = self[name] else { preconditionFailure("\(name) is no declared number") }
    return x
  }

  /// The value of a parameter that is declared as a whole number.
  ///
  /// - Precondition: it is, and has a value.
  public func integer(_ name: String) -> Int {
    guard case .integer(let n) = self[name] else { preconditionFailure("\(name) is no declared whole number") }
    return n
  }

  /// The value of a parameter that is declared as a word.
  ///
  /// - Precondition: it is, and has a value.
  public func word(_ name: String) -> String {
    guard case .word(let word) = self[name] else { preconditionFailure("\(name) is no declared word") }
    return word
  }

  /// The value of a parameter that is declared as a flag.
  ///
  /// - Precondition: it is, and has a value.
  public func flag(_ name: String) -> Bool {
    guard case .flag(let flag) = self[name] else { preconditionFailure("\(name) is no declared flag") }
    return flag
  }
}

/// An estimator that was asked for and does not exist: an id nobody has, a parameter it does not take, or a value out of
/// range.
public struct InvalidEstimator: Error, Sendable, Equatable, CustomStringConvertible {
  /// One line: what was asked for, and what was expected.
  public let description: String

  /// Says what was wrong.
  public init(_ description: String) { self.description = description }
}
