import Foundation
import Testing
import _TestSupport

/// `--plot` of every command that has it, with programs in gnuplot's place: what one is given, and what becomes of one that fails.
struct PlotOptionTests {
  private static let layer = Fixtures.root.appending(path: "layers/qwen2-moe-block.safetensors").path

  private static let commands: [[String]] = [
    ["report", "p.json"], ["report", "both.json"], ["audit-layer", layer],
    ["verify", "samples.csv", "--problem", "p.json", "--target", "expected-loss", "--bounds=-9,9"],
    ["assess", "samples.csv", "--problem", "p.json", "--estimators", "conventional"],
  ]

  /// A folder with inputs, and an environment in which gnuplot is one of `Fixtures/gnuplot`, or none. (They are not written here: a program
  /// that another thread's child still has open for writing cannot be started.)
  private static func inFolder(_ gnuplot: String, _ body: (URL, [String: String]) throws -> Void) throws {
    try Folder.temporary { folder in
      let both = Samples.list(Samples.mixture, Samples.mixture, Samples.categorical)
      for (name, text) in ["p.json": Samples.mixture, "both.json": both, "samples.csv": "0.1,-0.2,0.1\n0.2,-0.2,0\n"] {
        try Data(text.utf8).write(to: folder.appending(path: name))
      }
      try body(folder, ["PATH": Fixtures.root.appending(path: "gnuplot/\(gnuplot)").path])
    }
  }

  /// gnuplot is given the numbers of the result in full, and what it writes is the file; the result is printed as ever.
  @Test(arguments: commands, ["svg", "png", "PDF"])
  func whatIsDrawnIsWritten(command: [String], ending: String) throws {
    try Self.inFolder("draws") { folder, environment in
      let plain = try Tool.run(command, in: folder)
      let run = try Tool.run(command + ["--plot", "plot.\(ending)"], in: folder, environment: environment)
      #expect(run.status == plain.status && run.output == plain.output && run.error == plain.error)
      let script = try String(contentsOf: folder.appending(path: "plot.\(ending)"), encoding: .utf8)
      let terminal = ["svg": "svg", "png": "pngcairo", "pdf": "pdfcairo"][ending.lowercased()] ?? ""
      #expect(script.hasPrefix("set encoding utf8\nset decimalsign '.'\nset terminal \(terminal) noenhanced "))
      #expect(script.contains("\nplot ") && script.hasSuffix("unset multiplot\n"))
      #expect(try !Folder.names(in: folder).contains { $0.hasPrefix(".") })
    }
  }

  /// The picture has the page's numbers.
  @Test func thePictureHasTheNumbersOfTheJSON() throws {
    try Self.inFolder("draws") { folder, environment in
      let run = try Tool.run(
        ["audit-layer", Self.layer, "--format", "json", "--plot", "plot.svg"], in: folder, environment: environment)
      let script = try String(contentsOf: folder.appending(path: "plot.svg"), encoding: .utf8)
      let estimators = try DecodedJSON(run.output)["estimators"].items
      #expect(estimators.count > 2)
      for (row, estimator) in estimators.filter({ $0["unavailable"] == .null }).enumerated() {
        let bias = try #require(estimator["groups"]["experts"]["relativeBias"].number)
        #expect(script.contains("1 \(row) \(bias)\n"), "the heat map's column of experts")
      }
    }
  }

  @Test func whatGoesWrongIsSaidInOneLineAndNothingIsLeft() throws {
    func refused(_ gnuplot: String, status: Int32, _ message: String, _ options: [String] = []) throws {
      for command in Self.commands.dropFirst(options.isEmpty ? 0 : 4) {
        try Self.inFolder(gnuplot) { folder, environment in
          let run = try Tool.run(
            command + ["--plot", "plot.svg"] + options, in: folder, environment: environment)
          #expect(run.status == status && run.error.split(separator: "\n").count == 1, "\(run.error)")
          #expect(run.error.contains(message), "\(run.error)")
          #expect(try Folder.names(in: folder).filter { $0.contains("plot") } == [], "\(command)")
          // Before anything is computed, or after the result is out.
          #expect(run.output.isEmpty == (status == 66 || status == 64))
        }
      }
    }
    try refused(
      "none", status: 66, "'--plot': gnuplot: cannot be started: No such file or directory; it needs gnuplot 5.4")
    try refused("fails", status: 73, "'--plot': gnuplot: it ended with status 3; its last words: no such terminal")
    try refused("silent", status: 73, "it drew nothing")
    try refused("killed", status: 73, "it was ended by signal 9")
    try refused("draws", status: 64, "'--plot' and '--html' cannot name the same file", ["--html", "plot.svg"])
    try refused("draws", status: 64, "'--plot' and '--output' cannot name the same file", ["--output", "plot.svg"])
  }

  @Test(arguments: ["plot", "plot.jpg", "svg", "plot.svg.gz", "", "."])
  func aNameSaysItsFormat(name: String) throws {
    try Self.inFolder("draws") { folder, environment in
      expectRefusal(
        try Tool.run(["report", "p.json", "--plot", name], in: folder, environment: environment), status: 64,
        "'--plot': expected a name that ends in .svg, .png or .pdf, got '\(name)'")
    }
  }

  /// Outcomes are compared without an e-value: the verdict stands, and there is no picture.
  @Test func nothingToDraw() throws {
    try Self.inFolder("draws") { folder, environment in
      let outcomes = try Tool.run(["outcomes", "p.json", "--estimator", "sparsemixer"], in: folder).output
      let run = try Tool.run(
        ["verify", "-", "--problem", "p.json", "--estimator", "sparsemixer", "--plot", "plot.svg"], input: outcomes,
        in: folder, environment: environment)
      #expect(run.status == 65 && run.output.hasPrefix("proved") && run.error.contains("nothing to draw"))
      #expect(try !Folder.names(in: folder).contains("plot.svg"))
    }
  }
}
