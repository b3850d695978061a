import Foundation
import Testing
import _TestSupport

/// `--html` of every command that has it.
struct PageOptionTests {
  private static let layer = Fixtures.root.appending(path: "layers/switch-block.safetensors").path

  private static let commands: [[String]] = [
    ["report"], ["report", "p.json"], ["report", "many.json"], ["audit-layer", layer],
    ["verify", "samples.csv", "--problem", "p.json", "--estimator", "exact"],
    ["assess", "samples.csv", "--problem", "p.json", "--estimators", "exact,conventional"],
    [
      "compare", "--routers", "exact,sparsemixer", "--seeds", "2", "--steps", "4", "--batch", "8", "--audit-every", "0",
    ],
  ]

  private static func write(in folder: URL) throws {
    let many = Samples.list(Samples.mixture, Samples.mixture, Samples.categorical)
    for (name, text) in ["p.json": Samples.mixture, "many.json": many, "samples.csv": "0.1,-0.2,0.1\n0.2,-0.2,0\n"] {
      try Data(text.utf8).write(to: folder.appending(path: name))
    }
  }

  /// The page holds the result in JSON, all of it, whatever is printed.
  @Test(arguments: commands)
  func thePageHoldsTheResult(command: [String]) throws {
    try Folder.temporary { folder in
      try Self.write(in: folder)
      let run = try Tool.run(command + ["--format", "json", "--html", "page.html"], in: folder)
      #expect([0, 1, 2].contains(run.status), "\(run.error)")
      let page = try String(contentsOf: folder.appending(path: "page.html"), encoding: .utf8)
      let start = try #require(page.firstRange(of: "id=\"data\">\n"))
      let end = try #require(page[start.upperBound...].firstRange(of: "</script>"))
      func result(_ text: some StringProtocol) throws -> NSDictionary? {
        try JSONSerialization.jsonObject(with: Data(text.utf8)) as? NSDictionary
      }
      let held = try #require(try result(page[start.upperBound..<end.lowerBound]))
      #expect(try held == result(run.output))
      #expect(page.contains("<table>") && page.utf8.count < 1_000_000)
    }
  }

  /// What the table says of its columns the page says, too: of errors, and of rows against another target.
  @Test func thePageHasTheTablesLegend() throws {
    try Folder.temporary { folder in
      try Self.write(in: folder)
      let estimators = ["--estimators", "gumbel-softmax-st,conventional"]
      let run = try Tool.run(["report", "p.json", "--html", "page.html"] + estimators, in: folder)
      #expect(run.status == 0, "\(run.error)")
      let page = try String(contentsOf: folder.appending(path: "page.html"), encoding: .utf8)
      for note in ["∫ a bound (quadrature)", "hold the estimator above them against the target"] {
        #expect(page.contains(note), "\(note)")
        #expect(run.lines.joined(separator: " ").contains(String(note.prefix(10))), "\(note)")
      }
    }
  }

  @Test func whatGoesWrongIsSaidInOneLine() throws {
    try Folder.temporary { folder in
      try Self.write(in: folder)
      expectRefusal(
        try Tool.run(["report", "p.json", "--output", "x", "--html", "x"], in: folder), status: 64,
        "'--html' and '--output' cannot name the same file")
      expectRefusal(
        try Tool.run(["audit-layer", Self.layer, "--gradients", "x", "--html", "x"], in: folder), status: 64,
        "'--html' and '--gradients' cannot name the same file")
      for command in Self.commands {
        expectRefusal(
          try Tool.run(command + ["--html", "missing/page"], in: folder), status: 73, "missing/page: cannot be written")
      }
      let broken = #"{"schema": "routegrad.problem/1"}"#
      try Data(broken.utf8).write(to: folder.appending(path: "p.json"))
      #expect(try Tool.run(["report", "p.json", "--html", "page.html"], in: folder).status == 65)
      #expect(!(try Folder.names(in: folder)).contains("page.html"))
    }
  }
}
