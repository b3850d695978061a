import LayerTensors
import MixtureOfExperts
import RoutingCore

/// A model that a run can train: what a step does is a function of seed and step alone, so that a run goes on from parameters,
/// optimiser state, ``state`` and the number of the next step.
package protocol TrainableModel: AnyObject {
  /// The parameters in an order that stays, each with its gradient.
  var parameters: [TrainableParameter] { get }
  /// What else has to be kept from step to step: the stand-ins of `default-moe`.
  var state: [(name: String, tensor: Tensor<Float>)] { get }
  /// Writes the gradients of step `index` (from 0) into ``parameters`` and returns the loss; updates no parameter.
  func step(_ index: Int, threads: Int) throws(Refusal) -> StepResult
  /// Figures on held-out data, without noise; `loss` is among them if anything is held out.
  func evaluate(threads: Int) throws(Refusal) -> [String: Double]
  /// What the routers did in the last evaluation (its last batch), one entry for each layer of experts.
  var routing: [RoutingFigures] { get }
  /// What the router's gradient would be in training now, on held-out tokens; nil where it cannot be said. Nothing of the model changes.
  ///
  /// - Parameter continuing: asked often, from any thread, by one at a time; false calls the audit off.
  /// - Throws: ``Refusal`` of code `interrupted` if it was.
  func audit(_ request: AuditRequest, continuing: () -> Bool) throws(Refusal) -> ModelAudit?
}

extension TrainableModel {
  package var state: [(name: String, tensor: Tensor<Float>)] { [] }
  package var routing: [RoutingFigures] { [] }
  package func audit(_ request: AuditRequest, continuing: () -> Bool) throws(Refusal) -> ModelAudit? { nil }
}

/// The exact moments of a router's gradient, over all its weights together, against the exact gradient of the expected loss.
public struct RouterAudit: Sendable, Equatable {
  /// The norm of the exact gradient.
  public var targetNorm: Double
  /// ‖E ĝ − ∇‖/‖∇‖.
  public var relativeBias: Double
  /// √(tr Cov ĝ)/‖∇‖.
  public var relativeDeviation: Double
  /// The cosine of the angle between E ĝ and ∇.
  public var cosine: Double
}

/// A parameter of a model.
package struct TrainableParameter: Sendable {
  /// The name in checkpoints.
  package var name: String
  /// Its value.
  package var value: Tensor<Float>
  /// Room for its gradient.
  package var gradient: Tensor<Float>
  /// What its learning rate is multiplied by.
  package var rate: Double

  /// Names a parameter.
  package init(name: String, value: Tensor<Float>, gradient: Tensor<Float>, rate: Double = 1) {
    self.name = name
    self.value = value
    self.gradient = gradient
    self.rate = rate
  }
}

/// What a training step reports.
package struct StepResult: Sendable, Equatable {
  /// The loss that is minimised, without the auxiliary losses.
  package var loss: Double
  /// The auxiliary losses.
  package var auxiliary: Double
  /// The number of things that the loss is the mean of.
  package var count: Int

  package init(loss: Double, auxiliary: Double, count: Int) {
    self.loss = loss
    self.auxiliary = auxiliary
    self.count = count
  }
}
