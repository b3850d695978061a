import MixtureOfExperts
import RoutingCore

/// Sentence pairs, and the batch that they make up.
struct TranslationAuditBatch: AuditedBatch {
  let pairs: [SentencePair]
  let batch: TranslationBatch

  init(_ pairs: [SentencePair]) {
    self.pairs = pairs
    batch = TranslationBatch(pairs)
  }

  func plan(ofStack stack: Int) -> SequencePlan { stack == 0 ? batch.encoderPlan : batch.decoderPlan }

  func alone(_ sequence: Int) -> TranslationAuditBatch { TranslationAuditBatch([pairs[sequence]]) }

  var targetTokens: Int { batch.decoderPlan.rows }
}

extension TranslationNetwork: AuditedNetwork where Scalar == Double {
  var stacks: [(prefix: String, stack: TransformerStack<Double>)] { [("encoder.", encoder), ("decoder.", decoder)] }

  func run(
    _ batch: TranslationAuditBatch, randomness: StepRandomness, audit: AuditPass<Double>, threads: Int
  ) throws(Refusal) {
    _ = try run(batch.batch, randomness: randomness, isTraining: true, threads: threads, audit: audit)
  }
}

extension TranslationModel {
  /// On the first held-out pairs; where none is held out, on the first that are trained on.
  package func audit(_ request: AuditRequest, continuing: () -> Bool) throws(Refusal) -> ModelAudit? {
    let limit = min(settings.batchTokens, NetworkAuditor<TranslationNetwork<Double>>.tokens)
    var pairs: [SentencePair] = []
    var (source, target, longest) = (0, 0, 1)
    for pair in heldOut?.text.pairs ?? training?.pairs ?? [] {
      source += pair.source.count + 1
      target += pair.target.count + 1
      guard pairs.isEmpty || max(source, target) <= limit else { break }
      pairs.append(pair)
      longest = max(longest, pair.source.count + 1, pair.target.count + 1)
    }
    guard !pairs.isEmpty else { return nil }
    let batch = TranslationAuditBatch(pairs)
    let rows = max(batch.batch.encoderPlan.rows, batch.batch.decoderPlan.rows)
    var shape = shape
    shape.auxiliary = AuxiliaryWeights(loadBalance: 0, zLoss: 0)
    let auditor = NetworkAuditor<TranslationNetwork<Double>>(
      router: router, law: law, batch: batch, seed: settings.seed,
      make: { [vocabulary, settings] router, isAlone in
        var shape = shape
        if isAlone { shape.capacityFactor = nil }
        return TranslationNetwork(
          shape, vocabulary: vocabulary.count, rows: isAlone ? longest : rows, length: longest,
          smoothing: settings.smoothing, router: router)
      }, parameters: parameters, state: state)
    return try auditor.run(request, continuing: continuing).map { .network($0) }
  }
}
