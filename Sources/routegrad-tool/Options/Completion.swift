import RouteGrad
import RouteGradTraining

/// What shells complete options with (`routegrad --generate-completion-script bash`).
enum Completion {
  /// The estimators' ids.
  static var estimators: [String] { EstimatorRegistry.standard.map { type(of: $0).id } }

  /// The ids of the routers that can be trained.
  static var routers: [String] { TrainingRouter.standardList.split(separator: ",").map(String.init) }

  /// The names of the routers in the catalogue.
  static var specifications: [String] { (try? RouterCatalogue.shipped())?.entries.map(\.name) ?? [] }
}
