// The umbrella over the judge: `import RouteGrad` brings in every module that states, expects, verifies and reports. Training is
// RouteGradTraining's.
@_exported import FileFormats
@_exported import LayerAudits
@_exported import LayerTensors
@_exported import NoiseIntegrals
@_exported import RouterSpecifications
@_exported import RoutingCore
@_exported import RoutingEstimators
@_exported import RoutingExpectations
@_exported import RoutingReports
@_exported import RoutingVerification
