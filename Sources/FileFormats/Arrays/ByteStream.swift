import CStandardLibrary
import RoutingCore

/// Bytes of a source, buffered: what readers of sample files read from.
///
/// Memory: the buffer, which grows only for a line longer than itself, up to ``longestLine``.
package final class ByteStream {
  /// Longer lines are refused, so that a stream without line feeds ends.
  package static let longestLine = 1 << 22

  /// What the stream is called in messages.
  package let name: String
  private let source: any ByteSource
  private var buffer: UnsafeMutableRawBufferPointer
  private var start = 0
  private var end = 0
  private var isAtEnd = false

  package init(_ source: any ByteSource, name: String) {
    self.source = source
    self.name = name
    buffer = .allocate(byteCount: 1 << 16, alignment: 16)
  }

  deinit { buffer.deallocate() }

  /// What is buffered and not yet consumed.
  package var available: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: buffer[start..<end]) }

  /// Takes bytes off the front of ``available``.
  package func consume(_ count: Int) { start += count }

  /// Reads more bytes into the buffer, whose free room is made larger if there is none; returns whether any came.
  package func fill() throws(Refusal) -> Bool {
    guard !isAtEnd else { return false }
    if start == end { (start, end) = (0, 0) }
    if end == buffer.count {
      if start > 0 {
        if let base = buffer.baseAddress { memmove(base, base + start, end - start) }
        (start, end) = (0, end - start)
      } else {
        let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 * buffer.count, alignment: 16)
        larger.copyMemory(from: UnsafeRawBufferPointer(buffer))
        buffer.deallocate()
        buffer = larger
      }
    }
    let count = try source.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[end...]))
    end += count
    isAtEnd = count == 0
    return count > 0
  }

  /// Buffers at least so many bytes; returns whether there are that many.
  package func require(_ count: Int) throws(Refusal) -> Bool {
    while end - start < count { guard try fill() else { return false } }
    return true
  }

  /// Passes over bytes; returns whether there were that many, as far as that is seen.
  package func skip(_ count: Int) throws(Refusal) -> Bool {
    var left = count
    while left > 0 {
      if start == end {
        if source.skip(left) { return true }
        guard try fill() else { return false }
      }
      let step = min(left, end - start)
      start += step
      left -= step
    }
    return true
  }

  /// Whether a whole line, or the last one without a line feed, stands in the buffer already.
  package var hasLine: Bool { available.baseAddress.map { memchr($0, 10, end - start) != nil } ?? false }

  /// The next line without its line end, closed by a zero byte; nil at the end of the stream. It is valid until the next
  /// call.
  ///
  /// - Parameter number: the line's number, for the message if it is too long.
  package func line(number: Int) throws(Refusal) -> UnsafeMutableBufferPointer<UInt8>? {
    var searched = 0
    while true {
      if let base = buffer.baseAddress, end - start > searched,
        let found = memchr(base + start + searched, 10, end - start - searched)
      {
        let length = UnsafeMutableRawPointer(found) - (base + start)
        let line = take(length)
        start += 1
        return line
      }
      searched = end - start
      guard searched <= Self.longestLine else {
        throw Refusal(
          .wrongData, "\(name): line \(number): expected a line of at most \(Self.longestLine) bytes, got a longer one")
      }
      if try !fill() {
        guard start < end else { return nil }
        // Room for the zero byte.
        if end == buffer.count {
          isAtEnd = false
          while try fill() {}
        }
        return take(end - start)
      }
    }
  }

  private func take(_ length: Int) -> UnsafeMutableBufferPointer<UInt8> {
    var length = length
    let line = UnsafeMutableRawBufferPointer(rebasing: buffer[start..<start + length + 1])
    start += length
    if length > 0, line[length - 1] == 13 { length -= 1 }
    line[length] = 0
    return UnsafeMutableBufferPointer(rebasing: line.bindMemory(to: UInt8.self)[..<length])
  }
}
