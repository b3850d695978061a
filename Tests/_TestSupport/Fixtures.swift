import Foundation

/// The files under `Fixtures/`, found from where this file stands.
public enum Fixtures {
  /// `Fixtures/`.
  public static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Fixtures")

  /// A JSON file, decoded.
  ///
  /// - Parameter path: relative to ``root``, for example `reference/philox-kat.json`.
  public static func decode<Value: Decodable>(_ type: Value.Type, from path: String) throws -> Value {
    try JSONDecoder().decode(type, from: Data(contentsOf: root.appending(path: path)))
  }

  /// A file as it is.
  public static func bytes(_ path: String) throws -> [UInt8] {
    Array(try Data(contentsOf: root.appending(path: path)))
  }
}

/// A number that a fixture writes with more digits than Float64 holds, as a string: the nearest Float64.
///
/// *Edge cases*: a magnitude below the smallest subnormal number is 0.
public struct ReferenceNumber: Decodable, Sendable, Equatable {
  /// The number.
  public let value: Double

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let value = Self.read(text) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is not a number")
    }
    self.value = value
  }

  /// The Float64 nearest to a decimal string, or nil if it is not one.
  ///
  /// Not every version of `Double(_:)` takes a string that underflows; its exponent tells.
  static func read(_ text: String) -> Double? {
    if let value = Double(text) { return value }
    let parts = text.split(separator: "e", maxSplits: 1)
    guard parts.count == 2, Double(parts[0]) != nil, let exponent = Int(parts[1]) else { return nil }
    return exponent < -324 ? 0 : nil
  }
}

extension Sequence<ReferenceNumber> {
  /// The numbers.
  public var values: [Double] { map(\.value) }
}
