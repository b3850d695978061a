import Foundation
import Testing
import _TestSupport

struct CompareCommandTests {
  private static let small = [
    "compare", "--routers", "switch,masked-switch,sparsemixer,exact", "--seeds", "2", "--steps", "26", "--batch", "16",
    "--audit-every", "0",
  ]

  @Test func bytesDoNotDependOnThreadsOrOnWhenRunsWereMade() throws {
    try Folder.temporary { folder in
      let first = try Tool.run(
        Self.small + ["--threads", "1", "--format", "json", "--runs", "a", "--output", "a.json"], in: folder)
      #expect(first.status == 0 && first.error == "" && first.output == "", "\(first.error)")
      let second = try Tool.run(Self.small + ["--threads", "3", "--format", "json"], in: folder)
      #expect(second.error == "")
      #expect(try Data(contentsOf: folder.appending(path: "a.json")) == Data(second.output.utf8))
      #expect(try Tool.run(["compare", "--from", "a", "--format", "json"], in: folder).output == second.output)
      let turned = try Tool.run(["compare", "--from", "a", "--baseline", "exact", "--format", "json"], in: folder)
      #expect(try DecodedJSON(turned.output)["baseline"].string == "exact")
      // Another rate in the same folder does not disturb.
      let other = try Tool.run(Self.small + ["--learning-rate", "0.02", "--runs", "a"], in: folder)
      #expect(other.status == 0 && other.output.contains("against switch\n"), "\(other.error)")
      #expect(try Tool.run(["compare", "--from", "a"], in: folder).output.contains("switch at 0.02"))
      // A seed more: the others are not trained again.
      let manifest = folder.appending(path: "a/runs/switch/rate-0.03/seed-0/manifest.json")
      let before = try FileManager.default.attributesOfItem(atPath: manifest.path)[.modificationDate] as? Date
      let more = try Tool.run(Self.small + ["--seeds", "3", "--runs", "a", "--format", "csv"], in: folder)
      #expect(more.status == 0, "\(more.error)")
      #expect(try FileManager.default.attributesOfItem(atPath: manifest.path)[.modificationDate] as? Date == before)
      #expect(
        more.lines.count == 5 && more.lines[0].hasPrefix("router,learning_rate,runs,")
          && more.lines[1].contains(",3,0,"))
      #expect(try Folder.names(in: folder) == ["a", "a.json"])
    }
  }

  /// A loss of 0 has no logarithm: what is made of it has no number, and everything else stays.
  @Test(arguments: ["0", "-0", "5e-324", "1.7976931348623157e308"])
  func lossesOfAnySizeAreCompared(loss: String) throws {
    try Folder.temporary { folder in
      let routers = ["--routers", "switch:jitter=none,exact", "--runs", "runs"]
      let whole = try Tool.run(Self.small + routers, in: folder)
      #expect(whole.status == 0, "\(whole.error)")
      let files = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
      let file = try #require(
        files?.compactMap { $0 as? URL }.filter { $0.path.contains("exact") && $0.path.hasSuffix("/metrics.jsonl") }
          .min { $0.path < $1.path })
      var lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map(String.init)
      let last = lines.removeLast()
      let own = try #require(last.firstMatch(of: /"heldOut": \{"loss": [^}]*\}/))
      lines.append(last.replacingOccurrences(of: own.0, with: "\"heldOut\": {\"loss\": \(loss)}"))
      try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: file)
      for format in ["table", "json", "csv", "markdown"] {
        let run = try Tool.run(["compare", "--from", "runs", "--format", format], in: folder)
        #expect(run.status == 0 && run.output.contains("exact"), "\(run.error)")
        if format == "json" { #expect(try DecodedJSON(run.output)["routers"][1]["finalLosses"][1].number ?? 0 > 0) }
      }
    }
  }

  @Test func theTableHasEveryRouterAndAReading() throws {
    // Without jitter, whose integrals take long where nothing is optimised.
    let routers = ["--routers", "masked-switch:jitter=none,sparsemixer,exact", "--learning-rate", "0.01"]
    let run = try Tool.run(Self.small + routers + ["--audit-every", "26"])
    #expect(run.status == 0 && run.error == "", "\(run.error)")
    #expect(run.output.hasPrefix("mixture-regression  26 steps, 2 seeds, against masked-switch:jitter=none\n"))
    for part in ["sparsemixer  ", "cosine", "Reading\n", "wins", "speed-up by seed"] {
      #expect(run.output.contains(part))
    }
    #expect(run.lines.allSatisfy { $0.count <= 80 })
    let json = try DecodedJSON(try Tool.run(Self.small + ["--format", "json"]).output)
    #expect(json["schema"].string == "routegrad.comparison/1" && json["baseline"].string == "switch")
  }

  @Test func tuningWritesTheRatesThatCompareUses() throws {
    try Folder.temporary { folder in
      let small = [
        "compare", "--task", "mixture-classification", "--routers", "switch", "--steps", "25", "--batch", "8",
        "--seeds", "2",
        "--audit-every", "0", "--format", "json",
      ]
      let tuned = try Tool.run(small + ["--tune", "--tune-seeds", "1", "--rates", "rates.json"], in: folder)
      #expect(tuned.status == 0, "\(tuned.error)")
      let rates = try DecodedJSON(String(contentsOf: folder.appending(path: "rates.json"), encoding: .utf8))
      #expect(rates["schema"].string == "routegrad.rates/1" && rates["model"].string == "mixture-classification")
      let rate = try #require(rates["rates"]["switch"].number)
      let used = try DecodedJSON(try Tool.run(small + ["--rates", "rates.json"], in: folder).output)
      #expect(used["routers"][0]["learningRate"].number == rate)
      #expect(try DecodedJSON(tuned.output)["routers"][0]["learningRate"].number == rate)
      try Data("{}".utf8).write(to: folder.appending(path: "rates.json"))
      expectRefusal(try Tool.run(small + ["--rates", "rates.json"], in: folder), status: 65, "rates.json: schema")
    }
  }

  @Test(arguments: [
    (["--routers", "switch,switch"], 64, "'switch' is there twice"),
    (["--routers", "swich"], 64, "did you mean 'switch'?"),
    (["--routers", "switch,gshard"], 64, "'gshard' has no tuned learning rate"),
    (["--seeds", "0"], 64, "'--seeds': expected a whole number from 1 to 10000"),
    (["--shared", "2"], 64, "'--shared': expected a number from 0 to 1"),
    (["--first-seed", "1000000"], 64, "from where on they are for tuning"),
    (["--task", "mixture-classification", "--shared", "0"], 64, "'--shared' goes with"),
    (["--from", "x", "--tune"], 64, "'--from' trains nothing"), (["--from", "missing"], 66, "missing: cannot be read"),
    (["--baseline", "switch"], 64, "'--baseline' goes with '--from'"),
    (["--learning-rate", "-1"], 64, "above 0, got -1"), (["--rates", "missing"], 66, "missing: cannot be read"),
    (["--experts", "1"], 64, "'--experts': expected a whole number from 2 to 1024, got 1"),
    (["--output", "no/such/file"], 73, "cannot be written"),
    (["--runs", "/proc/x", "--steps", "1", "--seeds", "1"], 73, "/proc/x"),
  ])
  func mistakesAreOneLine(options: [String], status: Int32, part: String) throws {
    try Folder.temporary { folder in
      expectRefusal(try Tool.run(["compare"] + options, in: folder), status: status, part)
      #expect(try Folder.names(in: folder) == [])
    }
  }
}
