import RoutingCore

/// REBAR: REINFORCE with f itself at relaxed draws for a control variate,
/// `ĝ = (f(D) − η f(p̃)) (I_D − π) + η ∇f(p) − η ∇f(p̃)`, `p = softmax(z/τ)`, `p̃ = softmax(z̃/τ)`, z̃ drawn anew given D.
///
/// Unbiased for every function, every η and τ. On a mixture it acts on `F(p) = G(Σ_i p_i π_i f_i)`, the multipliers held, and adds the gating sample; it then
/// needs every expert's output. `coupled` takes z for z̃ (``ControlledRelaxation``).
///
/// *Edge cases*: a table has no f between the one-hots. With one expert in the support every sample is zero.
///
/// *Source*: arXiv 1703.07370 (Tucker, Mnih, Maddison, Lawson, Sohl-Dickstein), with the conditional reparametrisation of categorical draws; the
/// coupling of duvenaud/relax, `CategoricalReparam.coupling`.
public struct REBAR: ControlledRelaxation {
  public static let id = "rebar"
  public static let parameters = [
    ParameterDeclaration("tau", .positive, standard: .number(0.5)),
    ParameterDeclaration("eta", .number, standard: .number(1)),
    ParameterDeclaration("coupled", .flag, standard: .flag(false)),
  ]

  /// τ.
  public let temperature: Double
  /// η.
  public let scale: Double
  /// Whether z̃ is z.
  public let isCoupled: Bool

  /// - Precondition: `temperature` is positive and finite, `scale` finite.
  public init(temperature: Double = 0.5, scale: Double = 1, isCoupled: Bool = false) {
    precondition(temperature > 0 && temperature.isFinite, "a temperature is positive, got \(temperature)")
    precondition(scale.isFinite, "a control variate's scale is finite, got \(scale)")
    self.temperature = temperature
    self.scale = scale
    self.isCoupled = isCoupled
  }

  public init(_ values: ParameterValues) throws(InvalidEstimator) {
    self.init(
      temperature: values.number("tau"), scale: values.number("eta"), isCoupled: values.flag("coupled"))
  }

  public var values: ParameterValues {
    // Named where it says something.
    var values: ParameterValues = ["tau": .number(temperature), "eta": .number(scale)]
    if isCoupled { values["coupled"] = .flag(true) }
    return values
  }

  public var claims: Claims {
    Claims(
      kinds: [.categorical, .mixture], target: .expectedLoss, exactness: .all,
      expertEvaluations: .relaxed(isCoupled ? 2 : 3), source: "arXiv 1703.07370")
  }

  package func controlled(on problem: RoutedProblem) throws(Unavailable) -> ControlledSampler {
    try ControlledSampler(
      problem, control: try RelaxedFunction(problem), scale: scale, temperature: temperature, isCoupled: isCoupled)
  }
}
