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
  public let fault: Fault
  /// The profile of the router and of its sound twin.
  public let profile: RouterProfile
  /// The check that must catch it.
  public let caughtBy: LintCheck

  /// A mistake in a router that is written out here, or one of the product's names in a router of a specification.
  public enum Fault: Sendable, Hashable {
    case flaw(Flaw)
    case mistake(RouterMistake)
    /// Experts drawn one after the other where a subset is declared.
    case drawsOneByOne
  }

  init(_ name: String, from thread: String? = nil, _ flaw: Flaw, in profile: RouterProfile, caughtBy: LintCheck) {
    self.init(name, from: thread, .flaw(flaw), in: profile, caughtBy: caughtBy)
  }

  init(_ name: String, from thread: String? = nil, _ fault: Fault, in profile: RouterProfile, caughtBy: LintCheck) {
    self.name = name
    self.thread = thread
    self.fault = fault
    self.profile = profile
    self.caughtBy = caughtBy
  }

  /// The router with the mistake.
  public var faulty: any ForeignRouter {
    switch fault {
    case .flaw(let flaw): ReferenceRouter(profile, flaws: [flaw])
    case .mistake(let mistake): SpecifiedRouter(profile, mistake: mistake)
    case .drawsOneByOne: OneByOneRouter(profile: profile)
    }
  }
  /// The router without it.
  public var sound: any ForeignRouter {
    if case .flaw = fault { ReferenceRouter(profile) } else { SpecifiedRouter(profile) }
  }
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
    PlantedRouter(
      "masked groups at 0", from: "transformers 5.24.0 AXK2MoE", .mistake(.maskedGroupsAtZero), in: deepSeek,
      caughtBy: .selection),
    PlantedRouter("selection bias in the gate", .mistake(.biasInGate), in: deepSeek, caughtBy: .gateOrder),
    PlantedRouter(
      "(σ + b) − b in Float32", .mistake(.biasTakenOffAgain), in: deepSeekInFloat32, caughtBy: .tinyGates),
    PlantedRouter(
      "selection bias in BF16", from: "transformers 5.24.0 MiniMaxM2", .mistake(.biasInBFloat16), in: deepSeek,
      caughtBy: .biasPrecision),
    PlantedRouter("bias update reversed", .mistake(.biasUpdateReversed), in: deepSeek, caughtBy: .biasUpdate),
    PlantedRouter(
      "auxiliary loss scaled per micro-batch", .mistake(.microBatchScaling), in: deepSeek, caughtBy: .microBatches),
    PlantedRouter(
      "replay weights gathered from zeroed scores", .mistake(.replayOfOwnScores), in: deepSeek, caughtBy: .replay),
    PlantedRouter(
      "log(1 − p) of subset marginals detached", .mistake(.complementDetached), in: subsets, caughtBy: .gateGradient),
    PlantedRouter("Plackett–Luce drawn for conditional Bernoulli", .drawsOneByOne, in: subsets, caughtBy: .selection),
    PlantedRouter(
      "capacity by scattered logits", .mistake(.capacityByScatteredLogits), in: gshard, caughtBy: .capacityPriority),
    PlantedRouter(
      "largest gates served first where first come is declared", .mistake(.priorityByScore), in: limitedTop2,
      caughtBy: .causality),
    PlantedRouter(
      "noise scaled by the wrong projection", .mistake(.noiseScaleFromLogits), in: noisyTopK, caughtBy: .noiseGradient),
    PlantedRouter(
      "square of a standard deviation", .mistake(.deviationSquared), in: importance, caughtBy: .auxiliaryGradient),
    PlantedRouter(
      "mean of raw logits in the balance loss", .mistake(.balanceOfLogits), in: importance, caughtBy: .auxiliaryLoss),
    PlantedRouter("gate on the input", .mistake(.gateOnInput), in: functions, caughtBy: .application),
    PlantedRouter(
      "expert biases without their gates", .mistake(.offsetNotWeighted), in: functions, caughtBy: .application),
    PlantedRouter("gate on the output", .mistake(.gateOnOutput), in: llama4, caughtBy: .application),
  ]
}

// MARK: - Routers of specifications

extension PlantedRouter {
  /// The sound ones.
  public static let specified: [RouterProfile] = [
    deepSeek, deepSeekInFloat32, subsets, gshard, limitedTop2, noisyTopK, importance, functions, llama4,
  ]

  /// DeepSeek-V3's: sigmoids, groups, a selection bias and its update, a balance loss of a global batch, replay.
  static let deepSeek = RouterProfile(deepSeekSpecification)
  /// The same in Float32, where most of what a bias rounds away goes unseen.
  static let deepSeekInFloat32 = RouterProfile(deepSeekSpecification, precision: .float32)
  private static let deepSeekSpecification = RouterSpecification(
    name: "deepseek", experts: 16, score: .init(.sigmoid), hasSelectionBias: true,
    groups: .init(count: 4, kept: 2, score: .sumOfTwo), selection: .topK(4),
    gate: .init(isNormalized: true, epsilon: 1e-20, scale: 2.5),
    auxiliaryLosses: [.init(coefficient: 0.01, probabilities: .normalizedScore, scope: .global)],
    biasUpdate: .init(.sign, rate: 0.001), replays: true)
  static let subsets = RouterProfile(
    RouterSpecification(name: "subsets", experts: 8, selection: .sampled(3), gate: .init(.subsetMarginal)), uniforms: 8)
  static let gshard = RouterProfile(
    RouterSpecification(
      name: "gshard", experts: 6, selection: .topK(2), gate: .init(isNormalized: true),
      capacity: .init(3, priority: .rank)))
  static let limitedTop2 = RouterProfile(
    RouterSpecification(name: "limited-top2", experts: 6, selection: .topK(2), capacity: .init(3)))
  static let noisyTopK = RouterProfile(
    RouterSpecification(
      name: "noisy-top-k", experts: 8, noise: .init(.learnedNormal), key: .logits, selection: .topK(2),
      gate: .init(.softmaxOverChosen)))
  static let importance = RouterProfile(
    RouterSpecification(
      name: "importance", experts: 8, selection: .topK(2),
      auxiliaryLosses: [
        .init(.cvSquared, coefficient: 0.1), .init(.balance, coefficient: 0.01), .init(.z, coefficient: 1e-3),
      ]))
  static let functions = RouterProfile(
    RouterSpecification(
      name: "functions", experts: 6, selection: .topK(2), gate: .init(isNormalized: true), takesFunctions: true))
  static let llama4 = RouterProfile(
    RouterSpecification(
      name: "llama-4", experts: 6, key: .logits, selection: .topK(1), gate: .init(.sigmoidOfLogit), applied: .input))
}

/// A router of a specification that draws its experts one after the other, in proportion to the score.
struct OneByOneRouter: ForeignRouter {
  let profile: RouterProfile

  func route(_ call: RouterCall) throws(RouterFailure) -> RouterAnswer {
    var drawing = profile.specification
    drawing.gate = .init(.score)
    guard call.mode == .train else { return try SpecifiedRouter(profile).route(call) }
    let choice = try SpecifiedRouter(
      RouterProfile(drawing, uniforms: profile.uniforms, normals: profile.normals, precision: profile.precision)
    ).route(call).choice
    guard var answer = RouterReference(profile.specification).answer(to: call, given: choice) else {
      throw RouterFailure("its specification does not say what follows from a choice")
    }
    answer.logitsAfter = call.logits
    answer.dispatch = answer.choice.map { row in (0..<profile.experts).map { row.contains($0) ? 1 : 0 } }
    return answer
  }
}
