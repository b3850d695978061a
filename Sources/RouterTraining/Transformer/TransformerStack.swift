import LayerTensors
import MixtureOfExperts
import RoutingCore

/// Blocks one after another, and a LayerNorm at the end.
final class TransformerStack<Scalar: TransformerScalar> {
  let shape: TransformerShape
  let blocks: [TransformerBlock<Scalar>]
  let norm: Norm<Scalar>
  let normGradient: NormParameters<Scalar>
  /// The gradient of the residual stream.
  let gradient: Tensor<Scalar>
  private let sums: NormGradient<Scalar>

  /// - Parameters:
  ///   - layer: the number of Switch layers of the model before these.
  ///   - site: the number of dropouts before these.
  init(
    _ shape: TransformerShape, isCausal: Bool, router: any TokenRouter, limits: TransformerLimits, layer: Int = 0,
    site: Int
  ) {
    self.shape = shape
    let room = BlockRoom<Scalar>(shape, limits)
    var layer = layer
    blocks = (0..<shape.layers).map { k in
      defer { if shape.hasExperts(k) { layer += 1 } }
      return TransformerBlock(
        shape, index: k, isCausal: isCausal, isCross: limits.memoryRows > 0, router: router, layer: layer,
        site: site + k * TransformerBlock<Scalar>.sites, room: room)
    }
    norm = Norm(NormParameters(width: shape.width), rows: limits.rows)
    normGradient = NormParameters(width: shape.width)
    gradient = Tensor(rows: limits.rows, columns: shape.width)
    sums = NormGradient(width: shape.width, groups: limits.groups)
  }

  var switchLayers: Int { blocks.count { $0.experts != nil } }

  /// The number of dropouts.
  var sites: Int { blocks.count * TransformerBlock<Scalar>.sites }

  func initialise(_ random: inout Philox) {
    for block in blocks { block.parameters.initialise(&random) }
    norm.parameters.initialise()
  }

  /// Every parameter with its gradient.
  func parameters(_ prefix: String) -> [ModelParameter<Scalar>] {
    var list: [ModelParameter<Scalar>] = []
    for (k, block) in blocks.enumerated() {
      for (value, gradient) in zip(block.parameters.all, block.gradients.all) {
        list.append(
          ModelParameter(name: "\(prefix)blocks.\(k).\(value.name)", value: value.tensor, gradient: gradient.tensor))
      }
    }
    for (value, gradient) in zip(norm.parameters.all, normGradient.all) {
      list.append(ModelParameter(name: "\(prefix)norm.\(value.name)", value: value.tensor, gradient: gradient.tensor))
    }
    return list
  }

  /// What routers keep from step to step.
  func state(_ prefix: String) -> [(name: String, tensor: Tensor<Scalar>)] {
    blocks.enumerated().compactMap { k, block in
      block.experts?.layer.standIns.map { ("\(prefix)blocks.\(k).switch.standIns", $0) }
    }
  }

  /// What the routers did in the last forward pass.
  var routing: [RoutingFigures] { blocks.compactMap { $0.experts?.workspace.routingFigures } }

  /// Leaves LayerNorm of the residual stream in `norm.output`.
  ///
  /// - Parameter x: the embedded tokens; kept until the backward pass.
  /// - Returns: the sum of the auxiliary losses.
  func forward(_ x: UnsafePointer<Scalar>, _ pass: BlockPass<Scalar>) throws(Refusal) -> Double {
    var stream = pass.first == 0 ? x : UnsafePointer(blocks[pass.first - 1].output.elements)
    var auxiliary = 0.0
    for block in blocks[pass.first...] {
      auxiliary += try block.forward(stream, pass)
      stream = UnsafePointer(block.output.elements)
    }
    concurrently(pass.plan.groups.count, threads: pass.threads) { k in
      norm.forward(stream, pass.plan.groups[k].rows)
    }
    return auxiliary
  }

  /// Writes the gradients of all parameters, and leaves that of the embedded tokens in `gradient`.
  ///
  /// - Parameter dy: the gradient of `norm.output`.
  func backward(
    _ dy: UnsafePointer<Scalar>, x: UnsafePointer<Scalar>, losses: UnsafePointer<Double>?, _ pass: BlockPass<Scalar>
  ) {
    let last = blocks.last.map { UnsafePointer($0.output.elements) } ?? x
    concurrently(pass.plan.groups.count, threads: pass.threads) { k in
      let rows = pass.plan.groups[k].rows
      (gradient.elements + rows.lowerBound * shape.width).update(repeating: 0, count: rows.count * shape.width)
      norm.backward(dy, x: last, rows, group: k, sums: sums, addTo: gradient.elements)
    }
    sums.finish(pass.plan.groups.count, to: normGradient)
    for k in blocks.indices[pass.first...].reversed() {
      let stream = k == 0 ? x : UnsafePointer(blocks[k - 1].output.elements)
      blocks[k].backward(gradient.elements, x: stream, losses: losses, pass)
    }
  }
}

/// A parameter of a model with its gradient.
struct ModelParameter<Scalar: LayerScalar> {
  var name: String
  var value: Tensor<Scalar>
  var gradient: Tensor<Scalar>
}
