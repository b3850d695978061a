// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CRouteGrad
import RouteGrad

extension DumpedLayer {
  /// Copies a layer, and checks it.
  fileprivate init(_ layer: UnsafePointer<rg_layer>?) throws(Failure) {
    let l = try required(layer, "layer").pointee
    try requireSize(l.size, of: rg_layer.self, "layer")
    for (name, extent) in [
      ("tokens", l.tokens), ("inputs", l.inputs), ("hidden", l.hidden), ("outputs", l.outputs), ("experts", l.experts),
    ] where !(1...Int(Int32.max)).contains(extent) {
      throw .argument("layer.\(name): expected 1 to \(Int32.max), got \(extent)")
    }
    guard let activation = Activation(rawValue: try text(l.activation, "activation")) else {
      throw .argument("activation: expected \(Activation.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    let residual = l.adds_residual != 0
    guard !residual || l.inputs == l.outputs else {
      throw .argument("adds_residual: expected 0, as inputs have length \(l.inputs) and outputs \(l.outputs)")
    }
    let shape = LayerShape(
      experts: l.experts, inputs: l.inputs, hidden: l.hidden, outputs: l.outputs, activation: activation,
      routerBias: l.router_bias != nil, hiddenBias: l.bias1 != nil, outputBias: l.bias2 != nil, scale: l.scale != nil)
    self.init(
      shape: shape, residual: residual, parameters: try l.parameters(shape),
      input: try tensor(l.input, l.tokens, l.inputs, "input"), loss: try l.loss)
  }
}

extension rg_layer {
  fileprivate func parameters(_ shape: LayerShape) throws(Failure) -> LayerParameters<Double> {
    let sources = [
      "router.weight": router_weight, "router.bias": router_bias, "experts.w1": weight1, "experts.b1": bias1,
      "experts.w2": weight2, "experts.b2": bias2, "scale": scale,
    ]
    let parameters = LayerParameters<Double>(shape)
    for (name, tensor) in parameters.all {
      let numbers = try finiteNumbers(sources[name] ?? nil, tensor.rows, name, width: tensor.columns)
      for (k, value) in numbers.enumerated() { tensor.elements[k] = value }
    }
    return parameters
  }

  fileprivate var loss: DumpedLayer.Loss {
    get throws(Failure) {
      if target != nil {
        guard unembedding == nil, labels == nil else {
          throw .argument("target: expected either target, or unembedding and labels, got both")
        }
        return .squaredError(targets: try tensor(target, tokens, outputs, "target"))
      }
      guard (1...Int(Int32.max)).contains(classes) else {
        throw .argument("layer.classes: expected 1 to \(Int32.max) without a target, got \(classes)")
      }
      let labels = UnsafeBufferPointer(start: try required(labels, "labels"), count: tokens).map { Int($0) }
      if let token = labels.firstIndex(where: { !(0..<classes).contains($0) }) {
        throw Failure(
          RG_INVALID_DATA, "labels[\(token)]: expected a class from 0 to \(classes - 1), got \(labels[token])")
      }
      return .crossEntropy(unembedding: try tensor(unembedding, classes, outputs, "unembedding"), labels: labels)
    }
  }
}

private func tensor(
  _ pointer: UnsafePointer<Double>?, _ rows: Int, _ columns: Int, _ name: String
) throws(Failure) -> Tensor<Double> {
  Tensor(rows: rows, columns: columns, try finiteNumbers(pointer, rows, name, width: columns))
}

/// Where exact means go: the caller's buffers, each for one tensor; an audit writes each part of them once.
private struct MeanDestinations: @unchecked Sendable {
  private var buffers: [String: UnsafeMutablePointer<Double>] = [:]

  /// Asks the caller for the buffer of every tensor, on the caller's thread, and fills it with zeros.
  init(
    _ function: rg_mean_buffer, _ context: UnsafeMutableRawPointer?, of layer: DumpedLayer,
    _ estimators: [any GradientEstimator]
  ) throws(Failure) {
    for (name, shape) in LayerAudit.meanTensors(of: layer, estimators) {
      var buffer: UnsafeMutablePointer<Double>?
      let status = function(context, name, shape, shape.count, &buffer)
      guard status == 0 else {
        throw Failure(RG_CALLBACK_FAILED, "the buffer function failed with status \(status), asked for \(name)")
      }
      guard let buffer else { continue }
      buffer.initialize(repeating: 0, count: shape.reduce(1, *))
      buffers[name] = buffer
    }
  }

  /// What an audit tells its means.
  var writer: MeanWriter {
    { name, first, values in
      guard let buffer = self.buffers[name], let source = values.baseAddress else { return }
      (buffer + first).update(from: source, count: values.count)
    }
  }
}

@c @implementation
public func rg_audit_layer(
  _ layer: UnsafePointer<rg_layer>?, _ estimators: UnsafePointer<CChar>?, _ target: UnsafePointer<CChar>?,
  _ maskRule: UnsafePointer<CChar>?, _ maskThreshold: Double, _ threads: Int,
  _ report: UnsafeMutablePointer<OpaquePointer?>?
) -> rg_status {
  reporting { () throws(Failure) in
    try audit(layer, estimators, target, (maskRule, maskThreshold), threads, nil, nil, report)
  }
}

@c @implementation
public func rg_audit_layer_gradients(
  _ layer: UnsafePointer<rg_layer>?, _ estimators: UnsafePointer<CChar>?, _ target: UnsafePointer<CChar>?,
  _ maskRule: UnsafePointer<CChar>?, _ maskThreshold: Double, _ threads: Int, _ buffer: rg_mean_buffer?,
  _ context: UnsafeMutableRawPointer?, _ report: UnsafeMutablePointer<OpaquePointer?>?
) -> rg_status {
  reporting { () throws(Failure) in
    try audit(
      layer, estimators, target, (maskRule, maskThreshold), threads, try required(buffer, "buffer"), context, report)
  }
}

private func audit(
  _ layer: UnsafePointer<rg_layer>?, _ estimators: UnsafePointer<CChar>?, _ target: UnsafePointer<CChar>?,
  _ mask: (rule: UnsafePointer<CChar>?, threshold: Double), _ threads: Int, _ buffer: rg_mean_buffer?,
  _ context: UnsafeMutableRawPointer?, _ report: UnsafeMutablePointer<OpaquePointer?>?
) throws(Failure) {
  let result = try required(report, "report")
  var options = LayerAudit.Options(
    target: try RouteGradABI.target(target),
    mask: mask.rule == nil ? .none : try readMask(mask.rule, mask.threshold, "mask"),
    threads: try checkedThreads(threads, "threads"))
  if estimators != nil {
    let list = try text(estimators, "estimators")
    do throws(InvalidEstimator) {
      options.estimators = try EstimatorRegistry.estimators(list: list)
    } catch {
      throw .argument(error.description)
    }
  }
  let layer = try DumpedLayer(layer)
  var destinations: MeanDestinations?
  if let buffer { destinations = try MeanDestinations(buffer, context, of: layer, options.estimators) }
  do throws(InvalidInput) {
    let audit = try LayerAudit(layer, options: options, onMean: destinations?.writer)
    result.pointee = handle(
      ReportHandle(text: audit.rendered(as: .table, name: "layer", style: .plain), json: audit.json))
  } catch {
    throw Failure(error.path.isEmpty ? RG_OVERFLOW : RG_INVALID_DATA, error.description)
  }
}
