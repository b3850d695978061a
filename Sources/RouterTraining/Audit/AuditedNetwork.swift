import LayerTensors
import MixtureOfExperts
import RoutingCore

/// A network that an audit runs, in Double, with the parameters of one that trains.
protocol AuditedNetwork: AnyObject, SendableMetatype {
  associatedtype Batch: AuditedBatch
  var parameters: [ModelParameter<Double>] { get }
  var state: [(name: String, tensor: Tensor<Double>)] { get }
  /// The stacks of blocks in the order of the forward pass, with their names in parameters.
  var stacks: [(prefix: String, stack: TransformerStack<Double>)] { get }
  /// A forward and backward pass as in training.
  func run(_ batch: Batch, randomness: StepRandomness, audit: AuditPass<Double>, threads: Int) throws(Refusal)
}

/// A batch that an audit takes apart.
protocol AuditedBatch: Sendable {
  /// The rows that a stack sees.
  func plan(ofStack stack: Int) -> SequencePlan
  /// One of its sequences alone.
  func alone(_ sequence: Int) -> Self
  /// The tokens that the loss is the mean of.
  var targetTokens: Int { get }
}

/// Where a Switch layer is in a network.
struct SwitchLayerPlace: Sendable, Equatable {
  var stack, block: Int
  /// `decoder.blocks.1`.
  var name: String
}

extension AuditedNetwork {
  /// Every Switch layer; the place in the list is the layer's index.
  var switchLayers: [SwitchLayerPlace] {
    stacks.enumerated().flatMap { k, part in
      part.stack.blocks.indices.filter { part.stack.blocks[$0].experts != nil }.map {
        SwitchLayerPlace(stack: k, block: $0, name: "\(part.prefix)blocks.\($0)")
      }
    }
  }

  func workspace(_ place: SwitchLayerPlace) -> LayerWorkspace<Double> {
    guard let experts = stacks[place.stack].stack.blocks[place.block].experts else {
      preconditionFailure("\(place.name) has no experts")
    }
    return experts.workspace
  }

  /// Takes parameters, and what routers keep, from a network that trains.
  func take(parameters others: [TrainableParameter], state otherState: [(name: String, tensor: Tensor<Float>)]) {
    for (other, own) in zip(others, parameters) { own.value.take(other.value) }
    for (other, own) in zip(otherState, state) { own.tensor.take(other.tensor) }
  }
}

extension Tensor<Double> {
  fileprivate func take(_ other: Tensor<Float>) {
    precondition(
      rows == other.rows && columns == other.columns, "an audit's network has the shape of the one that trains")
    for i in 0..<count { elements[i] = Double(other.elements[i]) }
  }
}
