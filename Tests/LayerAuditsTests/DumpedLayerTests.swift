import FileFormats
import LayerAudits
import RouterSpecifications
import RoutingCore
import Testing
import _TestSupport

@Suite(.seeded) struct DumpedLayerTests {
  /// A file of two tokens and two experts: its header is most of it.
  private static let small: [UInt8] = {
    let tensors = [
      ("input", [2, 2]), ("router.weight", [2, 2]), ("experts.w1", [2, 3, 2]), ("experts.w2", [2, 2, 3]),
      ("scale", [2]), ("target", [2, 2]),
    ]
    let layout = SafeTensorsLayout(
      tensors: tensors, metadata: [("schema", DumpedLayer.schemas[0]), ("activation", "gelu"), ("residual", "add")])
    return layout.header + [UInt8](repeating: 0, count: layout.fileSize - layout.header.count)
  }()

  /// No router has a name here.
  static func none(_ text: String, experts: Int) throws(InvalidInput) -> RouterSpecification {
    throw InvalidInput("", "expected no router")
  }

  @Test("changed bytes never crash, and are either refused or another layer")
  func fuzz() throws {
    _ = try DumpedLayer(Self.small, specification: Self.none)
    var random = TestSeed.generator("fuzz")
    let header = Self.small.count - 8 * 42
    var refused = 0
    for _ in 0..<2000 {
      var bytes = Self.small
      switch Int(random.next() % 4) {
      case 0: bytes.removeLast(Int(random.next() % UInt64(bytes.count)) + 1)
      case 1: bytes[Int(random.next() % 8)] = UInt8(truncatingIfNeeded: random.next())
      default:
        for _ in 0..<(1 + random.next() % 4) {
          bytes[Int(random.next() % UInt64(header))] = UInt8(truncatingIfNeeded: random.next() % 128)
        }
      }
      do {
        _ = try DumpedLayer(bytes, specification: Self.none)
      } catch {
        refused += 1
        if "\(error)".contains(where: \.isNewline) { Issue.record("\(error)") }
      }
    }
    #expect(refused > 1000)
  }
}
