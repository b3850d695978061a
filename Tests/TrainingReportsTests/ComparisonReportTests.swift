import FileFormats
import Foundation
import RouterTraining
import RoutingReports
import Testing

@testable import TrainingReports

/// Readings of runs whose curves are made up: `loss = exp(−v·step/100)` trains v times as fast as `exp(−step/100)`.
struct ComparisonReportTests {
  private static func report(_ speeds: [String: [Double]]) throws -> ComparisonReport {
    let folder = FileManager.default.temporaryDirectory.appending(path: "routegrad-comparison-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    for (router, speeds) in speeds {
      for (seed, speed) in speeds.enumerated() {
        var plan = TrainingPlan()
        plan.steps = 100
        let manifest = RunManifest(
          settings: MixtureSettings(), router: try TrainingRouter(router), seed: UInt64(seed), plan: plan,
          version: "test")
        let path = folder.appending(path: "\(router)-\(seed)")
        try FileManager.default.createDirectory(at: path, withIntermediateDirectories: true)
        try Data(JSONWriter.indented(manifest.json).utf8).write(to: path.appending(path: "manifest.json"))
        // A step apart: interpolation adds less than 1e-4.
        let lines = (0...100).map { "{\"step\": \($0), \"heldOut\": {\"loss\": \(exp(-speed * Double($0) / 100))}}\n" }
        try Data(lines.joined().utf8).write(to: path.appending(path: "metrics.jsonl"))
      }
    }
    return ComparisonReport(try Comparison(RunCollection(below: folder.path)))
  }

  private static let (slow, even, fast, faster) = (
    [0.5, 0.6, 0.5, 0.55], [0.9, 1.1, 1.05, 0.95], [1.4, 1.5, 1.6, 1.5], [2.0, 2.2, 2.1, 2.0]
  )
  private static let base = [1.0, 1, 1, 1]

  @Test func speedUpsAreThoseOfTheCurves() throws {
    let report = try Self.report(["switch": Self.base, "sparsemixer": [2, 2, 2, 2]])
    let entry = try #require(report.comparison.entries.last)
    let speedUp = try #require(entry.speedUp)
    #expect((speedUp.value - 2).magnitude < 1e-3)
    #expect((try #require(entry.difference).mean + 1).magnitude < 1e-12 && entry.wins.count == 4)
  }

  @Test(arguments: [
    (fast, fast, "sparsemixer beats switch here", "; masked switch explains it."),
    (fast, faster, "sparsemixer beats switch here", "; masked switch explains a part, over it 1.3"),
    (even, fast, "sparsemixer beats switch here", "; masked switch does not explain it, over it 1.5"),
    (
      [0.7, 1.6, 1.1, 1.5], [1.2, 1.2, 1.2, 1.25], "sparsemixer beats switch here",
      "; masked switch may explain it, over it"
    ),
    (fast, slow, "sparsemixer is slower than switch here", "]."),
    (fast, even, "sparsemixer and switch are not told apart", "]."),
  ])
  func readsByRule(masked: [Double], sparsemixer: [Double], beginning: String, part: String) throws {
    let report = try Self.report(["switch": Self.base, "masked-switch": masked, "sparsemixer": sparsemixer])
    let sentence = try #require(report.reading.last)
    #expect(sentence.hasPrefix(beginning) && sentence.contains(part), "\(sentence)")
  }

  @Test func headroomIsSaid() throws {
    let report = try Self.report(["switch": Self.base, "exact": Self.faster])
    #expect(report.reading.last?.hasPrefix("The exact router gradient has headroom: 2.0") ?? false)
    #expect(try Self.report(["switch": Self.base, "exact": Self.even]).reading.count == 1)
  }

  @Test func oneSeedShowsNothing() throws {
    let report = try Self.report(["switch": [1], "exact": [2]])
    #expect(report.reading == ["exact: one seed shows nothing, 2.00×."])
    #expect(report.rendered(as: .table).contains("wins"))
  }

  @Test(arguments: OutputFormat.allCases)
  func everyFormatNamesEveryRouter(format: OutputFormat) throws {
    let text = try Self.report(["switch": Self.base, "masked-switch": Self.even, "exact": Self.fast]).rendered(
      as: format)
    for router in ["switch", "masked-switch", "exact"] { #expect(text.contains(router)) }
  }
}
