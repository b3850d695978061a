import RoutingCore

/// What the header of a safetensors file says, before any of it is held against the data.
struct SafeTensorsHeader {
  /// What the header says of a tensor.
  struct Tensor {
    var name: String
    var type: String
    var shape: [Int]
    var begin: Int
    var end: Int
  }

  /// The map under `__metadata__`.
  private(set) var metadata: [String: String] = [:]
  /// The tensors, in the order of the file.
  private(set) var tensors: [Tensor] = []

  /// Reads a header.
  ///
  /// - Throws: `InvalidInput` of one line for what is not JSON, a name that stands twice (which most readers of JSON let
  ///   pass), and for fields and numbers that the format does not have.
  init(_ bytes: [UInt8]) throws(InvalidInput) {
    do throws(InvalidInput) {
      try read(bytes)
    } catch {
      throw InvalidInput(error.path.onOneLine, error.expectation.onOneLine)
    }
  }

  private mutating func read(_ bytes: [UInt8]) throws(InvalidInput) {
    // The format allows no space before the object.
    guard bytes.first == UInt8(ascii: "{") else { throw InvalidInput("header", "expected '{' at its first byte") }
    let root: JSONValue
    do {
      root = try JSONParser.parse(bytes)
    } catch {
      throw InvalidInput(
        error.path.isEmpty ? "header" : error.path,
        "\(error.expectation) (byte \(error.column) of the header's line \(error.line))")
    }
    guard case .object(let members) = root else { throw InvalidInput("header", "expected an object") }
    for member in members {
      do throws(InvalidInput) {
        try Self.requireOneLine(member.key)
        if member.key == "__metadata__" {
          try readMetadata(member.value)
        } else {
          tensors.append(try Self.tensor(member))
        }
      } catch {
        throw error.inside(member.key.clipped(to: 60))
      }
    }
  }

  /// Names end up in later messages, too.
  private static func requireOneLine(_ name: String) throws(InvalidInput) {
    guard !name.contains(where: \.isNewline) else { throw InvalidInput("", "expected names on one line") }
  }

  private mutating func readMetadata(_ value: JSONValue) throws(InvalidInput) {
    guard case .object(let members) = value else { throw InvalidInput("", "expected an object, got \(value.kind)") }
    for member in members {
      try Self.requireOneLine(member.key)
      guard case .string(let text) = member.value else {
        throw InvalidInput(member.key.clipped(to: 40), "expected a string, got \(member.value.kind)")
      }
      metadata[member.key] = text
    }
  }

  private static func tensor(_ member: JSONValue.Member) throws(InvalidInput) -> Tensor {
    let fields = try JSONFields(member.value, of: "a tensor", only: ["dtype", "shape", "data_offsets"])
    let offsets = try wholeNumbers("data_offsets", fields)
    guard offsets.count == 2 else {
      throw InvalidInput("data_offsets", "expected where data begins and ends, got \(offsets.count) numbers")
    }
    return Tensor(
      name: member.key, type: try fields.string("dtype"), shape: try wholeNumbers("shape", fields), begin: offsets[0],
      end: offsets[1])
  }

  /// Whole numbers from 0 to 2⁵³: beyond it, numbers read as Float64 are no longer those that were written.
  private static func wholeNumbers(_ key: String, _ fields: JSONFields) throws(InvalidInput) -> [Int] {
    var integers: [Int] = []
    for (k, number) in try fields.numbers(key).enumerated() {
      guard let integer = Int(exactly: number), (0..<1 << 53).contains(integer) else {
        throw InvalidInput("\(key)[\(k)]", "expected a whole number from 0 to 2⁵³, got \(number)")
      }
      integers.append(integer)
    }
    return integers
  }
}
