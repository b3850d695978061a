import RoutingCore
import Testing

@testable import RouterTraining

struct ComparisonTests {
  private static func jobs(_ folder: String, seeds: Range<UInt64> = 0..<3) throws -> [TrainingJobs.Job] {
    try ["exact", "switch", "sparsemixer"].flatMap { router in
      try seeds.map { seed in
        TrainingJobs.Job(
          try SmallRun.manifest(router, seed: seed) { $0.learningRate = router == "exact" ? 0.02 : 0.03 }, below: folder
        )
      }
    }
  }

  private static func train(_ jobs: [TrainingJobs.Job], threads: Int) throws {
    let isDone = try TrainingJobs.run(jobs, threads: threads)
    #expect(isDone)
  }

  private static func summary(_ folder: String) throws -> [String] {
    try Comparison(RunCollection(below: folder)).entries.map {
      "\($0.label) \($0.learningRate) \($0.finalLosses) \(String(describing: $0.difference)) \(String(describing: $0.speedUp))"
        + " \($0.wins) \($0.diverged)"
    }
  }

  /// Jobs in any number of threads, interrupted and taken up again, or added to: the folders say the same.
  @Test func resultsDependOnTheRunsAlone() throws {
    try SmallRun.inFolder { folder in
      try Self.train(Self.jobs("\(folder)/a"), threads: 1)
      try Self.train(Self.jobs("\(folder)/b"), threads: 3)
      let isDone = try TrainingJobs.run(Self.jobs("\(folder)/c"), threads: 1, isInterrupted: { true })
      #expect(!isDone)
      try Self.train(Self.jobs("\(folder)/c", seeds: 0..<1), threads: 2)
      try Self.train(Self.jobs("\(folder)/c"), threads: 2)
      let expected = try Self.summary("\(folder)/a")
      #expect(expected.count == 3)
      #expect(try Self.summary("\(folder)/b") == expected)
      #expect(try Self.summary("\(folder)/c") == expected)
    }
  }

  @Test func entriesAreInTheOrderOfTheTable() throws {
    try SmallRun.inFolder { folder in
      try Self.train(Self.jobs(folder), threads: 2)
      let comparison = try Comparison(RunCollection(below: folder))
      #expect(comparison.entries.map(\.label) == ["switch", "sparsemixer", "exact"] && comparison.baseline == "switch")
      #expect(comparison.entries[0].difference == nil && comparison.entries[1].wins.of == 3)
      let turned = try Comparison(RunCollection(below: folder), baseline: "exact")
      let (forth, back) = (comparison.entries[2], turned.entries[0])
      #expect(forth.difference?.mean == back.difference.map { -$0.mean })
      #expect(throws: Refusal.self) { try Comparison(RunCollection(below: folder), baseline: "base") }
    }
  }

  @Test func runsOfOtherTasksAreRefused() throws {
    try SmallRun.inFolder { folder in
      try Self.train(Self.jobs(folder, seeds: 0..<1), threads: 2)
      try Self.train([TrainingJobs.Job(SmallRun.manifest(steps: 20), below: "\(folder)/other")], threads: 1)
      let error = #expect(throws: Refusal.self) { try Comparison(RunCollection(below: folder)) }
      #expect(error?.code == .wrongData && error?.description.contains("seed-3") ?? false)
      #expect(throws: Refusal.self) { try RunCollection(below: "\(folder)/missing") }
    }
  }

  @Test func unfinishedRunsAreLeftOut() throws {
    try SmallRun.inFolder { folder in
      try Self.train(Self.jobs(folder, seeds: 0..<2), threads: 2)
      let path = "\(folder)/exact/rate-0.02/seed-1/metrics.jsonl"
      try SmallRun.write(SmallRun.bytes(path).dropLast(5), path)
      let comparison = try Comparison(RunCollection(below: folder))
      #expect(comparison.unfinished == ["\(folder)/exact/rate-0.02/seed-1"])
      #expect(comparison.entries[2].wins.of == 1)
    }
  }

  @Test func divergedRunsAreCounted() throws {
    try SmallRun.inFolder { folder in
      try Self.train(Self.jobs(folder, seeds: 0..<2), threads: 2)
      let diverging = try SmallRun.manifest("base", seed: 0) { $0.learningRate = 1e30 }
      try Self.train([TrainingJobs.Job(diverging, below: folder)], threads: 1)
      let entry = try #require(try Comparison(RunCollection(below: folder)).entries.first { $0.label == "base" })
      #expect(entry.diverged == 1 && entry.difference == nil && entry.speedUp == nil)
    }
  }

  @Test func ratesReadBackAndFallBackToTheRouter() throws {
    let rates = TunedRates(
      model: "mixture-regression", shared: 0.75, rates: [("switch", 0.03), ("exact:expert=sample", 0.01)])
    #expect(try TunedRates(Array(rates.text.utf8)) == rates)
    let jittered = rates.rate(of: try TrainingRouter("switch:r=0.2"))
    #expect(jittered?.rate == 0.03 && jittered?.isOwn == false)
    #expect(rates.rate(of: try TrainingRouter("exact")) == nil)
    // Weights of auxiliary losses come with the rate that they were tuned with.
    var weighed = rates
    let weights = AuxiliaryWeights(loadBalance: 0.1, zLoss: 0.001)
    weighed.weights = [("switch", weights)]
    #expect(try TunedRates(Array(weighed.text.utf8)) == weighed && weighed != rates)
    #expect(weighed.rate(of: try TrainingRouter("switch:r=0.2"))?.weights == weights && jittered?.weights == nil)
    for text in [
      weighed.text.replacing("0.001", with: "-1"), weighed.text.replacing("zLoss", with: "z"), "{}",
      "{\"schema\": \"routegrad.rates/1\", \"model\": \"x\", \"shared\": null, \"rates\": {\"a\": 0}}",
    ] {
      #expect(throws: (any Error).self) { try TunedRates(Array(text.utf8)) }
    }
  }

  /// Every router of the default comparison has a rate on every default task.
  @Test(arguments: MixtureTask.Kind.allCases, [0.75, 0])
  func shippedRatesAreComplete(kind: MixtureTask.Kind, shared: Double) throws {
    var settings = MixtureSettings()
    (settings.kind, settings.shared) = (kind, kind == .regression ? shared : 0)
    let rates = TunedRates.standard(for: settings)
    #expect(rates.model == kind.rawValue && (kind == .classification || rates.shared == shared))
    for router in try TrainingRouter.routers(list: TrainingRouter.standardList) {
      #expect(rates.rate(of: router)?.isOwn == true, "\(router.label)")
    }
  }
}
