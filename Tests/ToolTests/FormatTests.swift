import Foundation
import RoutingReports
import Testing
import _TestSupport

/// Nothing is lost between JSON, CSV, tables and pages, whatever the result is of:
/// - a page holds the JSON, all of it, and every row of the table;
/// - CSV holds everything of the JSON that is no list, in a column with its name;
/// - tables and text hold everything that was asked about (problems, estimators, routers, groups, checks) and why there is nothing to say of it.
struct FormatTests {
  private static let layers = Fixtures.root.appending(path: "layers")
  private static let small = ["--layers", "2", "--width", "8", "--heads", "2", "--hidden", "8", "--context", "8"]

  /// A result: what is asked, and how its formats are called.
  struct Result: Sendable, CustomTestStringConvertible {
    var arguments: [String]
    var table = "table"
    var hasCSV = true
    var hasPage = true

    var testDescription: String { arguments.joined(separator: " ").replacing(Fixtures.root.path, with: "") }
  }

  private static let results: [Result] = [
    Result(arguments: ["report", "both.json"]), Result(arguments: ["report", "p.json", "--estimators", "all"]),
    Result(arguments: [
      "report", "p.json", "--estimators", "switch,sparsemixer", "--method", "monte-carlo", "--samples", "50",
    ]),
    Result(arguments: ["report", "p.json", "--mask", "paper", "--estimators", "reinforce,switch:kind=input"]),
    Result(arguments: ["report", "both.json", "--covariance"], hasCSV: false),
    Result(arguments: [
      "audit-layer", layers.appending(path: "switch-block.safetensors").path, "--estimators", "sparsemixer,exact",
    ]),
    Result(arguments: ["audit-layer", layers.appending(path: "qwen2-moe-block.safetensors").path]),
    Result(arguments: ["order", "both.json"], hasPage: false),
    Result(arguments: ["assess", "samples.csv", "--problem", "p.json", "--estimators", "all"]),
    Result(arguments: ["assess", "outcomes.jsonl", "--problem", "p.json", "--estimators", "reinforce"]),
    Result(arguments: ["compare", "--from", "mixtures"]), Result(arguments: ["compare", "--from", "runs"]),
    Result(arguments: ["compare", "--from", "weighed"]),
    Result(arguments: ["compare", "--status", "weighed"], hasPage: false),
    Result(
      arguments: ["verify", "samples.csv", "--problem", "p.json", "--estimator", "reinforce"], table: "text",
      hasCSV: false),
    Result(
      arguments: ["verify", "outcomes.jsonl", "--problem", "p.json", "--estimator", "reinforce"], table: "text",
      hasCSV: false),
    Result(
      arguments: ["lint", "--vectors", "vectors.jsonl", "--answers", "answers.jsonl"], table: "text", hasCSV: false),
    Result(arguments: ["lint", "ROUTER"], table: "text", hasCSV: false),
    Result(arguments: ["estimators"], hasCSV: false, hasPage: false),
    Result(arguments: ["routers", "list"], hasCSV: false, hasPage: false),
  ]

  @Test(arguments: results)
  func nothingIsLost(result: Result) throws {
    try Folder.temporary { folder in
      try Self.write(for: result, in: folder)
      func output(_ format: String, _ more: [String] = []) throws -> String {
        var arguments = result.arguments
        if arguments == ["lint", "ROUTER"] {
          let router = URL(filePath: try Tool.executable()).deletingLastPathComponent().appending(
            path: "lint-test-router")
          arguments = ["lint", "--format", format] + more + ["--", router.path, "switch"]
        } else {
          arguments += ["--format", format] + more
        }
        let run = try Tool.run(arguments, in: folder)
        #expect([0, 1, 2].contains(run.status), "\(run.error)")
        return run.output
      }
      let json = try DecodedJSON(try output("json", result.hasPage ? ["--html", "page.html"] : []))
      let leaves = Leaf.all(of: json)
      #expect(leaves.count > 5)
      if result.arguments.contains("--covariance") { return }  // JSON alone has matrices
      let table = try output(
        result.table, result.arguments[0] == "report" ? ["--details"].filter { _ in result.table == "table" } : [])
      for leaf in leaves where leaf.isAskedAbout {
        #expect(
          Self.squeezed(table).contains(Self.squeezed(leaf.text)), "\(leaf.path): \(leaf.text) is not in the table")
      }
      if result.hasCSV {
        let latex = Self.squeezed(try output("latex"))
        for leaf in leaves where leaf.isAskedAbout {
          #expect(latex.contains(Self.squeezed(leaf.text.latex)), "\(leaf.path): \(leaf.text) is not in LaTeX")
        }
        let rows = Self.cells(try output("csv"))
        for leaf in leaves { #expect(leaf.stands(in: rows), "\(leaf.path): \(leaf.text) is not in CSV") }
      }
      if result.hasPage {
        let page = try String(contentsOf: folder.appending(path: "page.html"), encoding: .utf8)
        let start = try #require(page.firstRange(of: "id=\"data\">\n"))
        let end = try #require(page[start.upperBound...].firstRange(of: "</script>"))
        #expect(try DecodedJSON(String(page[start.upperBound..<end.lowerBound])) == json)
        let body = Self.squeezed(Self.unescaped(String(page[..<start.lowerBound])))
        for leaf in leaves where leaf.isAskedAbout {
          #expect(body.contains(Self.squeezed(leaf.text)), "\(leaf.path): \(leaf.text) is not on the page")
        }
      }
    }
  }

  // MARK: - What there is to find

  /// Something of the JSON that is no list of numbers or texts.
  private struct Leaf {
    var path: [String]
    var value: DecodedJSON

    var text: String {
      switch value {
      case .number(let x): x == x.rounded() ? "\(Int(x))" : "\(x)"
      case .bool(let flag): "\(flag)"
      default: value.string ?? ""
      }
    }

    /// The names of what a result is about, and why something could not be said of it.
    var isAskedAbout: Bool {
      // An estimator's name stands in a sum of parameters, `id:key=value`; a catalogue's parameters have the name alone.
      ["id", "router", "check", "unavailable", "call", "verdict"].contains(path.last ?? "")
        && !["claim", "parts"].contains { path.contains($0) && path.last != "id" }
        || path.last == "name" && !path.contains("router") && path.count > 2 && !path.contains("layers")
          && !path.contains("notSaid")
    }

    static func all(of value: DecodedJSON, at path: [String] = []) -> [Leaf] {
      switch value {
      case .object(let fields):
        // What version it is, and what no row could hold: sentences about all of it.
        return fields.flatMap { ["schema", "version"].contains($0.key) ? [] : all(of: $0.value, at: path + [$0.key]) }
      case .array(let items):
        if path.last == "interval" { return items.map { Leaf(path: path, value: $0) } }
        // An interval of an assessment has a column for each end.
        if path.dropLast().last == "intervals", items.count == 2 {
          return zip(["Lower", "Upper"], items).map {
            Leaf(path: path.dropLast() + [(path.last ?? "") + $0], value: $1)
          }
        }
        return items.enumerated().flatMap { index, item -> [Leaf] in
          if case .object = item { all(of: item, at: path + ["\(index)"]) } else { [] }
        }
      case .null: return []
      default: return [Leaf(path: path, value: value)]
      }
    }

    /// Whether a column that has its name, or that of what it is in, has its value.
    func stands(in rows: [[String]]) -> Bool {
      guard let header = rows.first else { return false }
      // A layer's numbers have a column each, named by its own; how many outcomes or samples an assessment rests on is its count.
      if path.last == "name", path.contains("layers") { return header.contains { $0.hasPrefix(text + ".") } }
      let names = path.suffix(2).map(plain) + (["outcomes", "samples"].contains(path.last) ? ["count"] : [])
      if path.dropLast().last == "parameters" {
        guard let column = header.firstIndex(of: "parameters") else { return header.contains("specification") }
        return rows.dropFirst().contains { $0[column].contains("\(path.last ?? "")=") }
      }
      return header.indices.contains { c in
        let title = plain(header[c])
        guard names.contains(where: { title.contains($0) || $0.contains(title) }) else { return false }
        return rows.dropFirst().contains { row in
          switch value {
          case .number(let x): Double(row[c]) == x
          default: row[c] == text
          }
        }
      }
    }

    private func plain(_ name: String) -> String { name.lowercased().filter { $0.isLetter || $0.isNumber } }
  }

  // MARK: - Reading what is written

  /// Without white space, where tables break lines.
  private static func squeezed(_ text: String) -> String { text.filter { !$0.isWhitespace } }

  private static func unescaped(_ text: String) -> String {
    text.replacing("&lt;", with: "<").replacing("&gt;", with: ">").replacing("&quot;", with: "\"").replacing(
      "&amp;", with: "&")
  }

  /// The cells of CSV, as RFC 4180 has them.
  private static func cells(_ text: String) -> [[String]] {
    var rows: [[String]] = [[""]]
    var isQuoted = false
    for character in text {
      switch character {
      case "\"": isQuoted.toggle()
      case "," where !isQuoted: rows[rows.count - 1].append("")
      case "\n" where !isQuoted: rows.append([""])
      default: rows[rows.count - 1][rows[rows.count - 1].count - 1].append(character)
      }
    }
    return rows.filter { $0 != [""] }
  }

  private static func write(for result: Result, in folder: URL) throws {
    func file(_ name: String, _ text: String) throws { try Data(text.utf8).write(to: folder.appending(path: name)) }
    try file("p.json", Samples.mixture)
    try file("both.json", Samples.list(Samples.mixture, Samples.categorical))
    try file(
      "samples.csv",
      (0..<200).map { "\(Double($0 % 7) / 50),\(Double($0 % 5) / -20),\(Double($0 % 3) / 30)\n" }.joined())
    func make(_ arguments: [String], _ name: String) throws {
      let run = try Tool.run(arguments, in: folder)
      #expect(run.status == 0, "\(run.error)")
      try file(name, run.output)
    }
    if result.arguments.contains("outcomes.jsonl") {
      try make(["outcomes", "p.json", "--estimator", "sparsemixer"], "outcomes.jsonl")
    }
    if result.arguments.contains("vectors.jsonl") {
      try make(["vectors", "mixtral"], "vectors.jsonl")
      try file("answers.jsonl", #"{"call": 1, "choice": [[0, 1]], "multipliers": [[0.5, 0.5]]}"# + "\n")
    }
    if result.arguments.contains("mixtures") {
      for (router, seed) in [("sparsemixer", 0), ("sparsemixer", 1), ("exact", 0), ("exact", 1)] {
        let run = try Tool.run(
          [
            "train", "mixture-regression", "--router", router, "--seed", "\(seed)", "--steps", "2", "--batch", "8",
            "--experts", "2", "--output", "mixtures/\(router)-\(seed)", "--quiet",
          ] + (router == "exact" ? [] : ["--audit-every", "2"]), in: folder)
        #expect(run.status == 0, "\(run.error)")
      }
    }
    if result.arguments.contains("weighed") {
      try file("text", String(repeating: "the cat sat on the mat. ", count: 40))
      let run = try Tool.run(
        [
          "compare", "--task", "language-model", "--text", "text", "--routers", "switch,none", "--steps", "2",
          "--seeds",
          "2", "--tune-seeds", "1", "--tune-load-balance", "0,0.5", "--tune-z-loss", "0,0.25", "--batch", "2",
        ]
          + small + ["--runs", "weighed", "--quiet"], in: folder)
      #expect(run.status == 0, "\(run.error)")
    }
    if result.arguments.contains("runs") {
      try file("text", String(repeating: "the cat sat on the mat. ", count: 40))
      for router in ["switch", "sparsemixer"] {
        let run = try Tool.run(
          [
            "train", "language-model", "--text", "text", "--router", router, "--steps", "2", "--audit-every", "2",
            "--audit-tokens", "1",
          ]
            + small + ["--output", "runs/\(router)", "--quiet"], in: folder)
        #expect(run.status == 0, "\(run.error)")
      }
    }
  }
}
