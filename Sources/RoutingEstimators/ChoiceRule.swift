/// What an estimator makes of a router whose specification says which experts A a token has, k of them with gates g, so that
/// nothing is drawn.
///
/// With `c_i = G'(y)·r_i` at the layer's output, `r = ω ⊙ f`, and g̃ the gates of the dense form (`TokenGates`):
package enum ChoiceRule: Sendable, Hashable {
  /// `Σ_{i∈A} c_i ∂g_i`, what training gives; experts in A get their gates' share.
  case sparse
  /// `Σ_i c_i ∂g̃_i`, every expert's slope; the gates' share goes back to A alone, or as g̃ to every expert.
  case dense(toEveryExpert: Bool)
  /// `Σ_i r_i c_i ∂p_i`, p the softmax over all experts, which the gates are made of and may be divided by more; the gates' share goes back
  /// to A alone.
  case fullSoftmax
  /// `Σ_{i∈A} c_i ∂g_i + Σ_i g̃_i c_i ∂s_i`: the indicator of A passes gradients on to the scores s, at `temperature` times the
  /// router's own, as they are.
  case throughScores(temperature: Double)
  /// With stand-ins m in the forward sum, `y = Σ_{i∈A} g_i f_i + Σ_{i∉A} g̃_i m_i`: the dense form with m for the outputs left out.
  case standIns(chosen: Int)
}

/// An estimator that exists for such routers, too: a claim, which audits of layers read.
package protocol ChoiceEstimator: GradientEstimator {
  /// What it makes of them.
  var choiceRule: ChoiceRule { get }
}
