internal import CZlib

/// Writes a NumPy archive, `.npz`: stored members of `.npy`, little endian, the same bytes for the same arrays.
///
/// *Source*: PKWARE's APPNOTE.TXT 6.3; NumPy's NEP 1.
package struct NpzWriter {
  /// The members so far, and the directory's entries for them.
  private var bytes: [UInt8] = []
  private var directory: [UInt8] = []
  private var count = 0

  /// An empty archive.
  package init() {}

  /// Adds an array of Float64, row by row.
  ///
  /// - Precondition: there are as many numbers as the shape has.
  package mutating func add(_ name: String, _ numbers: [Double], shape: [Int]) {
    precondition(numbers.count == shape.reduce(1, *), "\(numbers.count) numbers for the shape \(shape)")
    add(name, type: "<f8", shape: shape, numbers.flatMap { Self.littleEndian($0.bitPattern) })
  }

  /// Adds an array of whole numbers, row by row.
  ///
  /// - Precondition: there are as many numbers as the shape has.
  package mutating func add(_ name: String, _ numbers: [Int], shape: [Int]) {
    precondition(numbers.count == shape.reduce(1, *), "\(numbers.count) numbers for the shape \(shape)")
    add(name, type: "<i8", shape: shape, numbers.flatMap { Self.littleEndian(UInt64(bitPattern: Int64($0))) })
  }

  /// Adds a text as an array of bytes.
  package mutating func add(_ name: String, text: String) {
    add(name, type: "|u1", shape: [text.utf8.count], Array(text.utf8))
  }

  /// The archive. It has less than 4 GiB and 65536 members, beyond which it would need ZIP64.
  package consuming func finished() -> [UInt8] {
    let start = bytes.count
    bytes += directory
    bytes += Self.littleEndian(0x0605_4B50 as UInt32) + [0, 0, 0, 0]
    bytes += Self.littleEndian(UInt16(count)) + Self.littleEndian(UInt16(count))
    bytes += Self.littleEndian(UInt32(directory.count)) + Self.littleEndian(UInt32(start)) + [0, 0]
    return bytes
  }

  private mutating func add(_ name: String, type: String, shape: [Int], _ data: [UInt8]) {
    let extents = shape.map { "\($0), " }.joined()
    var header =
      "{'descr': '\(type)', 'fortran_order': False, 'shape': (\(extents.dropLast(shape.count == 1 ? 1 : 2))), }"
    header += String(repeating: " ", count: (64 - (11 + header.utf8.count) % 64) % 64) + "\n"
    let content = NpyHeader.magic + [1, 0] + Self.littleEndian(UInt16(header.utf8.count)) + Array(header.utf8) + data
    let file = Array("\(name).npy".utf8)
    let checksum = content.withUnsafeBufferPointer { UInt32(crc32(0, $0.baseAddress, UInt32($0.count))) }
    // Version 2.0, no flags, stored, 1980-01-01 00:00.
    var fields: [UInt8] = [20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0]
    fields += Self.littleEndian(checksum) + Self.littleEndian(UInt32(content.count))
    fields += Self.littleEndian(UInt32(content.count)) + Self.littleEndian(UInt16(file.count)) + [0, 0]
    let place = Self.littleEndian(UInt32(bytes.count))
    bytes += Self.littleEndian(0x0403_4B50 as UInt32) + fields + file + content
    // No comment, first disk, no attributes.
    directory +=
      Self.littleEndian(0x0201_4B50 as UInt32) + [20, 0] + fields + [UInt8](repeating: 0, count: 10) + place + file
    count += 1
  }

  private static func littleEndian<Word: FixedWidthInteger>(_ word: Word) -> [UInt8] {
    (0..<Word.bitWidth / 8).map { UInt8(truncatingIfNeeded: word >> Word($0 * 8)) }
  }
}
