import RouterSpecifications
import RoutingCore
import RoutingVerification

/// What can be wrong with a ``ReferenceRouter``.
public enum Flaw: String, Sendable, CaseIterable {
  case softmaxAfterTopK, detachedWeights, jitterZero, wrongEntries, softmaxDetached, jitterWithoutChainRule
  case notRenormalized, sigmoidGates, thresholdFromFirstMaximum, secondWeightDetached, factorTwo
  case softForward, denseOutput, secondExpertNotRemoved, jitterIntoExperts, mutatesLogits, logarithmOfZero
  case softmaxOverflows, softmaxOfSoftmax, auxiliaryWithoutN, countsFirstChoices, overfullExperts
  case droppedTokensKeepOutput, droppedTokensKeepGradient, normalisesOverTokens, clipsLogits, jitterInEvaluation
  case drawsItsOwn
}

/// A router that is wrong on purpose, where the mistake comes from, and the check that must catch it.
public struct PlantedRouter: Sendable {
  /// What was done wrong.
  public let name: String
  /// The public thread that it comes from; nil if it is our own.
  public let thread: String?
  /// The mistake.
  public let flaw: Flaw
  /// The profile of the router and of its sound twin.
  public let profile: RouterProfile
  /// The check that must catch it.
  public let caughtBy: LintCheck

  init(_ name: String, from thread: String? = nil, _ flaw: Flaw, in profile: RouterProfile, caughtBy: LintCheck) {
    self.name = name
    self.thread = thread
    self.flaw = flaw
    self.profile = profile
    self.caughtBy = caughtBy
  }

  /// The router with the mistake.
  public var faulty: ReferenceRouter { ReferenceRouter(profile, flaws: [flaw]) }
  /// The router without it.
  public var sound: ReferenceRouter { ReferenceRouter(profile) }
}

// MARK: - Families

extension PlantedRouter {
  /// The sound routers by name.
  public static let families: [RouterProfile] = [
    switchTop1, sampledTop1, mixtral, olmoe, sparseMixer, sparseMixerV2, logitJitter, inputJitter, limited,
  ]

  static let switchTop1 = RouterProfile(
    name: "switch", experts: 8, gates: .softmax, auxiliaryLoss: .init(coefficient: 0.01, counting: .first))
  static let sampledTop1 = RouterProfile(name: "sampled", experts: 8, uniforms: 8, gates: .softmax)
  static let mixtral = RouterProfile(
    name: "mixtral", experts: 8, topK: 2, gates: .renormalized, auxiliaryLoss: .init(counting: .all))
  static let olmoe = RouterProfile(
    name: "olmoe", experts: 8, topK: 3, gates: .softmax, auxiliaryLoss: .init(counting: .mean))
  static let sparseMixer = RouterProfile(
    name: "sparsemixer", experts: 8, uniforms: 9, gates: .softmax, mask: .paper(threshold: 0.1),
    outputScales: [1, 0.5], gradientFactor: 2)
  static let sparseMixerV2 = RouterProfile(
    name: "sparsemixer-v2", experts: 8, topK: 2, uniforms: 18, gates: .sequential,
    mask: .referenceCode(threshold: 0.1), outputScales: [1, 1.0 / 3])
  static let logitJitter = RouterProfile(
    name: "logit-jitter", experts: 8, uniforms: 8, gates: .softmax, jitter: .init(.uniform, width: 0.1))
  static let inputJitter = RouterProfile(
    name: "input-jitter", experts: 8, uniforms: 8, takes: .input, gates: .softmax,
    jitter: .init(.uniformInput, width: 0.1))
  static let limited = RouterProfile(name: "limited", experts: 8, gates: .softmax, capacity: 3)
}

// MARK: - The faults

extension PlantedRouter {
  /// All of them, in the order of the checks.
  public static let all: [PlantedRouter] = [
    PlantedRouter(
      "draws that are not forced", .drawsItsOwn, in: sampledTop1, caughtBy: .repeatability),
    PlantedRouter(
      "softmax after top-1", from: "NVIDIA/Megatron-LM#894", .softmaxAfterTopK, in: switchTop1,
      caughtBy: .routerGradient),
    PlantedRouter(
      "a single gate renormalised, with jitter", from: "jingyaogong/minimind#858", .softmaxAfterTopK, in: logitJitter,
      caughtBy: .routerGradient),
    PlantedRouter(
      "combine weights without gradient", from: "AI-Hypercomputer/maxtext#5042", .detachedWeights, in: mixtral,
      caughtBy: .routerGradient),
    PlantedRouter(
      "a mask of jitter 0, which leaves one expert", from: "vllm-project/vllm#35499", .jitterZero, in: sparseMixer,
      caughtBy: .routerGradient),
    PlantedRouter(
      "gradient on the wrong entries", from: "ml-explore/mlx#1428", .wrongEntries, in: mixtral,
      caughtBy: .gradientEntries),
    PlantedRouter(
      "gradient on the wrong entries, sampled", from: "ml-explore/mlx#1428", .wrongEntries, in: sparseMixerV2,
      caughtBy: .gradientEntries),
    PlantedRouter("softmax detached", .softmaxDetached, in: olmoe, caughtBy: .gradientSum),
    PlantedRouter(
      "the jitter's factor missing in the gradient", .jitterWithoutChainRule, in: logitJitter, caughtBy: .gradientSum),
    PlantedRouter(
      "softmax after top-k", from: "NVIDIA/Megatron-LM#955", .softmaxAfterTopK, in: olmoe, caughtBy: .gateOrder),
    PlantedRouter("gates not renormalised", .notRenormalized, in: mixtral, caughtBy: .gateOrder),
    PlantedRouter("sigmoid gates for a softmax", .sigmoidGates, in: switchTop1, caughtBy: .gateOrder),
    PlantedRouter(
      "second mask from the first maximum", .thresholdFromFirstMaximum, in: sparseMixerV2, caughtBy: .gateOrder),
    PlantedRouter(
      "second combine weight without gradient", from: "AI-Hypercomputer/maxtext#5042", .secondWeightDetached,
      in: mixtral,
      caughtBy: .gateGradient),
    PlantedRouter(
      "factor 2 twice", from: "microsoft/SparseMixer#3", .factorTwo, in: sparseMixer, caughtBy: .gateGradient),
    PlantedRouter(
      "soft sample returned as hard", from: "kengz/SLM-Lab#422", .softForward, in: sampledTop1, caughtBy: .forward),
    PlantedRouter("dense output for a sparse one", .denseOutput, in: mixtral, caughtBy: .forward),
    PlantedRouter("second expert not removed", .secondExpertNotRemoved, in: sparseMixerV2, caughtBy: .forward),
    PlantedRouter(
      "jitter reaches the experts", from: "huggingface/transformers#33969", .jitterIntoExperts, in: inputJitter,
      caughtBy: .expertInput),
    PlantedRouter("the caller's logits changed in place", .mutatesLogits, in: switchTop1, caughtBy: .inputsUnchanged),
    PlantedRouter("logarithm of a draw of 0", .logarithmOfZero, in: sparseMixer, caughtBy: .extremeValues),
    PlantedRouter("softmax without its maximum taken off", .softmaxOverflows, in: olmoe, caughtBy: .extremeValues),
    PlantedRouter(
      "softmax of the softmax in the loss", from: "huggingface/transformers#45120", .softmaxOfSoftmax, in: mixtral,
      caughtBy: .auxiliaryLoss),
    PlantedRouter("factor N missing in the loss", .auxiliaryWithoutN, in: switchTop1, caughtBy: .auxiliaryLoss),
    PlantedRouter(
      "first choices counted for all", .countsFirstChoices, in: mixtral, caughtBy: .auxiliaryLoss),
    PlantedRouter("experts over their capacity", .overfullExperts, in: limited, caughtBy: .capacity),
    PlantedRouter("output of a token turned away", .droppedTokensKeepOutput, in: limited, caughtBy: .capacity),
    PlantedRouter("gradient of a token turned away", .droppedTokensKeepGradient, in: limited, caughtBy: .capacity),
    PlantedRouter(
      "normalised over tokens", from: "databricks/megablocks#87", .normalisesOverTokens, in: switchTop1,
      caughtBy: .tokenIndependence),
    PlantedRouter("logits clipped", .clipsLogits, in: switchTop1, caughtBy: .shiftInvariance),
    PlantedRouter("jitter at inference", .jitterInEvaluation, in: logitJitter, caughtBy: .evaluationMode),
  ]
}
