import LayerTensors
import RoutingCore

/// A layer of experts behind a router: `y_t = ω ⊙ Σ_s m_s f_{D_s}(x_t) + Σ_j σ_j s_j(x_t) (+ x_t)`, s the shared experts.
///
/// Forward and backward use memory of the caller's (``LayerWorkspace``), random numbers that are a function of seed, stream
/// and token, and the same matrix products for any number of threads; so the same seed gives the same bytes.
package final class MixtureLayer<Scalar: LayerScalar>: @unchecked Sendable {
  /// Sizes and parts.
  package let shape: LayerShape
  /// How tokens are routed.
  package let router: any TokenRouter
  /// What is there besides.
  package let options: LayerOptions
  /// The stand-ins of `default-moe`: running means of the experts' outputs, `[experts, outputs]`.
  package let standIns: Tensor<Scalar>?

  /// A layer.
  ///
  /// - Precondition: with a residual, inputs and outputs have one length; capacity factor and loss weights are not
  ///   negative.
  package init(_ shape: LayerShape, router: any TokenRouter, options: LayerOptions = LayerOptions()) {
    precondition(
      !options.residual || shape.inputs == shape.outputs,
      "a residual needs inputs and outputs of one length, got \(shape.inputs) and \(shape.outputs)")
    self.shape = shape
    self.router = router
    self.options = options
    standIns = router.standInDecay == nil ? nil : Tensor(rows: shape.experts, columns: shape.outputs)
  }

  /// The most slots that an expert takes of a batch, or nil.
  func capacity(tokens: Int) -> Int? {
    options.capacityFactor.map {
      let slots = Double(tokens * router.choices(experts: shape.experts))
      // No more than there are: a factor may be any number.
      return Int(min(slots, (slots / Double(shape.experts) * $0).rounded(.up)))
    }
  }
}

/// What a layer has besides experts and router.
package struct LayerOptions: Sendable, Equatable {
  /// Whether the input is added to the output.
  package var residual: Bool
  /// An expert takes at most this many times an even share of the choices, one or more of each token, rounded up; the rest
  /// is dropped and passes through the residual only. Nil: no limit.
  package var capacityFactor: Double?
  /// α of the load-balancing loss `α N Σ_i F_i P_i`: F_i the share of tokens whose (first) choice is i before any is dropped,
  /// P_i the mean of p_i.
  package var loadBalance: Double
  /// β of the router z-loss `β mean_t (log Σ_i e^{θ_ti})²`.
  package var zLoss: Double

  /// Nothing besides, unless asked for.
  package init(residual: Bool = false, capacityFactor: Double? = nil, loadBalance: Double = 0, zLoss: Double = 0) {
    precondition(
      (capacityFactor ?? 1) > 0 && loadBalance >= 0 && zLoss >= 0,
      "capacity and loss weights are not negative, got \(capacityFactor ?? 1), \(loadBalance), \(zLoss)")
    self.residual = residual
    self.capacityFactor = capacityFactor
    self.loadBalance = loadBalance
    self.zLoss = zLoss
  }
}

/// Where a pass's random numbers come from: token t reads stream `stream + t` of the seed.
package struct LayerRandomness: Sendable, Equatable {
  /// The seed.
  package var seed: UInt64
  /// The stream of the first token; steps of a training run are a batch's length apart.
  package var stream: UInt64

  /// Names a place in a seed's numbers.
  package init(seed: UInt64, stream: UInt64 = 0) {
    self.seed = seed
    self.stream = stream
  }

  func generator(token: Int) -> Philox { Philox(seed: seed, stream: stream &+ UInt64(token)) }
}

/// The auxiliary losses of a pass, each times its weight.
package struct AuxiliaryLosses: Sendable, Equatable {
  /// `α N Σ_i F_i P_i`.
  package var loadBalance = 0.0
  /// `β mean_t (log Σ_i e^{θ_ti})²`.
  package var zLoss = 0.0
  /// Their sum.
  package var sum: Double { loadBalance + zLoss }
}
