import LayerTensors
import MixtureOfExperts
import RoutingCore

/// ``MixtureTask`` and the network that learns it: the model of `routegrad compare`.
///
/// Data and initial parameters are functions of the seed, the same for every router.
package final class MixtureModel: TrainableModel {
  /// Task and sizes.
  package let settings: MixtureSettings
  package let parameters: [TrainableParameter]
  let router: TrainingRouter
  let network: MixtureNetwork<Float>
  let heldOut: MixtureTask.Batch
  private let task: MixtureTask
  /// What losses are divided by: the variance of the held-out targets, 1 in classification.
  private let unit: Double

  /// - Precondition: the settings are valid (``MixtureSettings/validate()``).
  package init(_ settings: MixtureSettings, router: TrainingRouter, seed: UInt64) {
    self.settings = settings
    self.router = router
    task = MixtureTask(settings.kind, shared: settings.shared, seed: seed)
    heldOut = task.heldOut(tokens: settings.heldOut)
    unit = settings.kind == .regression ? heldOut.targetVariance : 1
    network = MixtureNetwork(
      settings.kind, router: router, shape: settings.shape(router), auxiliary: settings.auxiliary,
      tokens: max(settings.batch, settings.heldOut))
    network.parameters.initialise(seed: seed)
    parameters = zip(network.parameters.all, network.gradients.all).map { value, gradient in
      TrainableParameter(name: value.name, value: value.tensor, gradient: gradient.tensor, rate: value.rate)
    }
  }

  package var state: [(name: String, tensor: Tensor<Float>)] {
    network.layer.standIns.map { [("layer.standIns", $0)] } ?? []
  }

  /// The loss is in the units of ``evaluate(threads:)``; its gradient is that of the loss itself.
  package func step(_ index: Int, threads: Int) throws(Refusal) -> StepResult {
    let count = settings.batch
    let loss = try network.run(
      task.batch(index + 1, tokens: count),
      randomness: LayerRandomness(seed: task.seed, stream: 1 << 61 | UInt64((index + 1) * count)), isTraining: true)
    return StepResult(loss: loss.loss / unit, auxiliary: loss.auxiliary, count: count)
  }

  /// `loss`: the mean squared error divided by the variance of the targets, or the cross-entropy.
  package func evaluate(threads: Int) throws(Refusal) -> [String: Double] {
    ["loss": try network.run(heldOut, randomness: nil, isTraining: false).loss / unit]
  }

  package var routing: [RoutingFigures] { [network.workspace.routingFigures] }
}

extension MixtureSettings {
  func shape(_ router: TrainingRouter) -> MixtureNetworkShape {
    MixtureNetworkShape(experts: experts, width: width, hidden: hidden, scale: router.scale)
  }
}

extension MixtureTask.Batch {
  /// The variance of the targets about the mean of each output.
  var targetVariance: Double {
    let k = MixtureTask.outputs
    let rows = targets.count / k
    var sum = 0.0
    for j in 0..<k {
      let column = (0..<rows).map { targets[$0 * k + j] }
      let mean = column.reduce(0, +) / Double(rows)
      sum += column.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    }
    return sum / Double(targets.count)
  }
}
