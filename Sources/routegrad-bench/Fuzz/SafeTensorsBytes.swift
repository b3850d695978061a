import FileFormats

/// A `.safetensors` file in two halves, its header a tree.
struct SafeTensorsBytes {
  var header: FuzzTree
  var data: [UInt8]

  /// A file of tensors, each with its type, shape and bytes.
  init(metadata: [(String, String)], _ tensors: [(name: String, type: String, shape: [Int], bytes: [UInt8])]) {
    header = .object([("__metadata__", .object(metadata.map { ($0.0, .text($0.1)) }))])
    data = []
    for tensor in tensors {
      header[tensor.name] = [
        "dtype": .text(tensor.type), "shape": FuzzTree(tensor.shape),
        "data_offsets": FuzzTree([data.count, data.count + tensor.bytes.count]),
      ]
      data += tensor.bytes
    }
  }

  /// Takes a file apart that is one.
  init?(_ bytes: [UInt8]) {
    guard bytes.count >= 8 else { return nil }
    let length = bytes[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard length <= bytes.count - 8, let value = try? JSONParser.parse(Array(bytes[8..<8 + length])) else { return nil }
    header = FuzzTree(value)
    data = Array(bytes[(8 + length)...])
  }

  /// The file; the header's length is right unless `length` says otherwise.
  func bytes(length: UInt64? = nil) -> [UInt8] {
    var text = header.bytes
    text += [UInt8](repeating: 0x20, count: (8 - text.count % 8) % 8)
    var bytes: [UInt8] = []
    bytes.append(littleEndian: length ?? UInt64(text.count))
    return bytes + text + data
  }

  /// Numbers as a type of tensors stores them.
  static func bytes(_ numbers: [Double], as type: String) -> [UInt8] {
    var bytes: [UInt8] = []
    for number in numbers {
      switch type {
      case "F64": bytes.append(littleEndian: number.bitPattern)
      case "F16": bytes.append(littleEndian: halfPrecision(number))
      case "BF16": bytes.append(littleEndian: UInt16(truncatingIfNeeded: Float(number).bitPattern >> 16))
      case "I64": bytes.append(littleEndian: Int64(number))
      default: bytes.append(littleEndian: Float(number).bitPattern)
      }
    }
    return bytes
  }

  /// Float16 without its type, which not every platform has: cut off, not rounded; small numbers are 0.
  private static func halfPrecision(_ number: Double) -> UInt16 {
    let bits = Float(number).bitPattern
    let sign = UInt16(truncatingIfNeeded: bits >> 16) & 0x8000
    let exponent = Int((bits >> 23) & 0xFF) - 112
    if exponent >= 31 { return sign | 0x7C00 }
    return exponent < 1 ? sign : sign | UInt16(exponent) << 10 | UInt16((bits >> 13) & 0x3FF)
  }
}
