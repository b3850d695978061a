import LayerTensors
import RoutingCore

/// A layer as another program dumped it, with its input and its loss: `routegrad.layer/2`, or `routegrad.layer/1`.
///
/// `y_t = ω ⊙ Σ_i m_i f_i(x_t) + Σ_j σ_j s_j(x_t) (+ x_t)`, s the shared experts; the loss is the mean of the tokens' own.
///
/// *Source*: docs/formats.md, "Layer".
public struct DumpedLayer: Sendable {
  /// Sizes and parts.
  package let shape: LayerShape
  /// Whether x_t is added to the output before the loss sees it.
  package let residual: Bool
  /// Router, experts and scale.
  package let parameters: LayerParameters<Double>
  /// x, `[tokens, inputs]`.
  package let input: Tensor<Double>
  /// What the tokens' losses are made of.
  package let loss: Loss
  /// The router; nil for one draw from the softmax.
  package let router: LayerRouter?
  /// What stands in for the outputs of experts that are not chosen (`default-moe`), `[experts, outputs]`.
  package let standIns: Tensor<Double>?

  /// The losses.
  package enum Loss: Sendable {
    /// `½‖y_t − target_t‖²`, the targets `[tokens, outputs]`.
    case squaredError(targets: Tensor<Double>)
    /// `−log softmax(U y_t)[label_t]`, U `[classes, outputs]`.
    case crossEntropy(unembedding: Tensor<Double>, labels: [Int])
    /// `u_t · y_t`, u `[tokens, outputs]`: the loss of the network above to first order, u being its gradient at y_t.
    case upstream(Tensor<Double>)

    /// What multiplies the output in the gradient where that is affine; nil where it is not.
    var slope: Double? {
      switch self {
      case .squaredError: 1
      case .upstream: 0
      case .crossEntropy: nil
      }
    }
  }

  /// T.
  public var tokens: Int { input.rows }

  /// Whether its router's choice follows from the logits, so that nothing is drawn.
  public var choosesExperts: Bool { router?.choice == .chosen }

  /// A layer that is there already.
  package init(
    shape: LayerShape, residual: Bool, parameters: LayerParameters<Double>, input: Tensor<Double>, loss: Loss,
    router: LayerRouter? = nil, standIns: Tensor<Double>? = nil
  ) {
    self.shape = shape
    self.residual = residual
    self.parameters = parameters
    self.input = input
    self.loss = loss
    self.router = router
    self.standIns = standIns
  }
}
