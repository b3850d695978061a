import RouterSpecifications
import RoutingReports
import Testing

/// The catalogue of routers that ships with the program.
@Suite struct RouterCatalogueTests {
  @Test func everyEntryIsASpecification() throws {
    let catalogue = try RouterCatalogue.shipped()
    #expect(catalogue.entries.count >= 39)
    #expect(Set(catalogue.entries.map(\.name)).count == catalogue.entries.count)
    #expect(!catalogue.notSaid.isEmpty)
    for entry in catalogue.entries {
      let text = RouterSpecificationFile.text(of: entry.specification)
      #expect(try RouterSpecificationFile.specification(of: Array(text.utf8), file: entry.name) == entry.specification)
    }
    let deepseek = try #require(catalogue.entry(named: "deepseek-v3"))
    #expect(deepseek.specification.groups == .init(count: 8, kept: 4, score: .sumOfTwo))
    #expect(catalogue.entry(named: "deepseek-v33") == nil)
  }

  @Test func theListFitsTheTerminal() throws {
    let lines = try RouterCatalogue.shipped().text(style: TextStyle()).split(separator: "\n")
    #expect(lines.allSatisfy { $0.count <= 80 })
    // One block: every router is in one line.
    #expect(
      lines.contains { $0.contains("deepseek-v3 ") && $0.contains("top-8, 4/8 groups") && $0.hasSuffix("score/Σ·2.5") })
  }

  @Test(arguments: [
    "mixtral", "deepseek-v3-training", "phi-3.5-moe", "llama-4", "noisy-top-k", "top-p", "base", "inkling",
  ])
  func entriesAreExplained(_ name: String) throws {
    let entry = try #require(try RouterCatalogue.shipped().entry(named: name))
    var small = entry.specification
    small.experts = 16 + small.alwaysChosen
    try small.validate()
    let text = RouterExplanation(small, entry: entry).text(style: TextStyle())
    #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 })
    #expect(text.contains("\n1. ") && text.contains("Source: "))
  }
}
