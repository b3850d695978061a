// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CRouteGrad
import RouteGrad

extension rg_mixture {
  /// Reads the arrays and makes the problem.
  fileprivate static func problem(
    _ mixture: UnsafePointer<rg_mixture>?, source: (rg_mixture) throws(Failure) -> MixtureProblem.Source
  ) throws(Failure) -> RoutingProblem {
    let m = try required(mixture, "mixture").pointee
    try requireSize(m.size, of: rg_mixture.self, "mixture")
    let logits = try numbers(m.logits, m.experts, "logits")
    let source = try source(m)
    let hasOutputs = m.expert_outputs != nil || !source.isTable
    let outputs = hasOutputs ? try m.rows(m.expert_outputs, "expert_outputs") : nil
    let scale = m.scale == nil ? nil : try numbers(m.scale, m.width, "scale")
    let defaults = m.default_outputs == nil ? nil : try m.rows(m.default_outputs, "default_outputs")
    let router = m.router_width == 0 ? nil : try m.router
    do throws(InvalidInput) {
      return .mixture(
        try MixtureProblem(
          logits: logits, outputs: outputs, scale: scale, defaults: defaults, router: router,
          source: source))
    } catch {
      throw Failure(error)
    }
  }

  private func rows(_ pointer: UnsafePointer<Double>?, _ name: String) throws(Failure) -> Matrix {
    try matrix(pointer, rows: experts, columns: width, name)
  }

  private var router: RouterInput {
    get throws(Failure) {
      let weights = try matrix(router_weight, rows: experts, columns: router_width, "router_weight")
      let biases = router_bias == nil ? nil : try numbers(router_bias, experts, "router_bias")
      let input = try numbers(router_input, router_width, "router_input")
      do throws(InvalidInput) {
        return try RouterInput(weights: weights.asRows, biases: biases, input: input)
      } catch {
        throw Failure(error.inside("router"))
      }
    }
  }
}

extension MixtureProblem.Source {
  fileprivate var isTable: Bool { if case .table = self { true } else { false } }
}

@c @implementation
public func rg_mixture_with_loss(
  _ mixture: UnsafePointer<rg_mixture>?, _ loss: UnsafePointer<CChar>?, _ length: Int,
  _ problem: UnsafeMutablePointer<OpaquePointer?>?
) -> rg_status {
  makingProblem(problem) { () throws(Failure) in
    let problem = try rg_mixture.problem(mixture) { (_) throws(Failure) in
      let text = try bytes(loss, length, "loss")
      do throws(InvalidInput) { return try MixtureProblem.Source(json: text) } catch { throw Failure(error) }
    }
    return (problem, nil)
  }
}

@c @implementation
public func rg_mixture_with_function(
  _ mixture: UnsafePointer<rg_mixture>?, _ function: rg_function?, _ context: UnsafeMutableRawPointer?,
  _ problem: UnsafeMutablePointer<OpaquePointer?>?
) -> rg_status {
  makingProblem(problem) { () throws(Failure) in
    let width = try required(mixture, "mixture").pointee.width
    let loss = CallerFunction(
      dimension: try extent(width, "expert_outputs"), role: "loss", function: try required(function, "function"),
      context: context)
    return (try rg_mixture.problem(mixture) { (_) throws(Failure) in .loss(loss) }, loss)
  }
}

@c @implementation
public func rg_mixture_with_table(
  _ mixture: UnsafePointer<rg_mixture>?, _ table: UnsafePointer<rg_table>?,
  _ problem: UnsafeMutablePointer<OpaquePointer?>?
) -> rg_status {
  makingProblem(problem) { () throws(Failure) in
    let t = try required(table, "table").pointee
    try requireSize(t.size, of: rg_table.self, "table")
    let problem = try rg_mixture.problem(mixture) { (m) throws(Failure) in
      let values = try matrix(t.values, rows: m.experts, columns: t.node_count, "values")
      let slopes = try matrix(t.slopes, rows: m.experts, columns: t.node_count, "slopes")
      return .table(
        MixtureTable(
          nodes: try numbers(t.nodes, t.node_count, "nodes"), values: values.asRows, slopes: slopes.asRows,
          valueAtZero: t.value_at_zero,
          mask: t.mask_rule == nil ? .none : try readMask(t.mask_rule, t.mask_threshold, "mask")))
    }
    return (problem, nil)
  }
}
