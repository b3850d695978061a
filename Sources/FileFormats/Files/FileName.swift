import SystemPackage

/// File names as text.
///
/// A name is any bytes, a `String` is not. So that names pass through options, messages and manifests unchanged, a byte that
/// is not part of UTF-8 becomes a character of a private area, U+F0080 to U+F00FF, and so does every byte of what looks like
/// such a character already; the way back gives the same bytes, for every name.
package enum FileName {
  private static let base: UInt32 = 0xF0000
  private static let escapes = base + 0x80...base + 0xFF

  /// The text that stands for a name.
  package static func text(of bytes: some Collection<UInt8>) -> String {
    var text = String.UnicodeScalarView()
    var rest = Array(bytes)[...]
    while !rest.isEmpty {
      var decoder = UTF8()
      var iterator = rest.makeIterator()
      if case .scalarValue(let scalar) = decoder.decode(&iterator), !escapes.contains(scalar.value) {
        text.append(scalar)
        rest.removeFirst(UTF8.width(scalar))
      } else if let scalar = Unicode.Scalar(base + UInt32(rest.removeFirst())) {
        text.append(scalar)
      }
    }
    return String(text)
  }

  /// The name that a text stands for.
  package static func bytes(of text: String) -> [UInt8] {
    text.unicodeScalars.flatMap { scalar in
      escapes.contains(scalar.value) ? [UInt8(scalar.value - base)] : Array(UTF8.encode(scalar) ?? .init())
    }
  }

  /// A name in a message, where one of no characters would not be seen.
  package static func shown(_ name: String) -> String { name.isEmpty ? "''" : name }

  /// A text for people: what is not UTF-8 is written `\xFF`.
  package static func readable(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: { escapes.contains($0.value) }) else { return text }
    return text.unicodeScalars.map {
      escapes.contains($0.value) ? "\\x" + String($0.value - base, radix: 16, uppercase: true) : String($0)
    }.joined()
  }
}

extension UTF8 {
  fileprivate static func width(_ scalar: Unicode.Scalar) -> Int { UTF8.encode(scalar)?.count ?? 1 }
}

extension FilePath {
  /// The path that a text stands for; what follows a NUL, which no path has, is left out.
  package init(named text: String) {
    let path = (FileName.bytes(of: text) + [0]).withUnsafeBytes { bytes in
      bytes.withMemoryRebound(to: CInterop.PlatformChar.self) { $0.baseAddress.map { FilePath(platformString: $0) } }
    }
    self = path ?? FilePath()
  }

  /// The text that stands for the path.
  package var text: String {
    withPlatformString { pointer in
      var bytes: [UInt8] = []
      var k = 0
      while pointer[k] != 0 {
        bytes.append(UInt8(bitPattern: pointer[k]))
        k += 1
      }
      return FileName.text(of: bytes)
    }
  }
}
