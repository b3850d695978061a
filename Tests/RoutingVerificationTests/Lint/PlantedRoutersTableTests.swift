import Foundation
import RoutingVerification
import Testing
import _PlantedRouters
import _TestSupport

/// The table of docs/lint.md, computed.
struct PlantedRoutersTableTests {
  private func table() throws -> String {
    let rows = try PlantedRouter.all.map { planted in
      let finding = try #require(
        try RouterLint(seed: 0, checks: [planted.caughtBy]).run(on: planted.faulty)[planted.caughtBy])
      try #require(finding.verdict == .refuted)
      let cells = [
        planted.name, planted.thread ?? "ours", planted.profile.name, "`\(planted.caughtBy.rawValue)`",
        "\(finding.calls)",
      ]
      return "| \(cells.joined(separator: " | ")) |\n"
    }
    return "| fault | from | router | caught by | calls |\n|:--|:--|:--|:--|--:|\n" + rows.joined()
  }

  @Test func theDocumentHasTheTable() throws {
    let file = Fixtures.root.deletingLastPathComponent().appending(path: "docs/lint.md")
    let text = try String(contentsOf: file, encoding: .utf8)
    let table = try table()
    #expect(text.contains("\n" + table + "\n"), "docs/lint.md should have:\n\(table)")
  }

  @Test func coverage() {
    #expect(PlantedRouter.all.count >= 14)
    #expect(Set(PlantedRouter.all.map(\.name)).count == PlantedRouter.all.count)
    #expect(Set(Flaw.allCases.map { .flaw($0) }).isSubset(of: Set(PlantedRouter.all.map(\.fault))))
    #expect(Set(PlantedRouter.all.map(\.caughtBy)) == Set(LintCheck.battery))
  }
}
