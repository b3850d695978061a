import RoutingCore

/// The header of NumPy's `.npy` format, versions 1, 2 and 3.
///
/// Magic, two bytes of version, the length of the rest (two bytes in version 1, else four, little endian), and a Python
/// dictionary such as `{'descr': '<f8', 'fortran_order': False, 'shape': (100, 8), }`, padded.
///
/// *Source*: NumPy's NEP 1, "A simple file format for NumPy arrays", and `numpy.lib.format`.
package struct NpyHeader: Equatable {
  package static let magic: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]

  /// A type of number.
  package struct Element: Equatable {
    /// `f`, `i`, `u` or `b`.
    package var kind: Character
    /// 1, 2, 4 or 8.
    package var bytes: Int
    var isBigEndian: Bool
  }

  package var element: Element
  package var shape: [Int]

  /// Longer headers are refused; NumPy does so from 10 000 on.
  package static let longest = 1 << 16

  /// Reads a header off the front of a stream.
  package init(_ stream: ByteStream, place: String) throws(Refusal) {
    func wrong(_ expectation: String) -> Refusal { Refusal(.wrongData, "\(place): \(expectation)") }
    guard try stream.require(10), stream.available.starts(with: Self.magic) else {
      throw wrong("expected an array in .npy format, got something else or less")
    }
    let version = (stream.available[6], stream.available[7])
    guard (1...3).contains(version.0), version.1 == 0 else {
      throw wrong("expected .npy format 1.0, 2.0 or 3.0, got \(version.0).\(version.1)")
    }
    let width = version.0 == 1 ? 2 : 4
    guard try stream.require(8 + width) else { throw wrong("expected a whole header, got the end of the file") }
    let length = (0..<width).reduce(0) { $0 | Int(stream.available[8 + $1]) << (8 * $1) }
    guard length <= Self.longest else {
      throw wrong("expected a header of at most \(Self.longest) bytes, got \(length)")
    }
    guard try stream.require(8 + width + length) else {
      throw wrong("expected a header of \(length) bytes, got the end of the file")
    }
    let text = String(
      decoding: UnsafeRawBufferPointer(rebasing: stream.available[8 + width..<8 + width + length]), as: UTF8.self)
    stream.consume(8 + width + length)
    do throws(InvalidHeader) {
      try self.init(dictionary: text)
    } catch {
      throw wrong(error.expectation)
    }
  }

  package struct InvalidHeader: Error { var expectation: String }

  /// Reads the dictionary.
  package init(dictionary text: String) throws(InvalidHeader) {
    func invalid(_ expectation: String) -> InvalidHeader { InvalidHeader(expectation: expectation) }
    /// What stands after a key, up to a delimiter.
    func entry(_ key: String) throws(InvalidHeader) -> Substring {
      for quote in ["'", "\""] {
        guard let found = text.firstRange(of: "\(quote)\(key)\(quote)") else { continue }
        let rest = text[found.upperBound...].drop { $0 == " " }
        guard rest.first == ":" else { break }
        return rest.dropFirst().drop { $0 == " " }
      }
      throw invalid("expected a header with '\(key)', got \(text.trimmed.clipped(to: 80))")
    }
    let description = try entry("descr")
    guard let quote = description.first, quote == "'" || quote == "\"" else {
      throw invalid("expected an array of numbers, got a structured type")
    }
    let type = description.dropFirst().prefix { $0 != quote }
    let order = type.first ?? " "
    let kind = type.dropFirst().first ?? " "
    guard "<>|=".contains(order), let bytes = Int(type.dropFirst(2)),
      ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"].contains("\(kind)\(bytes)")
    else {
      throw invalid("expected Float16, Float32, Float64 or whole numbers, got the type '\(type.clipped(to: 20))'")
    }
    element = Element(kind: kind, bytes: bytes, isBigEndian: order == ">")

    let isFortran = try entry("fortran_order")
    guard isFortran.hasPrefix("True") || isFortran.hasPrefix("False") else {
      throw invalid("expected a fortran_order of True or False, got \(isFortran.prefix(5))")
    }
    let tuple = try entry("shape")
    guard tuple.first == "(", let close = tuple.firstIndex(of: ")") else {
      throw invalid("expected a shape in parentheses, got \(tuple.prefix(20))")
    }
    var shape: [Int] = []
    for piece in tuple[tuple.index(after: tuple.startIndex)..<close].split(separator: ",") {
      let digits = String(piece).trimmed
      if digits.isEmpty { continue }
      guard let length = Int(digits), length >= 0 else {
        throw invalid("expected whole numbers in the shape, got '\(digits.clipped(to: 20))'")
      }
      shape.append(length)
    }
    self.shape = shape
    guard isFortran.hasPrefix("False") || shape.count < 2 || shape.contains(where: { $0 <= 1 }) else {
      // Its samples end only where the file does, so it cannot be read as a stream.
      throw invalid("expected C order, got Fortran order; save numpy.ascontiguousarray of it")
    }
  }
}

extension String {
  fileprivate var trimmed: String {
    String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
  }

  fileprivate func firstRange(of word: String) -> Range<Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(word) { return start..<index(start, offsetBy: word.count) }
      start = index(after: start)
    }
    return nil
  }
}

extension Substring {
  fileprivate func clipped(to count: Int) -> String { String(self).clipped(to: count) }
}
