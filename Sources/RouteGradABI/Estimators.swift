// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CRouteGrad
import RouteGrad

@c @implementation
public func rg_estimator_create(
  _ specification: UnsafePointer<CChar>?, _ estimator: UnsafeMutablePointer<OpaquePointer?>?
) -> rg_status {
  reporting { () throws(Failure) in
    let result = try required(estimator, "estimator")
    let specification = try text(specification, "specification")
    do throws(InvalidEstimator) {
      result.pointee = handle(EstimatorHandle(try EstimatorRegistry.estimator(specification)))
    } catch {
      throw .argument(error.description)
    }
  }
}

@c @implementation
public func rg_estimator_destroy(_ estimator: OpaquePointer?) { release(estimator, as: EstimatorHandle.self) }

@c @implementation
public func rg_estimators_json() -> UnsafePointer<CChar>? { StaticText.estimators }
