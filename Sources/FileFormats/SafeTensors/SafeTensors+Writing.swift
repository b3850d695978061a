/// Where the tensors of a safetensors file go, before any of them exists: all of one type, side by side, in order.
package struct SafeTensorsLayout: Sendable {
  /// The first bytes of the file.
  package let header: [UInt8]
  /// The length of the whole file.
  package let fileSize: Int
  private let offsets: [String: Int]
  private let type: SafeTensors.Element

  /// Lays out a file.
  ///
  /// - Parameters:
  ///   - tensors: names (each once) and shapes.
  ///   - type: of all of them.
  ///   - metadata: strings to go with them.
  package init(
    tensors: [(name: String, shape: [Int])], type: SafeTensors.Element = .f64, metadata: [(String, String)]
  ) {
    self.type = type
    var text = "{\"__metadata__\":{"
    text += metadata.map { "\(Self.quoted($0.0)):\(Self.quoted($0.1))" }.joined(separator: ",") + "}"
    var offset = 0
    var places: [String: Int] = [:]
    for (name, shape) in tensors {
      precondition(places[name] == nil, "a tensor's name stands once, got \(name) again")
      let end = offset + type.size * shape.reduce(1, *)
      let extents = shape.map(String.init).joined(separator: ",")
      text += ",\(Self.quoted(name)):{\"dtype\":\"\(type.rawValue)\",\"shape\":[\(extents)]"
      text += ",\"data_offsets\":[\(offset),\(end)]}"
      places[name] = offset
      offset = end
    }
    text += "}"
    // Data begins at a multiple of 8, as the format's own writer has it.
    text += String(repeating: " ", count: (8 - text.utf8.count % 8) % 8)
    let length = UInt64(text.utf8.count)
    header = (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + Array(text.utf8)
    fileSize = header.count + offset
    offsets = places.mapValues { [count = header.count] in $0 + count }
  }

  /// The byte at which entry `index` of a tensor begins.
  package func offset(of name: String, entry index: Int = 0) -> Int {
    guard let offset = offsets[name] else { preconditionFailure("\(name) was not laid out") }
    return offset + type.size * index
  }

  /// Numbers as they stand in the file.
  package static func bytes(_ values: UnsafeBufferPointer<Double>) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(8 * values.count)
    for value in values { withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 } }
    return bytes
  }

  /// Numbers as they stand in a file of F32.
  package static func bytes(_ values: UnsafeBufferPointer<Float>) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(4 * values.count)
    for value in values { withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 } }
    return bytes
  }

  private static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": quoted += "\\\(scalar)"
      case "\0"..<" ":
        quoted += "\\u" + String(repeating: "0", count: scalar.value < 16 ? 3 : 2) + String(scalar.value, radix: 16)
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }
}
