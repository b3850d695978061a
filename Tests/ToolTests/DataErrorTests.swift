import Foundation
import Testing

struct DataErrorTests {
  /// In the sample, what is replaced by what, and what is said to that.
  @Test(arguments: [
    ("0.3,", "NaN,", ["logits[0]", "expected a finite number, got NaN", "line 1, column"]),
    ("0.3,", "-Infinity,", ["logits[0]", "expected a finite number, got -Infinity"]),
    ("0.3,", "1e999,", ["logits[0]", "expected a finite number, got 1e999"]),
    ("[0.5, -0.5]", "[0.5]", ["loss.targets", "expected 2 numbers, got 1"]),
    ("[0.5, -0.5]", "[0.5, \"x\"]", ["loss.targets[1]", "expected a number, got a string"]),
    ("[1.0, -0.4]", "[1.0]", ["expertOutputs[1]", "expected 2 numbers, got 1"]),
    ("\"logits\"", "\"logit\"", ["logit", "expected no such field", "logits"]),
    ("\"kind\": \"mixture\", ", "", ["kind", "\"categorical\" or \"mixture\"", "missing"]),
    ("log-cosh", "logcosh", ["loss.type", "\"log-cosh\"", "got \"logcosh\""]),
    ("problem/1", "problem/9", ["schema", "routegrad.problem/1", "got \"routegrad.problem/9\""]),
    ("\"name\": \"sample\"", "\"na\\nme\": 1", ["na\\nme", "expected no such field"]),
    ("}}", "}", ["expected ',' or '}'", "the end of the text"]),
    ("}}", "}}}", ["expected the end of the text, got '}'"]),
    ("}}", ",}}", ["loss", "expected a key in double quotes"]),
  ])
  func isOneLineWithFileAndPath(old: String, new: String, parts: [String]) throws {
    try Folder.temporary { folder in
      let text = Samples.mixture.replacing(old, with: new, maxReplacements: 1)
      try #require(text != Samples.mixture)
      try Data(text.utf8).write(to: folder.appending(path: "bad.json"))
      let output = folder.appending(path: "out.json")
      for command in [
        ["report", "bad.json", "--output", output.path], ["order", "bad.json", "--output", output.path],
        ["outcomes", "bad.json", "--estimator", "exact"],
      ] {
        let run = try Tool.run(command, in: folder)
        expectRefusal(run, status: 65, "routegrad: bad.json: ")
        for part in parts { #expect(run.error.contains(part), "expected “\(part)” in: \(run.error)") }
      }
      #expect(try Folder.names(in: folder) == ["bad.json"])
      let several = try Tool.run(["report", "-"], input: Samples.list(Samples.categorical, text))
      if try Tool.run(["report", "-"], input: Samples.list(text)).error.contains("line") == false {
        expectRefusal(several, status: 65, "standard input: problems[1].\(parts[0])")
      }
    }
  }

  @Test func everyTruncationIsRefused() throws {
    let bytes = Array(Samples.categorical.utf8)
    for length in stride(from: 0, to: bytes.count, by: 7) {
      let run = try Tool.run(["report", "-"], input: Data(bytes[..<length]))
      expectRefusal(
        run, status: 65, "standard input: ", length == 0 ? "an empty text" : "the end of the text")
    }
  }

  @Test func whatIsNoText() throws {
    expectRefusal(
      try Tool.run(["report", "-"], input: Data([0xFF, 0xFE, 0x7B])), status: 65, "expected UTF-8", "0xFF")
    expectRefusal(try Tool.run(["report", "-"], input: Data([0])), status: 65, "expected a JSON value")
    expectRefusal(try Tool.run(["report", "-"], input: ""), status: 65, "got an empty text")
  }

  @Test(arguments: ["[", "{\"a\":", "{\"schema\": \"routegrad.problem/1\", \"logits\": ["])
  func nestingIsLimited(opening: String) throws {
    let run = try Tool.run(["report", "-"], input: String(repeating: opening, count: 100_000))
    expectRefusal(run, status: 65, "levels of nesting")
    #expect(run.error.count < 300)
  }

  @Test func overflowNamesTheProblem() throws {
    let huge = Samples.mixture.replacing("[1.0, -0.4]", with: "[1e200, -0.4]").replacing(
      "sample", with: "huge")
    let run = try Tool.run(["report", "-", "--format", "json"], input: Samples.list(Samples.mixture, huge))
    expectRefusal(run, status: 65, "standard input: problems[1] (huge): ", "overflows Float64")
  }

  @Test func unavailableOutcomes() throws {
    expectRefusal(
      try Tool.run(["outcomes", "-", "--estimator", "midpoint"], input: Samples.categorical), status: 65,
      "standard input (choice): midpoint: needs a mixture problem")
  }

  @Test func tooManyOutcomes() throws {
    expectRefusal(
      try Tool.run(
        ["outcomes", "-", "--estimator", "reinforce:baseline=leave-one-out,samples=40"],
        input: Samples.mixture),
      status: 64, "3^40 outcomes")
  }

  @Test func hugeLogitsAreFine() throws {
    let text = Samples.mixture.replacing("[0.3, -1.2, 0.8]", with: "[1e308, -1e308, 0.8]")
    let run = try Tool.run(["report", "-"], input: text)
    #expect(run.status == 0)
    #expect(run.output.contains("reinforce"))
  }
}
