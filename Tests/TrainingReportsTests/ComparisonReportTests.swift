import FileFormats
import Foundation
import RouterTraining
import RoutingReports
import Testing

@testable import TrainingReports

/// Readings of runs whose curves are made up: `loss = exp(−v·step/100)` trains v times as fast as `exp(−step/100)`.
struct ComparisonReportTests {
  private static func report(
    _ speeds: [String: [Double]], settings: any ModelSettings = MixtureSettings(), baseline: String? = nil,
    weights: [String: AuxiliaryWeights] = [:]
  ) throws -> ComparisonReport {
    let folder = FileManager.default.temporaryDirectory.appending(path: "routegrad-comparison-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    for (router, speeds) in speeds {
      for (seed, speed) in speeds.enumerated() {
        var plan = TrainingPlan()
        plan.steps = 100
        var settings = settings
        settings.auxiliary = weights[router] ?? settings.auxiliary
        let manifest = RunManifest(
          settings: settings, router: try TrainingRouter(router), seed: UInt64(seed), plan: plan,
          version: "test")
        let path = folder.appending(path: "\(router)-\(seed)")
        try FileManager.default.createDirectory(at: path, withIntermediateDirectories: true)
        try Data(JSONWriter.indented(manifest.json).utf8).write(to: path.appending(path: "manifest.json"))
        // A step apart: interpolation adds less than 1e-4.
        let lines = (0...100).map { "{\"step\": \($0), \"heldOut\": {\"loss\": \(exp(-speed * Double($0) / 100))}}\n" }
        try Data(lines.joined().utf8).write(to: path.appending(path: "metrics.jsonl"))
      }
    }
    return ComparisonReport(try Comparison(RunCollection(below: folder.path), baseline: baseline))
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

  /// Whether a task tells estimators apart comes first, and says of `none` what its own sentence would.
  @Test(arguments: [
    (slow, "This task separates estimators: none, whose router gets nothing of the loss, is slower than switch, 0.5"),
    (even, "This task cannot separate estimators: none, whose router gets nothing of the loss, and switch are not"),
    (fast, "This task cannot separate estimators: none, whose router gets nothing of the loss, beats switch, 1.5"),
    ([1.0], "This task cannot separate"),
  ])
  func separationComesFirst(none: [Double], beginning: String) throws {
    for settings in [MixtureSettings(), LanguageSettings(text: "text")] as [any ModelSettings] {
      let routers = ["switch": Self.base, "none": none, "sparsemixer": Self.fast]
      let reading = try Self.report(routers, settings: settings).reading
      #expect(reading.count == 2 && reading[1].hasPrefix("sparsemixer beats switch"))
      guard none.count > 1 else {
        #expect(reading[0] == "Whether this task separates estimators one seed does not show: none 1.00×.")
        continue
      }
      #expect(reading[0].hasPrefix(beginning) && reading[0].hasSuffix("]."), "\(reading[0])")
    }
  }

  /// A router may lose to the control as well.
  @Test func slowerThanTheControlIsSaid() throws {
    let low = Self.slow.map { 0.7 * $0 }
    let reading = try Self.report(["switch": Self.base, "none": Self.slow, "exact": low, "sparsemixer": Self.slow])
      .reading
    #expect(reading.count == 3 && reading[0].hasPrefix("This task separates"))
    #expect(reading[1].hasPrefix("sparsemixer is slower than switch here, 0.5") && reading[1].hasSuffix("]."))
    #expect(reading[2].hasPrefix("exact is slower than switch here, 0.3"), "\(reading[2])")
    #expect(reading[2].contains(", and slower than none, 0.70× [0."), "\(reading[2])")
  }

  /// Of a network it is said that nothing is known, of the mixture tasks nothing.
  @Test func withoutTheControlNothingIsKnown() throws {
    let routers = ["switch": Self.base, "sparsemixer": Self.fast]
    #expect(try Self.report(routers).reading.count == 1)
    let deep = LanguageSettings(text: "text")
    let reading = try Self.report(routers, settings: deep).reading
    #expect(
      reading.count == 2 && reading[0].hasPrefix("Whether this task separates estimators is not known: that takes"))
    let turned = try Self.report(["switch": Self.base, "none": Self.slow], settings: deep, baseline: "none").reading
    #expect(turned.count == 2 && turned[0] == reading[0] && turned[1].hasPrefix("switch beats none"))
  }

  /// Weights of auxiliary losses that differ stand beside each router, and are the settings' elsewhere.
  @Test func weightsStandWhereTheyDiffer() throws {
    let routers = ["switch": Self.base, "sparsemixer": Self.fast]
    let same = try Self.report(routers)
    #expect(!same.rendered(as: .json).contains("weights") && !same.rendered(as: .csv).contains("weights"))
    let own = AuxiliaryWeights(loadBalance: 0.125, zLoss: 0.25)
    let report = try Self.report(routers, weights: ["sparsemixer": own])
    #expect(report.comparison.entries.map(\.label) == ["switch", "sparsemixer"])
    let weights = try JSONFields(
      try JSONParser.parse(Array(report.rendered(as: .json).utf8)), of: "a comparison"
    ).value("routers", "a list")
    guard case .array(let entries) = weights else { return }
    let found = try entries.map {
      try AuxiliaryWeights("weights", of: JSONFields($0, of: "a router"))
    }
    #expect(found == [AuxiliaryWeights(loadBalance: 0.01, zLoss: 0), own])
    let rows = report.rendered(as: .csv).split(separator: "\n")
    #expect(rows[0].hasSuffix(",weights.loadBalance,weights.zLoss") && rows[2].hasSuffix(",0.125,0.25"))
    #expect(report.rendered(as: .table).contains("weights of auxiliary losses"))
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
