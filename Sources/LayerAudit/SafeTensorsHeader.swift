import RoutingCore

/// The header of a safetensors file: JSON of one particular shape, read by hand so that whatever else it says is refused
/// (a name twice, which JSON parsers let pass, above all).
struct SafeTensorsHeader {
  /// What the header says of a tensor.
  struct Tensor {
    var name: String
    var type: String
    var shape: [Int]
    var begin: Int
    var end: Int
  }

  private let bytes: ArraySlice<UInt8>
  private var place: Int

  init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    place = bytes.startIndex
  }

  mutating func parse() throws(InvalidInput) -> (metadata: [String: String], tensors: [Tensor]) {
    guard bytes.first == UInt8(ascii: "{") else { throw wrong("expected '{'") }
    var metadata: [String: String] = [:]
    var tensors: [Tensor] = []
    var names: Set<String> = []
    try object { header, name throws(InvalidInput) in
      guard names.insert(name).inserted else {
        throw InvalidInput(Self.short(name), "expected each name once, got it twice")
      }
      if name == "__metadata__" {
        try header.object { header, key throws(InvalidInput) in
          guard metadata.updateValue(try header.string(), forKey: key) == nil else {
            throw InvalidInput("__metadata__.\(Self.short(key))", "expected each name once, got it twice")
          }
        }
      } else {
        tensors.append(try header.tensor(name))
      }
    }
    skipSpace()
    guard place == bytes.endIndex else { throw wrong("expected the header to end") }
    return (metadata, tensors)
  }

  private mutating func tensor(_ name: String) throws(InvalidInput) -> Tensor {
    var type: String?
    var shape: [Int]?
    var offsets: [Int]?
    try object { header, key throws(InvalidInput) in
      switch key {
      case "dtype" where type == nil: type = try header.string()
      case "shape" where shape == nil: shape = try header.integers()
      case "data_offsets" where offsets == nil: offsets = try header.integers()
      default:
        throw InvalidInput(Self.short(name), "expected dtype, shape and data_offsets once, got '\(Self.short(key))'")
      }
    }
    guard let type, let shape, let offsets, offsets.count == 2 else {
      throw InvalidInput(Self.short(name), "expected dtype, shape and two data_offsets")
    }
    return Tensor(name: name, type: type, shape: shape, begin: offsets[0], end: offsets[1])
  }

  // MARK: - The parts of JSON that there are

  private mutating func object(
    _ member: (inout SafeTensorsHeader, String) throws(InvalidInput) -> Void
  ) throws(InvalidInput) {
    try expect("{")
    if take("}") { return }
    repeat {
      let name = try string()
      try expect(":")
      try member(&self, name)
    } while take(",")
    try expect("}")
  }

  private mutating func integers() throws(InvalidInput) -> [Int] {
    try expect("[")
    var list: [Int] = []
    if take("]") { return list }
    repeat { list.append(try integer()) } while take(",")
    try expect("]")
    return list
  }

  private mutating func integer() throws(InvalidInput) -> Int {
    skipSpace()
    var value = 0
    let start = place
    while place < bytes.endIndex, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[place]) {
      let (product, one) = value.multipliedReportingOverflow(by: 10)
      let (sum, two) = product.addingReportingOverflow(Int(bytes[place] - UInt8(ascii: "0")))
      guard !one, !two else { throw wrong("expected a number below 2⁶³") }
      value = sum
      place += 1
    }
    guard place > start else { throw wrong("expected a whole number that is not negative") }
    return value
  }

  private mutating func string() throws(InvalidInput) -> String {
    try expect("\"")
    var text: [UInt8] = []
    while place < bytes.endIndex, bytes[place] != UInt8(ascii: "\"") {
      var byte = bytes[place]
      guard byte >= 0x20 else { throw wrong("expected no control character") }
      place += 1
      if byte == UInt8(ascii: "\\") {
        guard place < bytes.endIndex else { break }
        byte = bytes[place]
        place += 1
        switch byte {
        case UInt8(ascii: "n"): byte = 0x0A
        case UInt8(ascii: "t"): byte = 0x09
        case UInt8(ascii: "r"): byte = 0x0D
        case UInt8(ascii: "b"): byte = 0x08
        case UInt8(ascii: "f"): byte = 0x0C
        case UInt8(ascii: "u"):
          text += Array(String(try unicodeScalar()).utf8)
          continue
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): break
        default: throw wrong("expected an escape of JSON")
        }
      }
      text.append(byte)
    }
    guard place < bytes.endIndex else { throw wrong("expected a string to end") }
    place += 1
    guard let string = String(validating: text, as: UTF8.self) else { throw wrong("expected UTF-8") }
    return string
  }

  private mutating func unicodeScalar() throws(InvalidInput) -> Unicode.Scalar {
    func unit(_ header: inout SafeTensorsHeader) throws(InvalidInput) -> UInt32 {
      guard header.bytes.endIndex - header.place >= 4,
        let value = UInt32(String(decoding: header.bytes[header.place..<header.place + 4], as: UTF8.self), radix: 16)
      else { throw header.wrong("expected four hexadecimal digits") }
      header.place += 4
      return value
    }
    var value = try unit(&self)
    if (0xD800..<0xDC00).contains(value) {
      guard bytes[place...].starts(with: [UInt8(ascii: "\\"), UInt8(ascii: "u")]) else {
        throw wrong("expected the second half of a surrogate pair")
      }
      place += 2
      let low = try unit(&self)
      value = 0x10000 + (value - 0xD800) << 10 + low &- 0xDC00
    }
    guard let scalar = Unicode.Scalar(value) else { throw wrong("expected a Unicode scalar") }
    return scalar
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard place < bytes.endIndex, bytes[place] == UInt8(ascii: character) else { return false }
    place += 1
    return true
  }

  private mutating func expect(_ character: Unicode.Scalar) throws(InvalidInput) {
    guard take(character) else { throw wrong("expected '\(character)'") }
  }

  private mutating func skipSpace() {
    while place < bytes.endIndex, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[place]) { place += 1 }
  }

  private func wrong(_ expectation: String) -> InvalidInput {
    InvalidInput("header", "\(expectation) at byte \(place - bytes.startIndex)")
  }

  /// Names in messages; a header may be 100 MB of one name.
  private static func short(_ name: String) -> String { String(name.prefix(60)) }
}
