import MixtureOfExperts
import RoutingCore

/// Windows of a text and what follows each token.
struct LanguageBatch: AuditedBatch {
  var tokens, targets: [Int32]
  var plan: SequencePlan

  func plan(ofStack stack: Int) -> SequencePlan { plan }

  func alone(_ sequence: Int) -> LanguageBatch {
    let range = plan.range(sequence)
    return LanguageBatch(
      tokens: Array(tokens[range]), targets: Array(targets[range]), plan: SequencePlan(lengths: [range.count]))
  }

  var targetTokens: Int { plan.rows }
}

extension LanguageNetwork: AuditedNetwork where Scalar == Double {
  var stacks: [(prefix: String, stack: TransformerStack<Double>)] { [("", stack)] }

  func run(
    _ batch: LanguageBatch, randomness: StepRandomness, audit: AuditPass<Double>, threads: Int
  ) throws(Refusal) {
    _ = try run(
      batch.tokens, targets: batch.targets, plan: batch.plan, randomness: randomness, isTraining: true,
      threads: threads, audit: audit)
  }
}

extension SwitchLanguageModel {
  /// On the first held-out windows; where none is held out, on the first of the text.
  package func audit(_ request: AuditRequest, continuing: () -> Bool) throws(Refusal) -> ModelAudit? {
    let length = settings.context
    let first = heldOutWindows > 0 ? trained : 0
    let available = heldOutWindows > 0 ? heldOutWindows : (trained - 1) / length
    let count = min(available, settings.batch, max(NetworkAuditor<LanguageNetwork<Double>>.tokens / length, 1))
    let windows = (0..<count).map { first + $0 * length }
    let batch = LanguageBatch(
      tokens: windows.flatMap { text[$0..<$0 + length] }, targets: windows.flatMap { text[$0 + 1..<$0 + length + 1] },
      plan: SequencePlan(lengths: Array(repeating: length, count: count)))
    var shape = shape
    shape.auxiliary = AuxiliaryWeights(loadBalance: 0, zLoss: 0)
    let auditor = NetworkAuditor<LanguageNetwork<Double>>(
      router: router, law: law, batch: batch, seed: settings.seed,
      make: { [vocabulary] router, isAlone in
        var shape = shape
        if isAlone { shape.capacityFactor = nil }
        return LanguageNetwork(
          shape, vocabulary: vocabulary, context: length, router: router, maximumSequences: isAlone ? 1 : count)
      }, parameters: parameters, state: state)
    return try auditor.run(request, continuing: continuing).map { .network($0) }
  }
}
