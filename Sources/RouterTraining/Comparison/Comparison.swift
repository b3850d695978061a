import CStandardLibrary
import FileFormats
import RoutingCore
import RoutingEstimators

/// Routers against a baseline on matched seeds, computed from runs alone.
public struct Comparison: Sendable {
  /// One router's runs.
  public struct Entry: Sendable {
    /// The router, with its learning rate where the same router was trained with several.
    public var label: String
    public var router: TrainingRouter
    public var learningRate: Double
    /// The weights of the auxiliary losses that it was trained with.
    package var weights: AuxiliaryWeights
    /// By seed, in order.
    public var runs: [RunRecord]
    /// The final losses of those that did not diverge.
    public var finalLosses: [Double]
    /// The log of the final loss less the baseline's, over seeds that both have; nil without any, and for the baseline.
    public var difference: PairedDifference?
    /// Steps of the baseline by steps of the router.
    public var speedUp: GeometricMean?
    /// The speed-up of each matched seed.
    public var speedUps: [(seed: UInt64, value: Double)]
    /// Seeds whose final loss is below the baseline's, of so many.
    public var wins: (count: Int, of: Int)
    /// The number of runs that diverged.
    public var diverged: Int
    /// The mean of the audits; nil without any.
    public var audit: RouterAudit?
    /// The mean of the audits of networks; likewise.
    package var networkAudit: NetworkAudit?
  }

  /// The number of seeds.
  package static let seedsLimit = Limit.whole(1...10_000)

  /// What all runs have in common.
  package var settings: any ModelSettings
  package var plan: TrainingPlan
  /// The label of the router that the others are held against.
  public var baseline: String
  public var entries: [Entry]
  /// Folders of runs that are not complete.
  public var unfinished: [String]

  /// Compares runs.
  ///
  /// - Parameters:
  ///   - runs: of one task and one plan; they differ in router, seed and learning rate.
  ///   - baseline: a router's label; the first router of ``TrainingRouter/standardList`` that there is, if it is nil.
  /// - Throws: ``Refusal`` if they are of different tasks, or a seed is there twice.
  public init(_ runs: RunCollection, baseline: String? = nil) throws(Refusal) {
    guard let first = runs.records.first else {
      throw Refusal(.wrongData, "expected at least one complete run, got \(runs.unfinished.count) unfinished ones")
    }
    settings = first.manifest.settings
    plan = first.manifest.plan
    unfinished = runs.unfinished
    let common = first.manifest.commonPart(withWeights: false)
    for run in runs.records where run.manifest.commonPart(withWeights: false) != common {
      throw Refusal(
        .wrongData,
        "\(run.path): expected the task and the plan of \(first.path); runs differ in router, seed, learning rate and weights of "
          + "auxiliary losses only")
    }
    let groups = try Self.groups(runs.records)
    let chosen = baseline ?? groups.first?.label ?? ""
    guard let base = groups.first(where: { $0.label == chosen }) else {
      throw Refusal(
        .wrongUsage, "expected a baseline among \(groups.map(\.label).joined(separator: ", ")), got '\(chosen)'")
    }
    self.baseline = chosen
    entries = groups.map { Self.entry($0.label, $0.runs, against: $0.label == chosen ? nil : base.runs) }
  }

  /// The runs of each router, the routers in the order of ``TrainingRouter/standardList``, then by name.
  private static func groups(_ runs: [RunRecord]) throws(Refusal) -> [(label: String, runs: [RunRecord])] {
    var points: [String: Set<TunedPoint>] = [:]
    for run in runs { points[run.manifest.router.label, default: []].insert(run.manifest.point) }
    var groups: [String: [RunRecord]] = [:]
    for run in runs {
      let (label, point) = (run.manifest.router.label, run.manifest.point)
      let others = points[label] ?? []
      var key = label
      if others.contains(where: { $0.rate != point.rate }) { key += " at \(point.rate)" }
      if others.contains(where: { $0.weights != point.weights }) { key += " with \(point.weights.text)" }
      groups[key, default: []].append(run)
    }
    let standard = Specification.split(TrainingRouter.standardList)
    func rank(_ label: String) -> Int {
      standard.firstIndex { label == $0 || label.hasPrefix("\($0) ") } ?? standard.count
    }
    var sorted: [(label: String, runs: [RunRecord])] = []
    for (label, runs) in groups.sorted(by: { (rank($0.key), $0.key) < (rank($1.key), $1.key) }) {
      let runs = runs.sorted { $0.manifest.seed < $1.manifest.seed }
      for (a, b) in zip(runs, runs.dropFirst()) where a.manifest.seed == b.manifest.seed {
        throw Refusal(
          .wrongData, "\(b.path): expected one run of \(label) with seed \(b.manifest.seed), \(a.path) is one")
      }
      sorted.append((label, runs))
    }
    return sorted
  }

  private static func entry(_ label: String, _ runs: [RunRecord], against base: [RunRecord]?) -> Entry {
    let pairs = base.map { Self.pairs(runs, $0) } ?? []
    let differences = pairs.map { log($0.own.final) - log($0.base.final) }
    let speedUps = pairs.compactMap { pair in pair.own.speedUp(over: pair.base).map { (seed: pair.seed, value: $0) } }
    let audits = runs.flatMap { $0.metrics.lines.compactMap(\.audit) }
    return Entry(
      label: label, router: runs[0].manifest.router, learningRate: runs[0].manifest.plan.learningRate,
      weights: runs[0].manifest.settings.auxiliary, runs: runs,
      finalLosses: runs.compactMap { $0.curve?.final },
      difference: differences.isEmpty ? nil : PairedDifference(differences),
      speedUp: speedUps.isEmpty ? nil : GeometricMean(speedUps.map(\.value)), speedUps: speedUps,
      wins: (pairs.count { $0.own.final < $0.base.final }, pairs.count), diverged: runs.count { $0.curve == nil },
      audit: RouterAudit(meanOf: audits),
      networkAudit: NetworkAudit(meanOf: runs.flatMap { $0.metrics.lines.compactMap(\.networkAudit) }))
  }

  /// The curves of seeds that both have.
  private static func pairs(
    _ runs: [RunRecord], _ base: [RunRecord]
  ) -> [(seed: UInt64, own: LossCurve, base: LossCurve)] {
    runs.compactMap { run in
      guard let own = run.curve, let other = base.first(where: { $0.manifest.seed == run.manifest.seed })?.curve
      else { return nil }
      return (run.manifest.seed, own, other)
    }
  }

  /// Whether the routers were trained with different weights of the auxiliary losses.
  package var hasOwnWeights: Bool { entries.contains { $0.weights != entries[0].weights } }

  /// The speed-up of one entry over another, over seeds that both have.
  package func speedUp(of label: String, over other: String) -> GeometricMean? {
    guard let own = entries.first(where: { $0.label == label }), let base = entries.first(where: { $0.label == other })
    else { return nil }
    let values = Self.pairs(own.runs, base.runs).compactMap { $0.own.speedUp(over: $0.base) }
    return values.isEmpty ? nil : GeometricMean(values)
  }
}

extension RunManifest {
  /// What was tuned.
  fileprivate var point: TunedPoint { TunedPoint(rate: plan.learningRate, weights: settings.auxiliary) }

  /// What runs that are compared have in common, as text.
  ///
  /// - Parameter withWeights: whether the weights of the auxiliary losses are.
  func commonPart(withWeights: Bool = true) -> String {
    var (settings, plan) = (settings, plan)
    if !withWeights { settings.auxiliary = AuxiliaryWeights(loadBalance: 0, zLoss: 0) }
    plan.learningRate = 0
    // What does not touch the losses.
    (plan.auditEvery, plan.auditTokens, plan.checkpointEvery) = (nil, 0, nil)
    return JSONWriter.line(["model": .string(settings.id), "settings": settings.json, "plan": plan.json])
  }
}

extension RouterAudit {
  /// The means of several audits' figures; nil of none.
  init?(meanOf audits: [RouterAudit]) {
    guard !audits.isEmpty else { return nil }
    func mean(_ figure: KeyPath<RouterAudit, Double>) -> Double {
      audits.reduce(0) { $0 + $1[keyPath: figure] } / Double(audits.count)
    }
    self.init(
      targetNorm: mean(\.targetNorm), relativeBias: mean(\.relativeBias), relativeDeviation: mean(\.relativeDeviation),
      cosine: mean(\.cosine))
  }
}
