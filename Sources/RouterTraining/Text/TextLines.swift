import RoutingCore

/// The lines of a text file, checked to be UTF-8. A line ends at `\n`, and the last one may go without; a `\r` before it is whitespace.
package struct TextLines: Sendable {
  /// The file's name, for messages.
  package let name: String
  private let bytes: [UInt8]
  private let ranges: [Range<Int>]

  /// Takes a file apart.
  ///
  /// - Throws: `InvalidInput` that names file and line if it is not UTF-8, or if it has no line.
  package init(_ bytes: [UInt8], name: String) throws(InvalidInput) {
    guard !bytes.isEmpty else { throw InvalidInput(name, "expected at least one line, the file is empty") }
    self.name = name
    self.bytes = bytes
    var ranges: [Range<Int>] = []
    var start = 0
    bytes.withUnsafeBufferPointer { bytes in
      for k in 0..<bytes.count where bytes[k] == 0x0A {
        ranges.append(start..<k)
        start = k + 1
      }
    }
    if start < bytes.count { ranges.append(start..<bytes.count) }
    self.ranges = ranges
    if let offset = Self.firstFault(bytes) {
      let line = ranges.firstIndex { $0.upperBound > offset } ?? 0
      throw InvalidInput(
        "\(name): line \(line + 1)",
        "expected UTF-8, byte \(offset - ranges[line].lowerBound + 1) is 0x\(String(bytes[offset], radix: 16))")
    }
  }

  /// The number of lines.
  package var count: Int { ranges.count }

  /// Line `k`, from 0.
  package subscript(k: Int) -> String { String(decoding: bytes[ranges[k]], as: UTF8.self) }

  /// The words of line `k`.
  func words(_ k: Int) -> [Word] {
    bytes.withUnsafeBufferPointer { bytes in
      let line = UnsafeBufferPointer(rebasing: bytes[ranges[k]])
      return Whitespace.words(line).map { Word(line[$0]) }
    }
  }

  /// The bytes of line `k`.
  func bytes(_ k: Int) -> ArraySlice<UInt8> { bytes[ranges[k]] }

  /// Where the first byte stands that is not UTF-8.
  private static func firstFault(_ bytes: [UInt8]) -> Int? {
    do throws(UTF8.ValidationError) {
      _ = try UTF8Span(validating: bytes.span)
      return nil
    } catch {
      return error.byteOffsets.lowerBound
    }
  }

  /// Throws unless two files have the same number of lines.
  ///
  /// - Throws: `InvalidInput` that names both.
  package static func requireParallel(_ a: TextLines, _ b: TextLines) throws(InvalidInput) {
    guard a.count == b.count else {
      throw InvalidInput("\(a.name), \(b.name)", "expected as many lines in both, got \(a.count) and \(b.count)")
    }
  }
}
