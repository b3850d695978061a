// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CRouteGrad
import RouteGrad

private func categorical(
  _ logits: [Double], _ source: CategoricalProblem.Source
) throws(Failure) -> RoutingProblem {
  do throws(InvalidInput) {
    return .categorical(try CategoricalProblem(logits: logits, source: source))
  } catch {
    throw Failure(error)
  }
}

@c @implementation
public func rg_categorical_with_objective(
  _ logits: UnsafePointer<Double>?, _ experts: Int, _ objective: UnsafePointer<CChar>?, _ length: Int,
  _ problem: UnsafeMutablePointer<OpaquePointer?>?
) -> rg_status {
  makingProblem(problem) { () throws(Failure) in
    let logits = try numbers(logits, experts, "logits")
    let text = try bytes(objective, length, "objective")
    let source: CategoricalProblem.Source
    do throws(InvalidInput) { source = try CategoricalProblem.Source(json: text) } catch { throw Failure(error) }
    return (try categorical(logits, source), nil)
  }
}

@c @implementation
public func rg_categorical_with_function(
  _ logits: UnsafePointer<Double>?, _ experts: Int, _ function: rg_function?,
  _ context: UnsafeMutableRawPointer?, _ problem: UnsafeMutablePointer<OpaquePointer?>?
) -> rg_status {
  makingProblem(problem) { () throws(Failure) in
    let logits = try numbers(logits, experts, "logits")
    let objective = CallerFunction(
      dimension: experts, role: "objective", function: try required(function, "function"), context: context)
    return (try categorical(logits, .objective(objective)), objective)
  }
}

@c @implementation
public func rg_categorical_with_table(
  _ logits: UnsafePointer<Double>?, _ experts: Int, _ values: UnsafePointer<Double>?,
  _ gradients: UnsafePointer<Double>?, _ problem: UnsafeMutablePointer<OpaquePointer?>?
) -> rg_status {
  makingProblem(problem) { () throws(Failure) in
    let logits = try numbers(logits, experts, "logits")
    let values = try numbers(values, experts, "values")
    let gradients = try matrix(gradients, rows: experts, columns: experts, "gradients")
    return (try categorical(logits, .table(values: values, gradients: gradients.asRows)), nil)
  }
}
