import Foundation
import Testing
import _TestSupport

struct AuditLayerCommandTests {
  private static let layer = Fixtures.root.appending(path: "layers/switch-block.safetensors").path

  @Test func everyFormatHasEveryGroupAndEstimator() throws {
    for format in ["table", "json", "csv", "markdown"] {
      let some = ["--estimators", "conventional,sparsemixer-v2-top2,default-moe"]
      let run = try Tool.run(["audit-layer", Self.layer, "--format", format] + (format == "table" ? [] : some))
      #expect(run.status == 0 && run.error == "")
      for word in ["router.weight", "experts", "input", "sparsemixer-v2-top2", "needs defaultOutputs"] {
        #expect(run.output.contains(word), "\(word) in \(format)")
      }
      #expect(!run.output.contains("router.bias"), "the layer has none")
    }
  }

  @Test func jsonKeepsTheContract() throws {
    let run = try Tool.run([
      "audit-layer", Self.layer, "--format", "json", "--estimators", "exact,conventional,default-moe",
    ])
    let root = try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    #expect(root["schema"] as? String == "routegrad.audit/1")
    #expect(root["tokens"] as? Int == 64 && root["experts"] as? Int == 8)
    #expect(root["target"] as? String == "expected-loss" && root["expectedLoss"] is Double)
    let targets = try #require(root["targets"] as? [String: [String: Any]])
    #expect(targets.count == 5)
    #expect(targets["routing-term"]?["experts"] is NSNull && targets["routing-term"]?["input"] is Double)
    let estimators = try #require(root["estimators"] as? [[String: Any]])
    #expect(estimators.map { $0["id"] as? String } == ["exact", "conventional", "default-moe"])
    #expect(estimators[2]["unavailable"] as? String == "needs defaultOutputs")
    let groups = try #require(estimators[0]["groups"] as? [String: [String: Any]])
    #expect(Set(groups.keys) == ["router.weight", "experts", "input"])
    #expect(
      Set(try #require(groups["experts"]).keys) == [
        "targetNorm", "meanNorm", "biasNorm", "relativeBias", "cosine", "totalVariance", "relativeStandardDeviation",
      ])
    #expect(groups["experts"]?["totalVariance"] as? Double == 0)
  }

  @Test func aRouterThatChoosesHasItsOwnDefaults() throws {
    let layer = Fixtures.root.appending(path: "layers/qwen2-moe-block.safetensors").path
    let run = try Tool.run(["audit-layer", layer, "--format", "json", "--threads", "2"])
    #expect(run.status == 0 && run.error == "")
    let root = try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    #expect(root["target"] as? String == "dense-backward")
    let estimators = try #require(root["estimators"] as? [[String: Any]])
    #expect(
      estimators.map { $0["id"] as? String } == ["straight-through", "conventional", "dense-mixer", "default-moe"])
    #expect(estimators[3]["unavailable"] as? String == "needs experts.stand_ins")
    let swaps = try #require(root["swaps"] as? [String: Any])
    #expect(Set(swaps.keys) == ["tokens", "evaluations", "lowered", "gain", "change"])
    #expect(swaps["evaluations"] as? Int == 7 * 4)
    let targets = try #require(root["targets"] as? [String: [String: Any]])
    #expect(targets["expected-loss"]?["router.weight"] is NSNull && targets["dense-mixture"]?["experts"] is NSNull)
    #expect(targets["gating-term"]?["router.weight"] is Double && targets["gating-term"]?["experts"] is NSNull)
    for format in ["table", "csv", "markdown"] {
      let other = try Tool.run(["audit-layer", layer, "--format", format])
      #expect(other.status == 0 && other.output.contains("dense-mixer"), "\(format)")
    }
    let table = try Tool.run(["audit-layer", layer])
    #expect(table.output.contains("Another expert for the last one: lowers the loss for 42.9 % of tokens"))
    expectRefusal(try Tool.run(["audit-layer", layer, "--mask", "paper"]), status: 65, "mask", "expected none")
    try Folder.temporary { folder in
      let run = try Tool.run(["audit-layer", layer, "--gradients", "m.safetensors", "--output", "a.txt"], in: folder)
      #expect(run.status == 0 && run.error == "")
      #expect(try Folder.names(in: folder) == ["a.txt", "m.safetensors"])
    }
  }

  @Test func threadsDoNotMatterAndStandardInputIsRead() throws {
    let one = try Tool.run(["audit-layer", Self.layer, "--format", "csv", "--threads", "1", "--mask", "reference-code"])
    #expect(one.status == 0)
    let bytes = try Data(Fixtures.bytes("layers/switch-block.safetensors"))
    let three = try Tool.run(
      ["audit-layer", "-", "--format", "csv", "--threads", "3", "--mask", "reference-code"], input: bytes)
    #expect(three.output == one.output)
  }

  @Test func meansAreWrittenWholeOrNotAtAll() throws {
    try Folder.temporary { folder in
      let run = try Tool.run(
        [
          "audit-layer", Self.layer, "--estimators", "exact,default-moe,exact", "--gradients", "m.safetensors",
          "--output", "a.txt",
        ],
        in: folder)
      #expect(run.status == 0 && run.output == "" && run.error == "")
      #expect(try Folder.names(in: folder) == ["a.txt", "m.safetensors"])
      let data = try Data(contentsOf: folder.appending(path: "m.safetensors"))
      let length = data.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
      let header = try #require(
        try JSONSerialization.jsonObject(with: data[8..<8 + length]) as? [String: [String: Any]])
      #expect(
        Set(header.keys) == [
          "__metadata__", "exact/router.weight", "exact/experts.w1", "exact/experts.w2", "exact/input",
        ])
      #expect(header["exact/experts.w1"]?["shape"] as? [Int] == [8, 48, 32])
      let size = (8 * 32 + 2 * 8 * 48 * 32 + 64 * 32) * 8
      #expect(data.count == 8 + length + size)

      let missing = try Tool.run(["audit-layer", Self.layer, "--gradients", "no/such/folder.safetensors"], in: folder)
      expectRefusal(missing, status: 73, "no/such/folder.safetensors", "cannot be written")
      #expect(try Folder.names(in: folder) == ["a.txt", "m.safetensors"])
    }
  }

  @Test func whatIsWrongIsSaidInOneLine() throws {
    expectRefusal(try Tool.run(["audit-layer", "/no/such/file"]), status: 66, "/no/such/file")
    let bytes = try Fixtures.bytes("layers/switch-block.safetensors")
    expectRefusal(
      try Tool.run(["audit-layer", "-"], input: Data(bytes.prefix(5000))), status: 65, "standard input", "expected")
    expectRefusal(try Tool.run(["audit-layer", "-"], input: Data()), status: 65, "at least 8 bytes")
    var broken = bytes
    for k in broken.count - 4..<broken.count { broken[k] = 0xFF }
    expectRefusal(try Tool.run(["audit-layer", "-"], input: Data(broken)), status: 65, "expected a finite number")
    expectRefusal(
      try Tool.run(["audit-layer", Self.layer, "--estimators", "sparsemixr"]), status: 64,
      "did you mean 'sparsemixer'?")
    expectRefusal(
      try Tool.run(["audit-layer", Self.layer, "--output", "x", "--gradients", "x"]), status: 64, "same file")
  }
}
