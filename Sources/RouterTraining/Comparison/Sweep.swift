import CStandardLibrary
import FileFormats
import RoutingCore
import RoutingEstimators

/// A comparison that is made: routers, seeds, and how each router's learning rate is found. What is to be trained next follows from
/// the folders of its runs alone, so that several programs can share the work, and any of them can be stopped and go on.
package struct Sweep: Sendable {
  package static let schema = "routegrad.sweep/1"
  /// Its file in the folder of all its runs.
  package static let fileName = "sweep.json"
  /// The folder of the runs that are compared.
  package static let runsName = "runs"
  /// The folder of the runs that rates are tuned by.
  package static let tuningName = "tuning"

  /// The version and the commit of the program, for manifests.
  package var version: String
  package var commit: String?
  package var settings: any ModelSettings
  /// Without a learning rate, which is each router's own.
  package var plan: TrainingPlan
  package var routers: [TrainingRouter]
  package var seeds: Range<UInt64>
  /// Nil where points are given.
  package var grid: TuningGrid?
  /// The points of the routers, in their order, where there is no grid.
  package var points: [TunedPoint]
  /// Remarks on how these were found.
  package var notes: [String]

  package init(
    settings: any ModelSettings, plan: TrainingPlan, routers: [TrainingRouter], seeds: Range<UInt64>, grid: TuningGrid?,
    points: [TunedPoint], notes: [String], version: String, commit: String?
  ) {
    (self.version, self.commit, self.settings, self.plan) = (version, commit, settings, plan)
    (self.routers, self.seeds, self.grid, self.points, self.notes) = (routers, seeds, grid, points, notes)
  }
}

extension Sweep {
  /// The most runs that a sweep may begin with; more is a slip of the keyboard.
  static let runsLimit = Limit<Int>("a grid and seeds of at most 100000 runs") { $0 <= 100_000 }

  /// - Throws: `InvalidInput` about `seeds` if it is too large, or about `routers` if one does not go with the task.
  package func validate() throws(InvalidInput) {
    let tuned = grid.map { grid in
      grid.seeds.count * grid.rates.count * (grid.loadBalances?.count ?? 1) * (grid.zLosses?.count ?? 1)
    }
    try Self.runsLimit.require("seeds", routers.count * (seeds.count + (tuned ?? 0)))
    for router in routers { try settings.validate(router) }
  }
}

// MARK: - What there is to train

extension Sweep {
  /// A part of the work that is the same whoever asks.
  package struct Shard: Sendable, Equatable {
    /// From 1 to ``count``.
    package var index, count: Int

    package static let whole = Shard(index: 1, count: 1)

    package init(index: Int, count: Int) { (self.index, self.count) = (index, count) }

    func owns(_ number: Int) -> Bool { number % count == index - 1 }
  }

  /// What the folders say: how far tuning is, and the runs that are left.
  package struct State: Sendable {
    /// Of each router, in their order; empty without a grid.
    package var tunings: [RouterTuning] = []
    /// The point of each router; nil while it is tuned.
    package var points: [TunedPoint?] = []
    /// The runs of tuning that are known so far, and those of them that are due, with numbers by which shards share them.
    var tuningJobs: [TrainingJobs.Job] = []
    var tuningDue: [(number: Int, job: TrainingJobs.Job)] = []
    /// Runs that are compared and whose point is known: all of them, and those that are left.
    package var jobs: [TrainingJobs.Job] = []
    var due: [(number: Int, job: TrainingJobs.Job)] = []

    /// The number of runs that are due.
    package var left: Int { tuningDue.count + due.count }

    /// Whether everything has been trained.
    package var isComplete: Bool { tuningDue.isEmpty && due.isEmpty && points.allSatisfy { $0 != nil } }
  }

  /// Reads what there is.
  ///
  /// - Throws: ``Refusal`` if a folder holds a run of another task or plan, or is damaged.
  package func state(in folder: String) throws(Refusal) -> State {
    var state = State()
    for (r, router) in routers.enumerated() {
      if let grid {
        let tuning = try tuning(of: r, grid, in: folder, &state)
        state.tunings.append(tuning)
        state.points.append(tuning.best)
      } else {
        state.points.append(points[r])
      }
      guard let point = state.points[r] else { continue }
      for (k, seed) in seeds.enumerated() {
        let job = job(router, seed: seed, at: point, below: "\(folder)/\(Self.runsName)")
        state.jobs.append(job)
        if try job.metrics() == nil { state.due.append((k * routers.count + r, job)) }
      }
    }
    return state
  }

  private func tuning(
    of r: Int, _ grid: TuningGrid, in folder: String, _ state: inout State
  ) throws(Refusal) -> RouterTuning {
    var tuning = RouterTuning(lines: [])
    for (l, weights) in grid.lines(settings.auxiliary).enumerated() {
      var line = RouterTuning.Line(weights: weights)
      var next = grid.rates
      while !next.isEmpty {
        for rate in next {
          var sum = 0.0
          var left: [(number: Int, job: TrainingJobs.Job)] = []
          for (k, seed) in grid.seeds.enumerated() {
            let job = job(
              routers[r], seed: seed, at: TunedPoint(rate: rate, weights: weights),
              below: "\(folder)/\(Self.tuningName)",
              isTuning: true)
            state.tuningJobs.append(job)
            if let metrics = try job.metrics() {
              sum += metrics.lines.last?.loss.map { log($0) } ?? .infinity
            } else {
              let place = RateGrid.all.firstIndex(of: rate) ?? 0
              left.append((((l * RateGrid.all.count + place) * grid.seeds.count + k) * routers.count + r, job))
            }
          }
          if left.isEmpty { line.losses[rate] = sum / Double(grid.seeds.count) } else { line.due.append(rate) }
          state.tuningDue += left
        }
        next = line.due.isEmpty ? RateGrid.next(line.losses).map { [$0] } ?? [] : []
      }
      tuning.lines.append(line)
    }
    guard tuning.lines.allSatisfy({ $0.due.isEmpty }) else { return tuning }
    // Of equals the first line's.
    var best: (loss: Double, point: TunedPoint)?
    for line in tuning.lines {
      guard let rate = RateGrid.best(line.losses), let loss = line.losses[rate] else { continue }
      if best.map({ loss < $0.loss }) ?? true { best = (loss, TunedPoint(rate: rate, weights: line.weights)) }
    }
    tuning.best = best?.point
    return tuning
  }

  private func job(
    _ router: TrainingRouter, seed: UInt64, at point: TunedPoint, below folder: String, isTuning: Bool = false
  ) -> TrainingJobs.Job {
    var (settings, plan) = (settings, plan)
    let isOwn = settings.auxiliary == point.weights
    settings.auxiliary = point.weights
    plan.learningRate = point.rate
    if isTuning { (plan.auditEvery, plan.auditTokens) = (nil, 0) }
    if plan.auditTokens > 0, (try? settings.contrastCost(router, tokens: plan.auditTokens)) == nil {
      // Its experts cannot be tried one by one.
      plan.auditTokens = 0
    }
    let manifest = RunManifest(
      settings: settings, router: router, seed: seed, plan: plan, version: version, commit: isTuning ? nil : commit)
    return TrainingJobs.Job(manifest, below: folder, weights: isOwn ? nil : point.weights)
  }

  /// Trains a shard's part of what is due, until nothing of it is left that does not wait for another shard.
  ///
  /// - Parameters:
  ///   - train: trains jobs; false if it was interrupted.
  ///   - onTuned: called once when every router has its point, before the runs that are compared.
  /// - Returns: what there is then, and the number of runs that were trained; nil if it was interrupted.
  package func run(
    in folder: String, shard: Shard = .whole, train: ([TrainingJobs.Job]) throws(Refusal) -> Bool,
    onTuned: (State) throws -> Void = { _ in }
  ) throws -> (state: State, trained: Int)? {
    try save(in: folder)
    var trained = 0
    var wasTuned = false
    while true {
      let state = try state(in: folder)
      if !wasTuned, state.points.allSatisfy({ $0 != nil }) {
        wasTuned = true
        try onTuned(state)
      }
      var jobs = state.tuningDue.filter { shard.owns($0.number) }
      if jobs.isEmpty { jobs = state.due.filter { shard.owns($0.number) } }
      guard !jobs.isEmpty else { return (state, trained) }
      guard try train(jobs.map(\.job)) else { return nil }
      trained += jobs.count
    }
  }
}

// MARK: - How far it is

extension Sweep {
  /// How far a router's runs are.
  package struct Progress: Sendable, Equatable {
    /// Runs of tuning that are complete, of those known so far: a line that widens has more. Nil where nothing is tuned.
    package var tuning: (complete: Int, known: Int)?
    /// Runs that are compared.
    package var runs: (complete: Int, planned: Int)
    /// Runs that have begun and are not complete.
    package var begun: Int
    /// Steps of all runs that are known or planned, as far as their metrics say.
    package var steps: (done: Int, known: Int)

    package static func == (a: Progress, b: Progress) -> Bool {
      a.tuning?.complete == b.tuning?.complete && a.tuning?.known == b.tuning?.known && a.runs == b.runs
        && a.begun == b.begun && a.steps == b.steps
    }
  }

  /// How far each router is, in their order.
  package func progress(_ state: State) throws(Refusal) -> [Progress] {
    var all: [Progress] = []
    for router in routers {
      var progress = Progress(
        tuning: grid == nil ? nil : (0, 0), runs: (0, seeds.count), begun: 0, steps: (0, seeds.count * plan.steps))
      func add(_ job: TrainingJobs.Job) throws(Refusal) -> Bool {
        if try job.metrics() != nil {
          progress.steps.done += plan.steps
          return true
        }
        if try job.hasBegun() {
          progress.begun += 1
          progress.steps.done += (try? RunFolder.metrics(of: job.folder, job.manifest.plan))?.lines.last?.step ?? 0
        }
        return false
      }
      for job in state.tuningJobs where job.manifest.router.label == router.label {
        progress.tuning?.known += 1
        progress.steps.known += plan.steps
        if try add(job) { progress.tuning?.complete += 1 }
      }
      for job in state.jobs where job.manifest.router.label == router.label {
        if try add(job) { progress.runs.complete += 1 }
      }
      all.append(progress)
    }
    return all
  }
}

// MARK: - What it found

extension Sweep {
  /// The rates that tuning found.
  package func rates(_ state: State) -> TunedRates {
    var rates = TunedRates(model: settings.id, shared: (settings as? MixtureSettings)?.sharedShare, rates: [])
    for (router, point) in zip(routers, state.points) {
      guard let point else { continue }
      rates.rates.append((router.label, point.rate))
      if grid?.hasWeights ?? false { rates.weights.append((router.label, point.weights)) }
    }
    rates.weights.sort { $0.router < $1.router }
    return rates
  }

  /// Remarks on how the points came about, one of each line of rates.
  package func notes(_ state: State) -> [String] {
    guard let grid else { return notes }
    let lines = zip(routers, state.tunings).flatMap { router, tuning in
      tuning.lines.map { line -> (label: String, text: String) in
        let label = router.label + (grid.hasWeights ? ", \(line.weights.text)" : "")
        let figures = line.losses.sorted { $0.key < $1.key }.map { "\($0.key): \(Self.figure($0.value))" }
        let due = line.due.isEmpty ? "" : "; not complete at \(line.due.map { "\($0)" }.joined(separator: ", "))"
        return (label, "\(label): mean log loss at \(figures.joined(separator: ", "))\(due).")
      }
    }
    return notes + lines.sorted { $0.label < $1.label }.map(\.text)
  }

  private static func figure(_ x: Double) -> String { x.isFinite ? Figures.short(x, digits: 4) : "diverged" }
}

extension MixtureSettings {
  /// The share of the shared teacher; nil where there is none to have one.
  package var sharedShare: Double? { kind == .regression ? shared : nil }
}

extension AuxiliaryWeights {
  /// `load balance 0.01, z-loss 0.001`.
  var text: String { "load balance \(loadBalance), z-loss \(zLoss)" }
}
