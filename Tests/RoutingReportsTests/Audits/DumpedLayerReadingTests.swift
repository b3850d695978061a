import FileFormats
import Foundation
import LayerAudits
import RoutingCore
import RoutingEstimators
import RoutingReports
import Synchronization
import Testing
import _TestSupport

/// Files of `routegrad.layer/2`: what is read, what is refused, and PyTorch's gradients of blocks of transformers.
@Suite(.seeded) struct DumpedLayerReadingTests {
  private static let specification =
    #"{"schema":"routegrad.router-spec/1","name":"two","experts":4,"selection":{"kind":"top-k","count":2},"#
    + #""selectionBias":true,"gate":{"of":"score","normalized":true,"perExpertScale":true}}"#

  /// A layer with everything, T = 2, N = 4, d = e = 3, h = 2.
  private static let tensors: [(name: String, shape: [Int])] = [
    ("input", [2, 3]), ("router.weight", [4, 3]), ("router.bias", [4]), ("router.selection_bias", [4]),
    ("router.expert_scales", [4]), ("experts.w1", [4, 2, 3]), ("experts.b1", [4, 2]), ("experts.w3", [4, 2, 3]),
    ("experts.b3", [4, 2]), ("experts.w2", [4, 3, 2]), ("experts.b2", [4, 3]), ("experts.stand_ins", [4, 3]),
    ("shared.w1", [1, 5, 3]), ("shared.b1", [1, 5]), ("shared.w3", [1, 5, 3]), ("shared.b3", [1, 5]),
    ("shared.w2", [1, 3, 5]), ("shared.b2", [1, 3]), ("shared.gate", [1, 3]), ("scale", [3]), ("upstream", [2, 3]),
  ]
  private static let metadata = [
    "schema": "routegrad.layer/2", "activation": "silu", "residual": "add", "router": specification,
  ]

  private static func file(
    _ tensors: [(name: String, shape: [Int])] = tensors, _ metadata: [String: String] = metadata
  ) -> [UInt8] {
    let layout = SafeTensorsLayout(
      tensors: tensors, metadata: metadata.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
    return layout.header + [UInt8](repeating: 0, count: layout.fileSize - layout.header.count)
  }

  private static func with(_ name: String, _ shape: [Int]?) -> [(name: String, shape: [Int])] {
    var found = tensors.filter { $0.name != name || shape != nil }
    if let shape {
      if let place = found.firstIndex(where: { $0.name == name }) {
        found[place].shape = shape
      } else {
        found.append((name, shape))
      }
    }
    return found
  }

  private static func expectRefusal(_ bytes: [UInt8], _ path: String, _ words: String) {
    do {
      _ = try DumpedLayer(bytes)
      Issue.record("\(path) is not refused")
    } catch {
      #expect(error.path == path, "\(error)")
      #expect(error.expectation.contains(words) && !error.description.contains(where: \.isNewline), "\(error)")
    }
  }

  @Test("a file with everything is read, and so is every activation")
  func everything() throws {
    let layer = try DumpedLayer(Self.file())
    #expect(layer.choosesExperts && layer.tokens == 2)
    for activation in ["relu", "gelu", "gelu-tanh", "silu", "clamped-swiglu"] {
      _ = try DumpedLayer(Self.file(Self.tensors, Self.metadata.merging(["activation": activation]) { $1 }))
    }
  }

  @Test("a tensor of another shape, and one with a number that is none", arguments: tensors.indices)
  func shapes(_ place: Int) {
    let (name, shape) = Self.tensors[place]
    // A vector or a matrix of another length, or a rank that no tensor has.
    Self.expectRefusal(Self.file(Self.with(name, shape + [1])), name, "expected")
    let layout = SafeTensorsLayout(
      tensors: Self.tensors, metadata: Self.metadata.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
    var bytes = Self.file()
    let last = layout.offset(of: name, entry: shape.reduce(1, *) - 1)
    bytes.replaceSubrange(last + 6..<last + 8, with: [0xF8, 0x7F])
    Self.expectRefusal(bytes, "\(name)[\(shape.reduce(1, *) - 1)]", "expected a finite number, got nan")
  }

  @Test("what does not go together")
  func combinations() {
    for (name, shape, path, words) in [
      ("router.selection_bias", nil, "router.selection_bias", "expected a tensor [experts]"),
      ("router.expert_scales", nil, "router.expert_scales", "expected a tensor [experts]"),
      ("experts.b3", nil, "experts.b3", "as there is experts.b1"),
      ("experts.w3", nil, "experts.b3", "without experts.w3"),
      ("experts.b1", nil, "experts.b3", "without experts.b1"), ("shared.w1", nil, "shared.b1", "without shared.w1"),
      ("shared.w2", nil, "shared.w2", "expected the shape [1, 3, 5]"), ("upstream", nil, "target", "or upstream"),
      ("target", [2, 3], "target", "or upstream"), ("labels", [2], "target", "or upstream"),
      ("experts.w4", [1], "experts.w4", "expected no such tensor"), ("shared.gate", [2, 3], "shared.gate", "[1, 3]"),
    ] as [(String, [Int]?, String, String)] {
      Self.expectRefusal(Self.file(Self.with(name, shape)), path, words)
    }
    for (key, value, path, words) in [
      ("activation", "tanh", "__metadata__.activation", "relu, gelu, silu, gelu-tanh or"),
      ("schema", "routegrad.layer/3", "__metadata__.schema", "routegrad.layer/2"),
      ("routers", "mixtral", "__metadata__.routers", "expected no such entry"),
      ("router", "mixtrale", "__metadata__.router", "the name of one"),
      ("router", "{", "__metadata__.router", "expected"),
      (
        "router", Self.specification.replacing("\"experts\":4", with: "\"experts\":5"), "__metadata__.router.experts",
        "expected 4"
      ),
      (
        "router", Self.specification.replacing("\"count\":2", with: "\"count\":5"),
        "__metadata__.router.selection.count", "5"
      ),
      (
        "router", Self.specification.replacing("top-k", with: "sampled"), "__metadata__.router.selection.kind",
        "expected top-k"
      ),
      ("router", "mixtral", "router.selection_bias", "expected none"),
      ("router", "qwen3-global-balance", "__metadata__.router.selection.count", "8"),
      ("router", "llama-4", "router.selection_bias", "expected none"),
    ] {
      Self.expectRefusal(Self.file(Self.tensors, Self.metadata.merging([key: value]) { $1 }), path, words)
    }
    // The first version knows nothing of the second.
    Self.expectRefusal(
      Self.file(Self.tensors, ["schema": "routegrad.layer/1", "activation": "silu", "residual": "add"]), "experts.b3",
      "expected no such tensor")
    Self.expectRefusal(
      Self.file(Self.tensors, Self.metadata.merging(["schema": "routegrad.layer/1"]) { $1 }), "__metadata__.router",
      "expected no such entry")
    Self.expectRefusal(
      Self.file([("input", [1, 1])], ["schema": "routegrad.layer/1", "activation": "gelu-tanh", "residual": "add"]),
      "__metadata__.activation", "expected relu, gelu or silu")
  }

  @Test("a router of the catalogue is that of the layer's number of experts")
  func catalogue() throws {
    let tensors = Self.tensors.filter { !["router.selection_bias", "router.expert_scales"].contains($0.name) }
    let layer = try DumpedLayer(Self.file(tensors, Self.metadata.merging(["router": "mixtral"]) { $1 }))
    let audit = try LayerAudit(layer, options: LayerAudit.Options(for: layer))
    #expect(audit.entries.map(\.estimator.specification).last == "default-moe:k=2")
    Self.expectRefusal(
      Self.file(tensors, Self.metadata.merging(["router": "llama-4"]) { $1 }), "__metadata__.router.applied",
      "not audited")
  }

  @Test("blocks of transformers: PyTorch's own gradients", arguments: ["qwen2-moe-block", "gpt-oss-block"])
  func transformers(_ name: String) throws {
    let layer = try DumpedLayer(Fixtures.bytes("layers/\(name).safetensors"))
    let expected = try SafeTensors(Fixtures.bytes("layers/\(name)-gradients.safetensors"))
    let estimators: [any GradientEstimator] = [Conventional(), DenseMixer(), DenseBackward()]
    let means = Mutex<[String: [Double]]>([:])
    for (name, shape) in LayerAudit.meanTensors(of: layer, estimators) {
      means.withLock { $0[name] = [Double](repeating: .nan, count: shape.reduce(1, *)) }
    }
    let audit = try LayerAudit(
      layer, options: LayerAudit.Options(for: layer, estimators: estimators),
      onMean: { name, first, values in
        let values = Array(values)
        means.withLock { $0[name]?.replaceSubrange(first..<first + values.count, with: values) }
      })
    let found = means.withLock { $0 }
    #expect(Set(found.keys) == Set(expected.tensors.keys))
    for (name, values) in found {
      let others = try expected.numbers(name)
      let scale = others.map(\.magnitude).max() ?? 0
      for (value, other) in zip(values, others) { expectClose(value, other, within: 1e-12 * scale, name) }
    }
    let dense = try audit.entries[2].result.get()
    for figures in dense.values { #expect(figures.biasNorm == 0) }
  }
}
