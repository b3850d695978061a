// The umbrella: `import RouteGrad` brings in every public module.
@_exported import LayerAudit
@_exported import MixtureOfExperts
@_exported import RoutingCore
@_exported import RoutingEstimators
@_exported import RoutingExpectations
@_exported import RoutingReports
@_exported import RoutingVerification
@_exported import SwitchTraining
