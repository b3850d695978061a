import RoutingCore

/// What is tried for each router on seeds of its own: learning rates, and weights of the auxiliary losses if these are to be tuned.
package struct TuningGrid: Sendable, Equatable {
  /// Seeds that no comparison reports.
  package var seeds: Range<UInt64>
  /// The rates that each line begins with; it widens while its optimum sits on its edge.
  package var rates: [Double]
  /// The weights to try; nil: as the task has them.
  package var loadBalances, zLosses: [Double]?

  /// The first of the seeds that are kept for tuning.
  package static let firstSeed: UInt64 = 1_000_000
  /// The number of values of a list.
  package static let valuesLimit = Limit.whole(1...100)

  package init(seeds: Range<UInt64>, rates: [Double], loadBalances: [Double]? = nil, zLosses: [Double]? = nil) {
    self.seeds = seeds
    self.rates = rates
    self.loadBalances = loadBalances
    self.zLosses = zLosses
  }

  /// The weights of each line of rates, the task's own among them.
  func lines(_ own: AuxiliaryWeights) -> [AuxiliaryWeights] {
    (loadBalances ?? [own.loadBalance]).flatMap { balance in
      (zLosses ?? [own.zLoss]).map { AuxiliaryWeights(loadBalance: balance, zLoss: $0) }
    }
  }

  /// Whether weights are tuned at all.
  var hasWeights: Bool { loadBalances != nil || zLosses != nil }
}

/// A learning rate and the weights of the auxiliary losses beside it.
package struct TunedPoint: Sendable, Hashable {
  package var rate: Double
  package var weights: AuxiliaryWeights

  package init(rate: Double, weights: AuxiliaryWeights) {
    self.rate = rate
    self.weights = weights
  }
}

/// How far a router's tuning is, as the folders of its runs say.
package struct RouterTuning: Sendable {
  /// A line of rates under the same weights.
  package struct Line: Sendable {
    package var weights: AuxiliaryWeights
    /// The mean log final loss at each rate that all seeds have finished; infinite where a run diverged.
    package var losses: [Double: Double] = [:]
    /// The rates that are to be tried next.
    package var due: [Double] = []
  }

  package var lines: [Line]
  /// The optimum; nil while rates are due.
  package var best: TunedPoint?
}
