import RouterSpecifications

/// The checks of the battery, in the order in which users were bitten; the first one is what the others stand on.
public enum LintCheck: String, Sendable, CaseIterable {
  /// The same call gets the same answer.
  case repeatability
  /// The router's gradient is not identically zero.
  case routerGradient = "router-gradient"
  /// The gradient follows the experts when they change places.
  case gradientEntries = "gradient-entries"
  /// `Σ_k ĝ_k = 0`; with jitter on the logits `Σ_k ĝ_k/u_k = 0`.
  case gradientSum = "gradient-sum"
  /// The multipliers are the declared gates: softmax and top-k in the declared order.
  case gateOrder = "gate-order"
  /// The gradient is that of the declared gates.
  case gateGradient = "gate-gradient"
  /// The forward pass is sparse and one-hot: distinct experts, and their weighted outputs alone.
  case forward
  /// The experts receive the layer's input, not the router's jittered copy.
  case expertInput = "expert-input"
  /// The caller's logits are what they were.
  case inputsUnchanged = "inputs-unchanged"
  /// Extreme draws and logits give finite numbers, and masked experts nothing.
  case extremeValues = "extreme-values"
  /// The load-balancing loss has its formula's value.
  case auxiliaryLoss = "auxiliary-loss"
  /// Full experts turn tokens away, and those get nothing.
  case capacity
  /// A token's route does not depend on its batch.
  case tokenIndependence = "token-independence"
  /// Logits shifted by a constant give the same answer.
  case shiftInvariance = "shift-invariance"
  /// In evaluation mode nothing is random.
  case evaluationMode = "evaluation-mode"
  /// The choice is that of keys, bias and groups; each expert's tokens, where experts choose.
  case selection
  /// Multipliers of experts with tiny scores, chosen for a large bias, keep their digits.
  case tinyGates = "tiny-gates"
  /// Biases that differ by less than BF16 tells apart decide the choice.
  case biasPrecision = "bias-precision"
  /// A forced choice is taken, and gets the multipliers and the gradient of the present logits.
  case replay
  /// The gradient of the auxiliary losses is their formula's, finite at balanced loads too.
  case auxiliaryGradient = "auxiliary-gradient"
  /// The auxiliary losses of micro-batches sum to that of the whole batch.
  case microBatches = "micro-batches"
  /// Nobody is turned away while there is room, and who comes first is served.
  case capacityPriority = "capacity-priority"
  /// A token's route does not depend on later tokens.
  case causality
  /// The gradient at the logits of the noise's scale is the formula's.
  case noiseGradient = "noise-gradient"
  /// Gates are applied where they should be, to functions of the input.
  case application
  /// The selection bias moves by its rule.
  case biasUpdate = "bias-update"
  /// Another router gives the same answers; only where there is one to compare with.
  case sameAs = "same-as"

  /// The checks of one router by itself.
  public static let battery = allCases.filter { $0 != .sameAs }

  /// What goes wrong for users when it fails, and where that happened.
  public var reason: String {
    switch self {
    case .repeatability:
      "draws that are not forced make every other comparison a matter of luck"
    case .routerGradient:
      "the router never learns: softmax after top-1 or a renormalised single gate is constant (Megatron-LM#894, "
        + "minimind#858), combine weights without gradient (maxtext#5042), a mask of jitter 0 (vllm#35499)"
    case .gradientEntries: "the loss falls, but other experts than the chosen ones learn (mlx#1428)"
    case .gradientSum:
      "a softmax's gradient has no component along (1, …, 1); one that has, lost a term of the Jacobian"
    case .gateOrder:
      "softmax before and after top-k are different routers; checkpoints do not carry over (Megatron-LM#894)"
    case .gateGradient: "a factor or a term is missing; loss curves hardly show it (SparseMixer#3, maxtext#5042)"
    case .forward: "a soft sample returned as hard trains on a mixture that inference never sees (SLM-Lab#422)"
    case .expertInput: "noise that is meant for the router reaches the experts (transformers#33969)"
    case .inputsUnchanged: "an operation in place changes what the caller uses afterwards"
    case .extremeValues: "a draw of 0 comes once in 2²⁴, and one NaN ends a run"
    case .auxiliaryLoss: "the balance is pushed too little or to the wrong place (transformers#45120)"
    case .capacity: "an expert that takes too many tokens breaks static shapes, one dropped silently trains on noise"
    case .tokenIndependence: "normalising over tokens lets tokens see each other, and their future (megablocks#87)"
    case .shiftInvariance: "a softmax does not see a constant in the logits; what does, clips or rescales them"
    case .evaluationMode: "noise left on at inference"
    case .selection:
      "masked groups at 0 win against negative keys (AXK2 in transformers 5.24.0), and a bias on the wrong side balances "
        + "nothing"
    case .tinyGates: "a bias that is added and taken off again rounds small scores away"
    case .biasPrecision: "a bias in BF16 stands still once its steps are below 2⁻⁸ of it"
    case .replay: "reinforcement learning replays routes; weights gathered from other scores are another policy's"
    case .auxiliaryGradient: "a loss that is logged right and has no gradient, or NaN where loads are balanced"
    case .microBatches: "the same tokens in other micro-batches train another model"
    case .capacityPriority: "tokens are dropped although there is room, which no loss curve shows"
    case .causality: "a route that depends on later tokens leaks the future and cannot be decoded"
    case .noiseGradient: "the noise's scale learns nothing, or from the wrong projection"
    case .application:
      "a gate on the input is another function than a gate on the output, and biases want their gates, too"
    case .biasUpdate: "a bias that moves the wrong way collapses the router"
    case .sameAs: "a rewrite that is meant to be the same function is not"
    }
  }
}

/// What one check found.
public struct LintFinding: Sendable, Equatable {
  /// The check.
  public var check: LintCheck
  /// Proved on the calls that were made, refuted, or undecided; nil where the check does not apply to such a router.
  public var verdict: Verdict?
  /// What was compared, the counter-example, or why nothing can be said.
  public var detail: String
  /// The calls made; for a refutation up to the counter-example.
  public var calls: Int
}

/// What the battery found.
public struct LintResult: Sendable {
  /// The router.
  public var profile: RouterProfile
  /// The seed of the calls.
  public var seed: UInt64
  /// One finding for each check, in order.
  public var findings: [LintFinding]

  /// The gravest verdict of the checks that apply.
  public var verdict: Verdict { Verdict(combining: findings.compactMap(\.verdict)) }
  /// All calls made.
  public var calls: Int { findings.reduce(0) { $0 + $1.calls } }

  /// The finding of a check.
  public subscript(_ check: LintCheck) -> LintFinding? { findings.first { $0.check == check } }
}
