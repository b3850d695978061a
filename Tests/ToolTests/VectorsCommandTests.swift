import Foundation
import RouterSpecifications
import RoutingReports
import Testing
import _TestSupport

/// `routegrad vectors`, and `routegrad lint --answers` on what comes back.
@Suite struct VectorsCommandTests {
  private static let vectors = Result { try Tool.run(["vectors", "deepseek-v3", "--experts", "16"]) }

  @Test func printsTheMutationScore() throws {
    let run = try Self.vectors.get()
    #expect(run.status == 0)
    #expect(run.error.contains("Mutation score 100 %"), "\(run.error)")
    let header = try DecodedJSON(String(run.lines[0]))
    #expect(
      header.keys == ["schema", "version", "specification", "seed", "parts", "tolerance", "vectors", "mutations"])
    #expect(header["mutations"]["told"].number == header["mutations"]["changing"].number)
    #expect(header["vectors"].number == Double(run.lines.count - 1))
    #expect(try Tool.run(["vectors", "deepseek-v3", "--experts", "16", "--quiet"]).output == run.output)
    #expect(try Tool.run(["vectors", "deepseek-v3", "--experts", "16", "--quiet"]).error.isEmpty)
  }

  @Test func writesAnArchive() throws {
    try Folder.temporary { folder in
      let run = try Tool.run(["vectors", "mixtral", "--format", "npz", "--output", "vectors.npz"], in: folder)
      #expect(run.status == 0, "\(run.error)")
      let bytes = try Data(contentsOf: folder.appending(path: "vectors.npz"))
      #expect(bytes.starts(with: [0x50, 0x4B, 3, 4]))
    }
  }

  @Test(arguments: [
    (nil, 0, "Verdict: proved"), (RouterMistake.biasInGate, 1, "(bias-in-gate)"),
    (.maskedGroupsAtZero, 1, "(masked-groups-at-zero)"),
  ])
  func judgesAnswers(_ mistake: RouterMistake?, _ status: Int32, _ words: String) throws {
    let run = try judge { file, vector in
      try #require(RouterReference(file.specification, mistake: mistake).answer(to: vector.call))
    }
    #expect(run.status == status, "\(run.error)")
    #expect(run.output.contains(words), "\(run.output)")
  }

  @Test func missingAnswersAreUndecided() throws {
    let run = try judge { _, _ in nil }
    #expect(run.status == 2)
    #expect(run.output.contains("no answer"))
  }

  private func judge(_ answer: (VectorFile, GoldenVector) throws -> RouterAnswer?) throws -> Tool.Run {
    let text = try Self.vectors.get().output
    let file = try VectorFile(Array(text.utf8), file: "vectors")
    let lines = try file.vectors.enumerated().compactMap { k, vector in
      try answer(file, vector).map { $0.line(number: k + 1) }
    }
    return try Folder.temporary { folder in
      try Data(text.utf8).write(to: folder.appending(path: "vectors.jsonl"))
      return try Tool.run(
        ["lint", "--vectors", "vectors.jsonl", "--answers", "-"], input: lines.joined(separator: "\n"), in: folder)
    }
  }

  @Test(arguments: [
    (["vectors", "mixtral", "--experts", "1"], 64, "'--experts': expected 2 to 1024 experts, got 1"),
    (["vectors", "deepseek-v3", "--experts", "12"], 64, "groups.count: expected a divisor of 12"),
    (["vectors", "mixtral", "--format", "csv"], 64, "--format"),
    (["vectors", "mixtral", "--output", "no/such/folder.jsonl"], 73, "no/such/folder.jsonl"),
    (["lint", "--answers", "a.jsonl"], 64, "expected both --answers and --vectors, or neither"),
    (["lint", "--answers", "-", "--vectors", "-"], 64, "standard input ('-') can be read only once"),
    (["lint", "--answers", "a.jsonl", "--vectors", "missing.jsonl"], 66, "missing.jsonl"),
    (
      ["lint", "--answers", "a.jsonl", "--vectors", "v.jsonl", "--", "router"], 64, "expected no command with --answers"
    ),
    (["lint", "--answers", "a.jsonl", "--vectors", "-"], 65, "standard input: line 1: expected the header of vectors"),
  ])
  func refusesInOneLine(_ arguments: [String], _ status: Int32, _ words: String) throws {
    let run = try Tool.run(arguments)
    #expect(run.status == status, "\(run.error)")
    #expect(run.error.contains(words), "\(run.error)")
    #expect(run.error.split(separator: "\n").count == 1 && run.output.isEmpty)
  }

  @Test func gatesThatAreNotStatedHaveNoVectors() throws {
    let text = """
      {"schema": "routegrad.router-spec/1", "name": "r", "experts": 4, "selection": {"kind": "top-k", "count": 1}, "gate": null}
      """
    let run = try Tool.run(["vectors", "-"], input: text)
    #expect(run.status == 65)
    #expect(run.error == "routegrad: r: gate: expected a gate that is stated, of which answers follow, got null\n")
  }
}
