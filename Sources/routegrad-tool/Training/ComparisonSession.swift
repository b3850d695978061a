import CStandardLibrary
import RouteGrad
import RouteGradTraining
import RoutingCore
import RoutingEstimators
import SystemPackage

/// The runs of `routegrad compare`: tuned if that was asked for, trained, and read back.
struct ComparisonSession {
  private let command: CompareCommand
  private let sweep: Sweep
  private let shard: Sweep.Shard

  /// - Throws: `Refusal` or what the library says, before anything is trained.
  init(_ command: CompareCommand) throws {
    self.command = command
    shard = try command.part
    var given: TunedRates?
    if let path = command.rates, !command.tune {
      let bytes = try Input.bytes(of: path)
      do throws(InvalidInput) {
        given = try TunedRates(bytes)
      } catch {
        throw Refusal(file: path, error)
      }
    }
    sweep = try command.sweep(given)
    if !(sweep.settings is MixtureSettings) {
      // Whatever is wrong with a text.
      let manifest = RunManifest(
        settings: sweep.settings, router: sweep.routers[0], seed: 0, plan: sweep.plan, version: sweep.version)
      guard try manifest.model().evaluate(threads: 1)["loss"] != nil else {
        throw Refusal(
          .wrongData,
          "\(command.taskOptions.text ?? "translation"): expected held-out data, whose losses are compared; there is none"
        )
      }
    }
  }

  /// Trains and compares.
  func run() throws -> ComparisonReport {
    Interruption.deferInterrupts()
    let folder = try command.runs ?? Self.temporaryFolder()
    defer { if command.runs == nil { Interruption.discard(folder) } }
    let (state, _) = try train(in: folder)
    let runs = try RunCollection(in: state.jobs.map(\.folder))
    return ComparisonReport(try Comparison(runs, baseline: sweep.routers[0].label), notes: sweep.notes(state))
  }

  /// Trains a part of the work.
  ///
  /// - Returns: what is to be said of it.
  func trainShard() throws -> String {
    Interruption.deferInterrupts()
    let folder = command.runs ?? ""
    let (state, trained) = try train(in: folder)
    let done =
      "\(folder.onOneLine): shard \(shard.index)/\(shard.count) trained \(trained) run\(trained == 1 ? "" : "s")"
    if state.isComplete { return "\(done); all is trained, see: routegrad compare --from \(folder.onOneLine)\n" }
    let tuned = zip(sweep.routers, state.points).compactMap { $1 == nil ? $0.label : nil }
    let waiting = tuned.isEmpty ? "" : ", and for its tuning \(tuned.joined(separator: ", "))"
    return "\(done); \(state.left) of other shards are left\(waiting)\n"
  }

  private func train(in folder: String) throws -> (state: Sweep.State, trained: Int) {
    let result = try sweep.run(
      in: folder, shard: shard, train: { jobs throws(Refusal) in try train(jobs) },
      onTuned: { state in
        if let path = command.rates, sweep.grid != nil { try Output(path: path).finish(sweep.rates(state).text) }
      })
    guard let result else {
      let advice =
        command.runs == nil
        ? "nothing was kept" : "complete runs are in \(folder), the same command goes on"
      throw Refusal(.interrupted, "interrupted; \(advice)")
    }
    if result.state.isComplete { Sweep.removeLeftovers(in: folder) }
    return result
  }

  private func train(_ jobs: [TrainingJobs.Job]) throws(Refusal) -> Bool {
    let board = JobBoard(jobs.map(\.name), isShown: !command.runOptions.quiet)
    defer { board.clear() }
    return try TrainingJobs.run(
      jobs, threads: command.runOptions.threadCount, onEvent: board.show, isInterrupted: { Interruption.isRequested })
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
