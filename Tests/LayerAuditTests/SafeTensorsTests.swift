import LayerAudit
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
      (file("{"), "expected '\"'"),
      (file("{} x"), "expected the header to end"),
      (file("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"), "offsets up to 0"),
      (file("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", data: [0, 0, 0, 0]), "in order"),
      (file("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", data: [0, 0, 0, 0]), "expected 8 bytes"),
      (file("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", data: [0, 0, 0, 0]), "not negative"),
      (file("{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", data: [0, 0, 0, 0]), "a type of numbers"),
      (file("{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,9],\"data_offsets\":[0,4]}}"), "product fits"),
      (file("{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]}}"), "below 2⁶³"),
      (file("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", data: [0, 0]), "expected"),
      (file("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", data: [0, 0]), "begin where others' end"),
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
      (file("{\"__metadata__\":{\"k\":1}}"), "expected '\"'"),
      (file("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}"), "once"),
      (file("{\"a\":{\"dtype\":\"U8\"}}"), "expected dtype, shape and two data_offsets"),
      (file("{\"\\ud800x\":{}}"), "surrogate"),
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
    for bits in stride(from: 0, to: 65536, by: 1) {
      let bytes = [UInt8(bits & 0xFF), UInt8(bits >> 8)]
      let brain = Double(Float(bitPattern: UInt32(bits) << 16))
      let header = "{\"x\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[0,2]}}"
      let read = try? SafeTensors(file(header, data: bytes)).numbers("x")
      #expect(read == (brain.isFinite ? [brain] : nil))
      #if !((os(macOS) || targetEnvironment(macCatalyst)) && arch(x86_64))
        let half = Double(Float16(bitPattern: UInt16(bits)))
        let other = try? SafeTensors(file(header.replacing("BF16", with: "F16"), data: bytes)).numbers("x")
        #expect(other == (half.isFinite ? [half] : nil))
      #endif
    }
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

  @Test("changed bytes never crash, and are either refused or another layer")
  func fuzz() throws {
    let original = try Fixtures.bytes("layers/switch-block.safetensors")
    var random = TestSeed.generator("fuzz")
    var refused = 0
    for _ in 0..<2000 {
      var bytes = original
      switch Int(random.next() % 4) {
      case 0: bytes.removeLast(Int(random.next() % UInt64(bytes.count)) + 1)
      case 1: bytes[Int(random.next() % 8)] = UInt8(truncatingIfNeeded: random.next())
      default:
        for _ in 0..<(1 + random.next() % 4) {
          bytes[8 + Int(random.next() % 1000)] = UInt8(truncatingIfNeeded: random.next() % 128)
        }
      }
      do {
        _ = try DumpedLayer(bytes)
      } catch {
        refused += 1
        #expect(!"\(error)".contains("\n"))
      }
    }
    #expect(refused > 1000)
  }
}
