import RoutingCore
import Testing

@testable import FileFormats

/// Archives that are written are read again, by the reader that `verify` has; NumPy's reads them, too.
@Suite struct NpzWriterTests {
  /// Bytes as a source.
  private final class Bytes: ByteSource {
    private var left: ArraySlice<UInt8>
    init(_ bytes: [UInt8]) { left = bytes[...] }
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(Refusal) -> Int {
      let count = min(buffer.count, left.count)
      buffer.copyBytes(from: left.prefix(count))
      left.removeFirst(count)
      return count
    }
  }

  private static var archive: [UInt8] {
    var writer = NpzWriter()
    writer.add("header", text: "{}")
    writer.add("1/logits", [1, -.infinity, 0.5, 2, 3, 4], shape: [2, 3])
    writer.add("1/expected/choice", [0, -1], shape: [1, 2])
    writer.add("1/mode", [1], shape: [])
    return writer.finished()
  }

  @Test func membersAreReadAgain() throws {
    let members = ZipMembers(ByteStream(Bytes(Self.archive), name: "test"))
    var names: [String] = []
    while let header = try members.next() {
      names.append(header.name)
      // A wrong checksum or length would be refused here.
      let stream = ByteStream(members.content(of: header), name: header.name)
      let found = try NpyHeader(stream, place: header.name)
      let shapes = ["header": [2], "1/logits": [2, 3], "1/expected/choice": [1, 2], "1/mode": []]
      #expect(found.shape == shapes[header.name])
      while try stream.fill() { stream.consume(stream.available.count) }
    }
    #expect(names == ["header", "1/logits", "1/expected/choice", "1/mode"])
  }

  @Test func theDirectoryIsWhereTheEndSays() throws {
    let bytes = Self.archive
    let end = bytes.count - 22
    #expect(Array(bytes[end..<end + 4]) == [0x50, 0x4B, 5, 6])
    #expect(bytes[end + 10] == 4)
    let start = Int(bytes[end + 16]) | Int(bytes[end + 17]) << 8
    #expect(Array(bytes[start..<start + 4]) == [0x50, 0x4B, 1, 2])
    #expect(Self.archive == bytes)
  }
}
