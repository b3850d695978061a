import FileFormats
import RoutingCore
import Testing
import _TestSupport

/// A file from its header's text and its data.
private func file(_ header: String, data: [UInt8] = [], length: UInt64? = nil) -> [UInt8] {
  let length = length ?? UInt64(header.utf8.count)
  return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + Array(header.utf8) + data
}

@Suite(.seeded) struct SafeTensorsTests {
  @Test(
    "hostile files are refused in one line",
    arguments: [
      ([UInt8](), "at least 8 bytes"),
      (file("{}", length: 1 << 60), "at most 100000000 bytes"),
      (file("{}", length: .max), "at most 100000000 bytes"),
      (file("{}", length: 3), "the file has 2 left"),
      (file(""), "expected '{'"),
      (file("{"), "expected a key in double quotes"),
      (file("{} x"), "expected the end of the text"),
      (file("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"), "offsets up to 0"),
      (file("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", data: [0, 0, 0, 0]), "in order"),
      (
        file("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", data: [0, 0, 0, 0]), "expected 8 bytes"
      ),
      (
        file("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", data: [0, 0, 0, 0]),
        "from 0 to 2⁵³, got -1"
      ),
      (
        file("{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", data: [0, 0, 0, 0]),
        "a type of numbers"
      ),
      (
        file("{\"a\":{\"dtype\":\"F32\",\"shape\":[9007199254740991,9007199254740991],\"data_offsets\":[0,4]}}"),
        "product fits"
      ),
      (file("{\"a\":{\"dtype\":\"F32\",\"shape\":[9007199254740993],\"data_offsets\":[0,4]}}"), "from 0 to 2⁵³"),
      (file("{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}"), "got 1.5"),
      (file("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[1152921504606846976,4]}}"), "from 0 to 2⁵³"),
      (file("{\"a\":{\"dtype\":\"F32\",\"shape\":[NaN],\"data_offsets\":[0,4]}}"), "expected a finite number"),
      (file("{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]}}"), "from 0 to 2⁵³"),
      (file("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", data: [0, 0]), "expected"),
      (
        file("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", data: [0, 0]), "begin where others' end"
      ),
      (
        file(
          "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
          data: [0, 0, 0]), "overlaps"
      ),
      (
        file(
          "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
          data: [0, 0]), "got it twice"
      ),
      (file("{\"__metadata__\":{\"k\":\"v\",\"k\":\"w\"}}"), "got it twice"),
      (file("{\"__metadata__\":{\"k\":1}}"), "__metadata__.k: expected a string, got a number"),
      (file("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}"), "once"),
      (file("{\"a\":{\"dtype\":\"U8\"}}"), "a.data_offsets: expected a list of numbers, the field is missing"),
      (file("{\"a\\nb\":{}}"), "a\\nb: expected names on one line"),
      (file("{\"a\n"), "without control characters"),
      (file(" {}"), "expected '{' at its first byte"),
      (file("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", data: [0]), "no such field"),
      (file("{\"\\ud800x\":{}}"), "a valid escape sequence"),
    ])
  func hostile(_ bytes: [UInt8], _ complaint: String) {
    #expect { try SafeTensors(bytes) } throws: { error in
      let text = "\(error)"
      return error is InvalidInput && text.contains(complaint) && !text.contains("\n") && text.utf8.count < 300
    }
  }

  @Test("numbers are read exactly")
  func numbers() throws {
    // F16: 1, −2, the smallest subnormal, the largest number; BF16: 1, −2.5; F32: a third; F64: a third.
    let third = (1.0 / 3).bitPattern
    let single = (Float(1) / 3).bitPattern
    let data: [UInt8] =
      [0x00, 0x3C, 0x00, 0xC0, 0x01, 0x00, 0xFF, 0x7B, 0x80, 0x3F, 0x20, 0xC0]
      + (0..<4).map { UInt8(truncatingIfNeeded: single >> (8 * $0)) }
      + (0..<8).map { UInt8(truncatingIfNeeded: third >> (8 * $0)) }
    let header = """
      {"h":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]},
      "f":{"dtype":"F32","shape":[],"data_offsets":[12,16]},"d":{"dtype":"F64","shape":[1],"data_offsets":[16,24]}}
      """
    let read = try SafeTensors(file(header, data: data))
    #expect(try read.numbers("h") == [1, -2, 0x1p-24, 65504])
    #expect(try read.numbers("b") == [1, -2.5])
    #expect(try read.numbers("f") == [Double(Float(1) / 3)])
    #expect(try read.numbers("d") == [1.0 / 3])
    #expect(read.tensors["f"]?.shape == [])
  }

  @Test("every binary16 and bfloat16 is read as the processor would")
  func halves() throws {
    func read(_ type: String, _ bits: [UInt16]) throws -> [Double] {
      let header = "{\"x\":{\"dtype\":\"\(type)\",\"shape\":[\(bits.count)],\"data_offsets\":[0,\(2 * bits.count)]}}"
      return try SafeTensors(file(header, data: bits.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] })).numbers("x")
    }
    func check(_ type: String, _ value: (UInt16) -> Double) throws {
      let finite = (0...UInt16.max).filter { value($0).isFinite }
      #expect(try read(type, finite) == finite.map(value))
      for bits in (0...UInt16.max).filter({ !value($0).isFinite }) {
        if (try? read(type, [bits])) != nil { Issue.record("\(type) \(bits) was read") }
      }
    }
    try check("BF16") { Double(Float(bitPattern: UInt32($0) << 16)) }
    #if !((os(macOS) || targetEnvironment(macCatalyst)) && arch(x86_64))
      try check("F16") { Double(Float16(bitPattern: $0)) }
    #endif
  }

  @Test("what the layout says is what is read back")
  func layout() throws {
    let layout = SafeTensorsLayout(tensors: [("a/\"b\"", [2, 3]), ("c", [1])], metadata: [("note", "é\u{1}")])
    var bytes = layout.header + [UInt8](repeating: 0, count: layout.fileSize - layout.header.count)
    let values = (0..<6).map { 0.1 * Double($0) }
    values.withUnsafeBufferPointer {
      let start = layout.offset(of: "a/\"b\"")
      bytes.replaceSubrange(start..<start + 48, with: SafeTensorsLayout.bytes($0))
    }
    let read = try SafeTensors(bytes)
    #expect(try read.numbers("a/\"b\"") == values)
    #expect(try read.numbers("c") == [0])
    #expect(read.metadata == ["note": "é\u{1}"])
  }
}
