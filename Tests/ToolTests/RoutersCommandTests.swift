import Foundation
import Testing
import _TestSupport

/// `routegrad routers`: list, show, explain.
@Suite struct RoutersCommandTests {
  @Test func listsTheCatalogue() throws {
    let run = try Tool.run(["routers"])
    #expect(run.status == 0 && run.error.isEmpty)
    #expect(run.lines.allSatisfy { $0.count <= 80 })
    #expect(run.output.contains("  mixtral "))
    let json = try DecodedJSON(try Tool.run(["routers", "list", "--format", "json"]).output)
    #expect(json.keys == ["schema", "version", "routers", "notSaid"])
    #expect(json["schema"].string == "routegrad.routers/1")
    #expect(json["routers"][0].keys == ["name", "models", "source", "notes", "specification"])
  }

  @Test func showsWhatCanBeReadAgain() throws {
    let shown = try Tool.run(["routers", "show", "deepseek-v3"])
    #expect(shown.status == 0)
    #expect(shown.output.contains("\"score\": \"sum-of-two\""))
    #expect(try Tool.run(["routers", "show", "-"], input: shown.output).output == shown.output)
  }

  @Test func explainsWithTheNumbersOfTheSpecification() throws {
    let text = """
      {"schema": "routegrad.router-spec/1", "name": "mine", "experts": 6, "score": "sigmoid", "selectionBias": true,
       "selection": {"kind": "top-k", "count": 2}, "gate": {"normalized": true, "scale": 1.75}}
      """
    let run = try Tool.run(["routers", "explain", "-"], input: text)
    #expect(run.status == 0, "\(run.error)")
    #expect(run.output.hasPrefix("mine  6 experts\n"))
    #expect(run.output.contains("the 2 largest keys") && run.output.contains("times 1.75"))
    #expect(run.output.contains("bias-in-gate: whose selection bias leaks into the gate"))
    #expect(run.lines.allSatisfy { $0.count <= 80 })
  }

  @Test(arguments: [
    (["show", "deepseek-v33"], "", 64, "unknown router 'deepseek-v33'; expected a file or one of mixtral, "),
    (["explain"], "", 64, "<router>"),
    (["show", "missing.json"], "", 66, "missing.json"),
    (["show", "-"], "{", 65, "standard input: "),
    (
      ["show", "-"], "{\"schema\": \"routegrad.router-spec/1\", \"name\": \"r\", \"experts\": 1}", 65,
      "standard input: experts: expected "
    ),
  ])
  func refusesInOneLine(_ arguments: [String], _ input: String, _ status: Int32, _ words: String) throws {
    let run = try Tool.run(["routers"] + arguments, input: input)
    #expect(run.status == status, "\(run.error)")
    #expect(run.error.contains(words), "\(run.error)")
    #expect(run.error.split(separator: "\n").count == 1 && run.output.isEmpty)
  }
}
