internal import CZlib
import RoutingCore

/// The members of a ZIP archive in the order in which they stand, read as a stream: without the directory at its end, which
/// a pipe does not reach in time.
///
/// Stored and deflated members, ZIP64, sizes before or after the data. A stored member whose size comes after it cannot be
/// told from what follows and is refused.
///
/// *Source*: PKWARE's APPNOTE.TXT 6.3, sections 4.3.7, 4.3.9 and 4.5.3.
package final class ZipMembers {
  /// A member's header.
  package struct Header {
    /// Without `.npy`.
    package var name: String
    var isDeflated: Bool
    var compressedSize: Int
    var checksum: UInt32
    /// Whether sizes and checksum come after the data.
    var isDescribedAfterwards: Bool
  }

  private let bytes: ByteStream

  package init(_ bytes: ByteStream) { self.bytes = bytes }

  /// The next member's header; nil where the directory begins.
  package func next() throws(Refusal) -> Header? {
    guard try bytes.require(4) else { throw truncated() }
    let signature = number(0, 4)
    if signature == 0x0201_4B50 || signature == 0x0605_4B50 || signature == 0x0606_4B50 { return nil }
    guard signature == 0x0403_4B50 else { throw wrong("expected a member of a ZIP archive, got other bytes") }
    guard try bytes.require(30) else { throw truncated() }
    let (flags, method) = (number(6, 2), number(8, 2))
    let (nameLength, extraLength) = (number(26, 2), number(28, 2))
    let checksum = UInt32(number(14, 4))
    var size = number(18, 4)
    guard try bytes.require(30 + nameLength + extraLength) else { throw truncated() }
    var name = String(
      decoding: UnsafeRawBufferPointer(rebasing: bytes.available[30..<30 + nameLength]), as: UTF8.self)
    if name.hasSuffix(".npy") { name.removeLast(4) }
    if size == 0xFFFF_FFFF { size = extendedSize(from: 30 + nameLength, to: 30 + nameLength + extraLength) ?? size }
    bytes.consume(30 + nameLength + extraLength)
    let shown = name.clipped(to: 40)
    guard flags & 1 == 0 else { throw wrong("\(shown): expected a member that is not encrypted") }
    guard method == 0 || method == 8 else {
      throw wrong("\(shown): expected a stored or deflated member, got compression method \(method)")
    }
    let isDescribedAfterwards = flags & 8 != 0
    guard method == 8 || !isDescribedAfterwards else {
      throw wrong("\(shown): expected its size before a stored member, got it after; write to a file, or compress")
    }
    return Header(
      name: name, isDeflated: method == 8, compressedSize: size, checksum: checksum,
      isDescribedAfterwards: isDescribedAfterwards)
  }

  /// The content of the member whose header was read last.
  package func content(of header: Header) -> ZipContent { ZipContent(header, bytes) }

  /// Passes over the member whose header was read last.
  package func skip(_ header: Header) throws(Refusal) {
    guard header.isDescribedAfterwards else {
      guard try bytes.skip(header.compressedSize) else { throw truncated() }
      return
    }
    let content = content(of: header)
    try withScratch { (scratch) throws(Refusal) in while try content.read(into: scratch) > 0 {} }
    // The descriptor: a signature that may be missing, the checksum, and sizes of four or of eight bytes.
    for length in [16, 24, 12, 20] {
      guard try bytes.require(length + 4) else { continue }
      if [0x0403_4B50, 0x0201_4B50].contains(number(length, 4)) {
        bytes.consume(length)
        return
      }
    }
    throw wrong("expected another member or the directory, got other bytes")
  }

  private func withScratch(
    _ body: (UnsafeMutableRawBufferPointer) throws(Refusal) -> Void
  ) throws(Refusal) {
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    defer { scratch.deallocate() }
    try body(scratch)
  }

  /// The compressed size in the ZIP64 field, which stands after the other one.
  private func extendedSize(from start: Int, to end: Int) -> Int? {
    var position = start
    while position + 4 <= end {
      let (id, length) = (number(position, 2), number(position + 2, 2))
      if id == 1, length >= 16, position + 4 + 16 <= end { return number(position + 12, 8) }
      position += 4 + length
    }
    return nil
  }

  /// Little-endian bytes of what is buffered.
  private func number(_ offset: Int, _ count: Int) -> Int {
    Int(truncatingIfNeeded: (0..<count).reduce(UInt64(0)) { $0 | UInt64(bytes.available[offset + $1]) << (8 * $1) })
  }

  private func truncated() -> Refusal { wrong("expected more of the archive, got its end (the file is truncated)") }

  private func wrong(_ expectation: String) -> Refusal {
    Refusal(.wrongData, "\(bytes.name): \(expectation)")
  }
}

/// The uncompressed bytes of a member, its checksum looked at in the end.
package final class ZipContent: ByteSource {
  private let header: ZipMembers.Header
  private let bytes: ByteStream
  private var left: Int
  private var isAtEnd = false
  private var checksum: UInt = 0
  private let inflater: UnsafeMutablePointer<z_stream>?

  package init(_ header: ZipMembers.Header, _ bytes: ByteStream) {
    self.header = header
    self.bytes = bytes
    left = header.compressedSize
    guard header.isDeflated else {
      inflater = nil
      return
    }
    let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    stream.initialize(to: z_stream())
    inflater = rg_inflate_raw_init(stream) == Z_OK ? stream : nil
    if inflater == nil { stream.deallocate() }
  }

  deinit {
    if let inflater {
      inflateEnd(inflater)
      inflater.deallocate()
    }
  }

  package func read(into buffer: UnsafeMutableRawBufferPointer) throws(Refusal) -> Int {
    guard !isAtEnd, !buffer.isEmpty else { return 0 }
    let count = header.isDeflated ? try inflate(into: buffer) : try copy(into: buffer)
    let produced = buffer.bindMemory(to: UInt8.self)
    checksum = crc32(checksum, produced.baseAddress, UInt32(count))
    if isAtEnd || count == 0 {
      isAtEnd = true
      guard header.isDescribedAfterwards || UInt32(truncatingIfNeeded: checksum) == header.checksum else {
        throw wrong("expected the checksum that stands in the archive, got another (the file is damaged)")
      }
    }
    return count
  }

  private func copy(into buffer: UnsafeMutableRawBufferPointer) throws(Refusal) -> Int {
    guard left > 0 else { return 0 }
    guard try bytes.require(1) else { throw truncated() }
    let count = min(left, buffer.count, bytes.available.count)
    buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes.available[..<count]))
    bytes.consume(count)
    left -= count
    return count
  }

  private func inflate(into buffer: UnsafeMutableRawBufferPointer) throws(Refusal) -> Int {
    guard let inflater else { throw wrong("cannot be decompressed: no memory") }
    let output = buffer.bindMemory(to: UInt8.self)
    inflater.pointee.next_out = output.baseAddress
    inflater.pointee.avail_out = UInt32(min(buffer.count, 1 << 30))
    let room = inflater.pointee.avail_out
    while true {
      guard try bytes.require(1) else { throw truncated() }
      let input = bytes.available.bindMemory(to: UInt8.self)
      let given = UInt32(min(input.count, 1 << 30))
      inflater.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
      inflater.pointee.avail_in = given
      let status = CZlib.inflate(inflater, Z_NO_FLUSH)
      bytes.consume(Int(given - inflater.pointee.avail_in))
      let count = Int(room - inflater.pointee.avail_out)
      if status == Z_STREAM_END {
        isAtEnd = true
        return count
      }
      guard status == Z_OK || status == Z_BUF_ERROR else { throw wrong("expected deflated data, got other bytes") }
      if count > 0 { return count }
    }
  }

  private func truncated() -> Refusal { wrong("expected more data, got the end (the file is truncated)") }

  private func wrong(_ expectation: String) -> Refusal {
    Refusal(.wrongData, "\(bytes.name): \(header.name.clipped(to: 40)): \(expectation)")
  }
}
