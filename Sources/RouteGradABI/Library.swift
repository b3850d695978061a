// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CRouteGrad
import CStandardLibrary
import RouteGrad

/// Texts that C reads, made once and kept for ever.
enum StaticText {
  nonisolated(unsafe) static let empty = constant("")
  nonisolated(unsafe) static let version = constant(routeGradVersion)
  nonisolated(unsafe) static let estimators = constant(EstimatorCatalogue.json)
  nonisolated(unsafe) static let categorical = constant(RoutingProblem.Kind.categorical.rawValue)
  nonisolated(unsafe) static let mixture = constant(RoutingProblem.Kind.mixture.rawValue)

  private static func constant(_ text: String) -> UnsafePointer<CChar>? { strdup(text).map { UnsafePointer($0) } }
}

@c @implementation
public func rg_last_error() -> UnsafePointer<CChar>? {
  ThreadState.current.message.map { UnsafePointer($0) } ?? StaticText.empty
}

@c @implementation
public func rg_set_interruption(_ function: rg_interruption?, _ context: UnsafeMutableRawPointer?) {
  ThreadState.current.interruption = function.map { ($0, context) }
}

@c @implementation
public func rg_version() -> UnsafePointer<CChar>? { StaticText.version }
