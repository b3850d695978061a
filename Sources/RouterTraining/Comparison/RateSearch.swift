import CStandardLibrary
import RoutingCore

/// The learning rate of each router with the smallest mean log final loss, on a grid that widens while that is on its edge.
package struct RateSearch: Sendable {
  package var settings: MixtureSettings
  package var plan: TrainingPlan
  package var routers: [TrainingRouter]
  /// Seeds that no comparison reports.
  package var seeds: Range<UInt64>
  /// Where the runs go, or are found.
  package var folder: String
  /// The version of the program, for manifests.
  package var version: String

  /// The name of the folder of these runs beside those of the comparison.
  package static let folderName = "tuning"

  /// The first of the seeds that are kept for tuning.
  package static let firstSeed: UInt64 = 1_000_000

  package init(
    _ settings: MixtureSettings, plan: TrainingPlan, routers: [TrainingRouter], seeds: Range<UInt64>, folder: String,
    version: String
  ) {
    self.settings = settings
    self.plan = plan
    self.routers = routers
    self.seeds = seeds
    self.folder = folder
    self.version = version
  }

  /// A router's losses by learning rate.
  package typealias Losses = [String: [Double: Double]]

  /// Trains until no optimum sits on an edge.
  ///
  /// - Parameter train: trains jobs; false if it was interrupted.
  /// - Returns: the rates, and the mean log final losses that they were chosen by; nil if it was interrupted.
  package func run(
    train: ([TrainingJobs.Job]) throws(Refusal) -> Bool
  ) throws(Refusal) -> (rates: TunedRates, losses: Losses)? {
    var losses: Losses = [:]
    var due = routers.flatMap { router in RateGrid.start.map { (router, $0) } }
    while !due.isEmpty {
      guard try train(due.flatMap { jobs($0.0, rate: $0.1) }) else { return nil }
      for (router, rate) in due {
        losses[router.label, default: [:]][rate] = try meanLogLoss(router, rate: rate)
      }
      due = routers.compactMap { router in
        RateGrid.next(losses[router.label] ?? [:]).map { (router, $0) }
      }
    }
    let rates = routers.compactMap { router in
      RateGrid.best(losses[router.label] ?? [:]).map { (router: router.label, rate: $0) }
    }
    return (TunedRates(model: settings.id, shared: settings.sharedShare, rates: rates), losses)
  }

  private func jobs(_ router: TrainingRouter, rate: Double) -> [TrainingJobs.Job] {
    seeds.map { seed in
      var plan = plan
      plan.learningRate = rate
      plan.auditEvery = nil
      let manifest = RunManifest(settings: settings, router: router, seed: seed, plan: plan, version: version)
      return TrainingJobs.Job(manifest, below: folder)
    }
  }

  private func meanLogLoss(_ router: TrainingRouter, rate: Double) throws(Refusal) -> Double {
    var sum = 0.0
    for job in jobs(router, rate: rate) {
      let metrics = try RunFolder.metrics(of: job.folder, job.manifest.plan)
      sum += metrics.lines.last?.loss.map { log($0) } ?? .infinity
    }
    return sum / Double(seeds.count)
  }
}

extension MixtureSettings {
  /// The share of the shared teacher; nil where there is none to have one.
  package var sharedShare: Double? { kind == .regression ? shared : nil }
}
