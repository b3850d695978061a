import RouterTraining
import RoutingCore
import RoutingReports

extension RunManifest {
  /// What is to be trained: a network with a layer of experts on the default task.
  ///
  /// - Parameters:
  ///   - settings: the task and the network's sizes.
  ///   - router: the router.
  ///   - seed: of data, initial parameters and draws.
  ///   - plan: how it trains.
  /// - Throws: `InvalidInput` for the first setting that is out of range.
  public init(
    _ settings: MixtureSettings, router: TrainingRouter, seed: UInt64 = 0, plan: TrainingPlan = TrainingPlan()
  ) throws(InvalidInput) {
    self.init(settings: settings, router: router, seed: seed, plan: plan, version: routeGradVersion)
    try validate()
  }
}
