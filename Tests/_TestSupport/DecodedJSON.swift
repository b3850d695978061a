import Foundation

/// A JSON text as Foundation's JSONDecoder reads it: a witness for the product's own reader and writer.
///
/// Not JSONSerialization, which on Linux reads numbers of 16 and 17 digits as decimals and loses the last
/// bit.
public enum DecodedJSON: Decodable, Sendable, Equatable {
  case null
  case bool(Bool)
  case number(Double)
  case string(String)
  case array([DecodedJSON])
  case object([String: DecodedJSON])

  /// Reads a text.
  public init(_ text: String) throws {
    self = try JSONDecoder().decode(DecodedJSON.self, from: Data(text.utf8))
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {
      self = .bool(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else if let value = try? container.decode(String.self) {
      self = .string(value)
    } else if let value = try? container.decode([DecodedJSON].self) {
      self = .array(value)
    } else {
      self = .object(try container.decode([String: DecodedJSON].self))
    }
  }

  /// The field of an object, or null.
  public subscript(key: String) -> DecodedJSON {
    if case .object(let fields) = self { fields[key] ?? .null } else { .null }
  }

  /// The item of a list, or null.
  public subscript(index: Int) -> DecodedJSON { items.indices.contains(index) ? items[index] : .null }

  /// The items of a list; none of anything else.
  public var items: [DecodedJSON] { if case .array(let items) = self { items } else { [] } }

  /// The names of an object's fields.
  public var keys: Set<String> { if case .object(let fields) = self { Set(fields.keys) } else { [] } }

  /// The number.
  public var number: Double? { if case .number(let value) = self { value } else { nil } }

  /// The text.
  public var string: String? { if case .string(let value) = self { value } else { nil } }

  /// The truth value.
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }

  /// The numbers of a list of numbers.
  public var numbers: [Double]? {
    guard case .array(let items) = self else { return nil }
    let numbers = items.compactMap(\.number)
    return numbers.count == items.count ? numbers : nil
  }

  /// The rows of a list of lists of numbers.
  public var rows: [[Double]]? {
    guard case .array(let items) = self else { return nil }
    let rows = items.compactMap(\.numbers)
    return rows.count == items.count ? rows : nil
  }
}
