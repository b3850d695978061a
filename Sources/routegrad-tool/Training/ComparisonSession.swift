import CStandardLibrary
import RouteGrad
import RouteGradTraining
import RoutingCore
import RoutingEstimators
import SystemPackage

/// The runs of `routegrad compare`: tuned if that was asked for, trained, and read back.
struct ComparisonSession {
  private let command: CompareCommand
  private let settings: MixtureSettings
  private let plan: TrainingPlan
  private let routers: [TrainingRouter]
  private let given: TunedRates?

  /// - Throws: `Refusal` or what the library says, before anything is trained.
  init(_ command: CompareCommand) throws {
    self.command = command
    settings = try command.settings()
    plan = try command.plan(settings)
    routers = try TrainingRouter.routers(list: command.routers)
    for (k, router) in routers.enumerated() where routers[..<k].contains(where: { $0.label == router.label }) {
      throw Refusal(.wrongUsage, "'--routers': '\(router.label)' is there twice")
    }
    guard let path = command.rates, !command.tune else {
      given = nil
      return
    }
    let bytes = try Input.bytes(of: path)
    do throws(InvalidInput) {
      given = try TunedRates(bytes)
    } catch {
      throw Refusal(file: path, error)
    }
  }

  /// Trains and compares.
  func run() throws -> ComparisonReport {
    Interruption.deferInterrupts()
    let folder = try command.runs ?? Self.temporaryFolder()
    defer { if command.runs == nil { Interruption.discard(folder) } }
    var notes: [String] = []
    let rates = try command.tune ? tuned(in: folder, &notes) : given ?? TunedRates.standard(for: settings)
    var jobs: [TrainingJobs.Job] = []
    for router in routers {
      var plan = plan
      plan.learningRate = try learningRate(of: router, rates, &notes)
      for k in 0..<command.seeds {
        let manifest = RunManifest(
          settings: settings, router: router, seed: command.firstSeed + UInt64(k), plan: plan,
          version: routeGradVersion,
          commit: TrainingSession.commit)
        jobs.append(TrainingJobs.Job(manifest, below: "\(folder)/runs"))
      }
    }
    guard try train(jobs) else { throw interrupted(folder) }
    return ComparisonReport(
      try Comparison(RunCollection(in: jobs.map(\.folder)), baseline: routers[0].label), notes: notes)
  }

  private func learningRate(of router: TrainingRouter, _ rates: TunedRates, _ notes: inout [String]) throws -> Double {
    if let rate = command.learningRate { return rate }
    if let (rate, isOwn) = rates.rate(of: router) {
      if !isOwn {
        notes.append("\(router.label): trained at the learning rate of \(router.id), not at one tuned for it.")
      }
      return rate
    }
    throw Refusal(
      .wrongUsage,
      "'\(router.label)' has no tuned learning rate; expected '--tune', '--rates' with one, or '--learning-rate'")
  }

  private func tuned(in folder: String, _ notes: inout [String]) throws -> TunedRates {
    let first = RateSearch.firstSeed
    let search = RateSearch(
      settings, plan: plan, routers: routers, seeds: first..<first + UInt64(command.tuneSeeds),
      folder: "\(folder)/\(RateSearch.folderName)",
      version: routeGradVersion)
    guard let result = try search.run(train: { jobs throws(Refusal) in try train(jobs) }) else {
      throw interrupted(folder)
    }
    for (router, losses) in result.losses.sorted(by: { $0.key < $1.key }) {
      let grid = losses.sorted { $0.key < $1.key }.map { "\($0.key): \(Self.figure($0.value))" }
      notes.append("\(router): mean log loss at \(grid.joined(separator: ", ")).")
    }
    if let path = command.rates {
      try Output(path: path).finish(result.rates.text)
    }
    return result.rates
  }

  private static func figure(_ x: Double) -> String { x.isFinite ? Figures.short(x, digits: 4) : "diverged" }

  private func train(_ jobs: [TrainingJobs.Job]) throws(Refusal) -> Bool {
    let board = JobBoard(jobs.map(\.name), isShown: !command.runOptions.quiet)
    defer { board.clear() }
    return try TrainingJobs.run(
      jobs, threads: command.runOptions.threadCount, onEvent: board.show, isInterrupted: { Interruption.isRequested })
  }

  private func interrupted(_ folder: String) -> Refusal {
    let advice = command.runs == nil ? "nothing was kept" : "complete runs are in \(folder), the same command goes on"
    return Refusal(.interrupted, "interrupted; \(advice)")
  }

  // MARK: - A folder for runs that nobody wants to keep

  /// It is removed however the program ends.
  private static func temporaryFolder() throws -> String {
    let base = getenv("TMPDIR").map { FilePath(platformString: $0) } ?? "/tmp"
    do throws(Errno) {
      let folder = try FileSystem.makeTemporaryFolder(in: base, prefix: "routegrad-compare-").text
      Interruption.withUnfinished { _ = $0.insert(folder) }
      return folder
    } catch {
      throw AtomicFile.unwritable(base.text, error)
    }
  }
}

extension TrainingJobs.Job {
  /// `sparsemixer, rate 0.01, seed 3`.
  fileprivate var name: String { "\(manifest.router.label), rate \(manifest.plan.learningRate), seed \(manifest.seed)" }
}
