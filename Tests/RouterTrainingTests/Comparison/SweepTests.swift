import FileFormats
import Foundation
import RoutingCore
import Synchronization
import Testing

@testable import RouterTraining

/// What a sweep trains next follows from its folder alone.
struct SweepTests {
  private static func sweep(
    _ routers: String = "switch,none", seeds: Range<UInt64> = 0..<3, grid: TuningGrid? = nil
  ) throws -> Sweep {
    let manifest = try SmallRun.manifest(steps: 10, checkpointEvery: nil)
    let routers = try TrainingRouter.routers(list: routers)
    let own = TunedPoint(rate: 0.02, weights: manifest.settings.auxiliary)
    return Sweep(
      settings: manifest.settings, plan: manifest.plan, routers: routers, seeds: seeds, grid: grid,
      points: grid == nil ? routers.map { _ in own } : [], notes: [], version: "test", commit: nil)
  }

  private static let grid = TuningGrid(seeds: TuningGrid.firstSeed..<TuningGrid.firstSeed + 2, rates: [0.01, 0.02])

  /// Everything below a folder, by name.
  private static func contents(_ folder: String) throws -> [String: [UInt8]] {
    var contents: [String: [UInt8]] = [:]
    let files = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
    for file in files {
      var isFolder: ObjCBool = false
      guard FileManager.default.fileExists(atPath: "\(folder)/\(file)", isDirectory: &isFolder), !isFolder.boolValue
      else { continue }
      contents[file] = try SmallRun.bytes("\(folder)/\(file)")
    }
    return contents
  }

  private static func train(_ jobs: [TrainingJobs.Job]) throws(Refusal) -> Bool {
    try TrainingJobs.run(jobs, threads: 2)
  }

  @Test func shardsInAnyOrderMakeTheFolderOfOneMachine() throws {
    try SmallRun.inFolder { folder in
      let sweep = try Self.sweep(grid: Self.grid)
      let whole = try #require(try sweep.run(in: "\(folder)/a", train: Self.train))
      #expect(whole.state.isComplete && whole.trained == whole.state.jobs.count + whole.state.tuningJobs.count)
      var trained = 0
      var isComplete = false
      // A pass for each round of tuning, and one more.
      for pass in 0..<20 where !isComplete {
        for index in pass.isMultiple(of: 2) ? [3, 1, 2] : [2, 3, 1] {
          let shard = Sweep.Shard(index: index, count: 3)
          let part = try #require(try sweep.run(in: "\(folder)/b", shard: shard, train: Self.train))
          trained += part.trained
          isComplete = part.state.isComplete
        }
      }
      // No run was made twice.
      #expect(isComplete && trained == whole.trained)
      #expect(try Self.contents("\(folder)/a") == Self.contents("\(folder)/b"))
      let again = try #require(try sweep.run(in: "\(folder)/b", train: Self.train))
      #expect(again.trained == 0 && again.state.points == whole.state.points)
    }
  }

  /// What a shard has to wait for, it leaves; it neither waits nor does another's work.
  @Test func aShardDoesItsOwnPartOnly() throws {
    try SmallRun.inFolder { folder in
      let sweep = try Self.sweep(grid: Self.grid)
      let first = try #require(
        try sweep.run(in: folder, shard: Sweep.Shard(index: 1, count: 4), train: Self.train))
      #expect(!first.state.isComplete && first.trained > 0 && first.state.points.allSatisfy { $0 == nil })
      let again = try #require(
        try sweep.run(in: folder, shard: Sweep.Shard(index: 1, count: 4), train: Self.train))
      #expect(again.trained == 0 && again.state.left == first.state.left)
    }
  }

  @Test func runsOfAnotherPlanAreRefused() throws {
    try SmallRun.inFolder { folder in
      _ = try Self.sweep().run(in: folder, train: Self.train)
      var other = try Self.sweep()
      other.plan.warmUp += 1
      let error = #expect(throws: Refusal.self) { try other.run(in: folder, train: Self.train) }
      #expect(error?.code == .wrongUsage && error?.description.contains("another task or plan") ?? false)
    }
  }

  /// The best rate is an inner one of its line, or there is no further one.
  @Test func linesWidenUntilTheirOptimumIsInside() throws {
    try SmallRun.inFolder { folder in
      var grid = Self.grid
      (grid.rates, grid.loadBalances, grid.zLosses) = ([0.01], [0, 0.5], [0, 0.01])
      let sweep = try Self.sweep(grid: grid)
      let result = try #require(try sweep.run(in: folder, train: Self.train))
      for (tuning, point) in zip(result.state.tunings, result.state.points) {
        #expect(tuning.lines.count == 4 && Set(tuning.lines.map(\.weights)).count == 4)
        for line in tuning.lines {
          let (tried, best) = (line.losses.keys.sorted(), RateGrid.best(line.losses))
          #expect(line.due.isEmpty && tried.count > 1)
          #expect(
            (best != tried.first || best == RateGrid.all.first) && (best != tried.last || best == RateGrid.all.last))
        }
        let best = tuning.lines.compactMap { line in line.losses.values.min() }.min()
        let chosen = tuning.lines.first { $0.weights == point?.weights }
        #expect(point.flatMap { chosen?.losses[$0.rate] } == best)
      }
      let rates = sweep.rates(result.state)
      #expect(rates.weights.map(\.router) == ["none", "switch"])
      #expect(try TunedRates(Array(rates.text.utf8)) == rates)
      #expect(sweep.notes(result.state).count == 8)
      // Of runs that differ in their weights, each router's stand in its entry.
      let comparison = try Comparison(RunCollection(in: result.state.jobs.map(\.folder)))
      for (router, point) in zip(sweep.routers, result.state.points) {
        #expect(comparison.entries.first { $0.label == router.label }?.weights == point?.weights)
      }
    }
  }

  @Test func progressIsThatOfTheFolders() throws {
    try SmallRun.inFolder { folder in
      let sweep = try Self.sweep()
      let state = try sweep.state(in: folder)
      #expect(try sweep.progress(state).map(\.runs.complete) == [0, 0] && state.left == 6)
      _ = try sweep.run(in: folder, train: Self.train)
      let path = state.jobs[1].folder + "/metrics.jsonl"
      let lines = try SmallRun.bytes(path).split(separator: UInt8(ascii: "\n"))
      try SmallRun.write(Array(lines[..<2].joined(separator: [UInt8(ascii: "\n")])) + [UInt8(ascii: "\n")], path)
      let progress = try sweep.progress(try sweep.state(in: folder))
      #expect(progress.map(\.runs.complete) == [2, 3] && progress.map(\.begun) == [1, 0])
      #expect(
        progress.map(\.steps.done) == [25, 30] && progress.allSatisfy { $0.steps.known == 30 && $0.tuning == nil })
    }
  }

  /// With checkpoints a run that was stopped goes on where it was, and leaves what an undisturbed one does.
  @Test func runsWithCheckpointsGoOn() throws {
    try SmallRun.inFolder { folder in
      let job = TrainingJobs.Job(try SmallRun.manifest(steps: 40, checkpointEvery: 7), below: "\(folder)/a")
      #expect(try Self.train([job]))
      let other = TrainingJobs.Job(job.manifest, below: "\(folder)/b")
      do {
        var asked = 0
        let outcome = try Trainer(RunFolder(creating: other.folder, other.manifest)).run(
          threads: 1,
          isInterrupted: {
            asked += 1
            return asked > 20
          })
        #expect(outcome == .interrupted)
      }
      #expect(try Self.contents("\(folder)/b").keys.contains { $0.hasSuffix("checkpoint-00000020.safetensors") })
      #expect(try Self.train([other]))
      let (whole, resumed) = (try Self.contents("\(folder)/a"), try Self.contents("\(folder)/b"))
      #expect(whole == resumed && !whole.keys.contains { $0.contains("checkpoint") })
    }
  }

  // MARK: - Its file

  /// Shards begin at once, and each writes the file.
  @Test func manyMayWriteTheFileAtOnce() throws {
    try SmallRun.inFolder { folder in
      let sweeps = try (0..<4).map { try Self.sweep(seeds: 0..<1 + UInt64($0)) }
      for round in 0..<10 {
        let failures = Mutex<[Refusal]>([])
        concurrently(16, threads: 8) { k in
          do throws(Refusal) {
            try sweeps[(round + k) % 4].save(in: folder)
          } catch {
            failures.withLock { $0.append(error) }
          }
        }
        #expect(failures.withLock { $0.map(\.description) } == [])
      }
      let read = try #require(try Sweep(in: folder))
      #expect((1...4).contains(read.seeds.count))
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [Sweep.fileName])
    }
  }

  @Test func theFileReadsBack() throws {
    try SmallRun.inFolder { folder in
      var grid = Self.grid
      grid.zLosses = [0, 0.001]
      for var sweep in [try Self.sweep("switch:r=0.2,exact"), try Self.sweep(grid: grid)] {
        sweep.notes = ["one", "two"]
        try sweep.save(in: folder)
        let read = try #require(try Sweep(in: folder))
        #expect(read.json == sweep.json && read.grid == sweep.grid && read.points == sweep.points)
        #expect(read.seeds == sweep.seeds && read.routers.map(\.label) == sweep.routers.map(\.label))
      }
      #expect(try Sweep(in: "\(folder)/missing") == nil)
    }
  }

  @Test(arguments: [
    ("\"schema\": \"routegrad.sweep/1\"", "\"schema\": \"routegrad.sweep/2\"", "schema"),
    ("\"switch:", "\"swich:", "routers[0]"), ("\"first\": \"0\"", "\"first\": \"-1\"", "seeds.first"),
    ("\"count\": 3", "\"count\": 0", "seeds.count"), ("\"rate\": 0.02", "\"rate\": 0", "points[0].rate"),
    ("\"zLoss\": 0", "\"zLoss\": -1", "points[0].weights.zLoss"),
    ("\"steps\": 10", "\"steps\": 0", "plan.steps"), ("\"notes\": []", "\"notes\": [1]", "notes[0]"),
    ("\"grid\": null", "\"grid\": {}", "grid"), ("\"none:", "\"switch:", "routers[1]"), ("{", "", "JSON"),
    ("\"count\": 3", "\"count\": 100000", "seeds"),
  ])
  func damagedFilesAreRefused(old: String, new: String, path: String) throws {
    try SmallRun.inFolder { folder in
      let sweep = try Self.sweep()
      try sweep.save(in: folder)
      let file = "\(folder)/\(Sweep.fileName)"
      let text = String(decoding: try SmallRun.bytes(file), as: UTF8.self)
      let range = try #require(text.firstRange(of: old), "\(text)")
      try SmallRun.write(Array(text.replacingCharacters(in: range, with: new).utf8), file)
      let error = #expect(throws: Refusal.self) { try Sweep(in: folder) }
      #expect(
        error?.code == .wrongData && error?.description.contains("\(file): ") ?? false, "\(error?.description ?? "")")
      if path != "JSON" { #expect(error?.description.contains(path) ?? false, "\(error?.description ?? "")") }
    }
  }
}
